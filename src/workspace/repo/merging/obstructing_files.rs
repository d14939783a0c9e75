//! Files that keep a checkout from being updated: uncommitted changes, and untracked files where the new commit has
//! files. Git itself would overwrite ignored files; they may be the only copy of a user's settings.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::locked_checkout::LockedCheckout;
use super::refusal::{Answer, refuse};
use crate::git::command::fields;
use crate::git::error::{Context, Result};
use crate::git::path_bytes::{from_bytes, to_text};
use crate::phase::words::first_few;

/// Files named in a message; the rest are counted.
const NAMED: usize = 8;

/// A path with another content in the new commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PathChange {
    /// Path, relative to the top.
    pub path: PathBuf,
    /// Whether the old commit has a file there.
    pub is_in_old: bool,
    /// Whether the new commit has a file there.
    pub is_in_new: bool,
    /// Whether the path is a submodule in one of them.
    pub is_submodule: bool,
}

impl LockedCheckout {
    /// Refuses a worktree with uncommitted changes of tracked files, or with a git process at work.
    pub async fn require_clean(&self) -> Result<Answer<()>> {
        if let Some(lock) = self.index_lock() {
            return refuse(
                format!("another git process works in {}, or died there", self.path.display()),
                format!("wait for its end; if no git is running, remove {}", lock.display()),
            );
        }
        let args = [
            "status",
            "--porcelain=v2",
            "-z",
            "--untracked-files=no",
            "--ignore-submodules=dirty",
            "--no-renames",
        ];
        let listed = self.git.call("look for uncommitted changes", args).bytes().await?;
        let changed: Vec<String> = fields(&listed).filter_map(path_of).collect();
        if changed.is_empty() {
            return Ok(Ok(()));
        }
        refuse(
            format!(
                "{} has uncommitted changes: {}",
                self.path.display(),
                first_few(&changed, NAMED)
            ),
            "commit them, or put them away with `git stash`",
        )
    }

    /// Lists the paths that differ between two commits or trees.
    pub async fn path_changes(&self, old: &str, new: &str) -> Result<Vec<PathChange>> {
        let args = ["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-ext-diff", old, new];
        let listed = self.git.call("compare the commits", args).bytes().await?;
        Ok(parse_raw(&listed))
    }

    /// Refuses files that are not tracked and stand where the new commit has a file.
    pub fn require_room(&self, changes: &[PathChange]) -> Result<Answer<()>> {
        let old: BTreeSet<&Path> =
            changes.iter().filter(|c| c.is_in_old).map(|c| c.path.as_path()).collect();
        let mut in_the_way = BTreeSet::new();
        for change in changes.iter().filter(|change| change.is_in_new && !change.is_in_old) {
            find_untracked(&self.path, &change.path, &old, change.is_submodule, &mut in_the_way)?;
        }
        if in_the_way.is_empty() {
            return Ok(Ok(()));
        }
        let names: Vec<String> = in_the_way.iter().map(|path| path.display().to_string()).collect();
        refuse(
            format!(
                "the merge would overwrite untracked files in {}: {}",
                self.path.display(),
                first_few(&names, NAMED)
            ),
            "move or remove them",
        )
    }
}

/// Collects the untracked files in the way of a new file: at its path, beneath its path, or in place of one of its
/// directories. `old` has the tracked files that are replaced or removed.
fn find_untracked(
    top: &Path,
    new: &Path,
    old: &BTreeSet<&Path>,
    is_submodule: bool,
    found: &mut BTreeSet<PathBuf>,
) -> Result<()> {
    let above = new.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty());
    for directory in above {
        let there = top.join(directory).symlink_metadata();
        if there.is_ok_and(|there| !there.is_dir()) {
            if !old.contains(directory) {
                found.insert(directory.to_owned());
            }
            return Ok(());
        }
    }
    let Ok(there) = top.join(new).symlink_metadata() else { return Ok(()) };
    if !there.is_dir() {
        found.insert(new.to_owned());
        return Ok(());
    }
    // Git leaves the files of a submodule alone.
    if is_submodule { Ok(()) } else { find_files_beneath(top, new, old, found) }
}

fn find_files_beneath(
    top: &Path,
    directory: &Path,
    old: &BTreeSet<&Path>,
    found: &mut BTreeSet<PathBuf>,
) -> Result<()> {
    let path = top.join(directory);
    for entry in fs::read_dir(&path).doing("list", &path)? {
        let entry = entry.doing("list", &path)?;
        let relative = directory.join(entry.file_name());
        if entry.file_type().doing("examine", &path)?.is_dir() {
            find_files_beneath(top, &relative, old, found)?;
        } else if !old.contains(relative.as_path()) {
            found.insert(relative);
        }
    }
    Ok(())
}

/// Returns the path of a `--porcelain=v2 -z` line about a tracked file.
fn path_of(line: &[u8]) -> Option<String> {
    let columns = match line.first()? {
        b'1' => 8,
        b'u' => 10,
        _ => return None,
    };
    line.splitn(columns + 1, |b| *b == b' ').nth(columns).map(to_text)
}

/// Parses `git diff-tree --raw -z`: modes, ids and a letter in one field, the path in the next.
fn parse_raw(listed: &[u8]) -> Vec<PathChange> {
    let all: Vec<&[u8]> = fields(listed).collect();
    let pairs = all.chunks_exact(2).filter_map(|pair| {
        let columns = String::from_utf8_lossy(pair[0].strip_prefix(b":")?).into_owned();
        let mut columns = columns.split(' ');
        let (old, new) = (columns.next()?.to_owned(), columns.next()?.to_owned());
        Some(PathChange {
            path: from_bytes(pair[1]).to_owned(),
            is_in_old: old != "000000",
            is_in_new: new != "000000",
            is_submodule: [&old, &new].into_iter().any(|mode| mode == "160000"),
        })
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untracked_files_at_above_and_beneath_a_new_file_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path();
        for file in ["a", "b", "c/tracked", "c/own", "d/tracked"] {
            fs::create_dir_all(top.join(file).parent().unwrap()).unwrap();
            fs::write(top.join(file), "").unwrap();
        }
        let old = ["c/tracked", "d/tracked", "t"].map(Path::new);
        let old = BTreeSet::from(old);
        let mut found = BTreeSet::new();
        for new in ["a", "b/x/y", "c", "d", "e/f", "none"] {
            find_untracked(top, Path::new(new), &old, false, &mut found).unwrap();
        }
        let names: Vec<_> = found.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(names, ["a", "b", "c/own"]);
    }

    #[test]
    fn a_raw_difference_tells_old_and_new_files() {
        let listed =
            b":000000 100644 0 1 A\0new\0:100644 000000 1 0 D\0gone\0:160000 160000 1 2 M\0sub\0";
        let shown: Vec<_> = parse_raw(listed)
            .into_iter()
            .map(|c| (c.path.display().to_string(), c.is_in_old, c.is_in_new, c.is_submodule))
            .collect();
        let expected = [
            ("new".to_owned(), false, true, false),
            ("gone".to_owned(), true, false, false),
            ("sub".to_owned(), true, true, true),
        ];
        assert_eq!(shown, expected);
    }
}
