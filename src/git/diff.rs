//! Difference between two trees as reported by git: paths, objects and the patch.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;

use super::command::GitCall;
use super::error::{Context, Result};
use super::path_bytes::{from_bytes, to_text};
use crate::phase::scope::{Change, ChangeKind};

const NOTHING: &str = "000000";
const DIRECTORY: &str = "040000";
const SUBMODULE: &str = "160000";
const SYMLINK: &str = "120000";

/// The call read by [`Diff::parse`]: every changed file and directory, then the patch. Without [`BINARY`], the patch
/// omits the content of binary files.
pub(crate) const DIFF: [&str; 12] = [
    "diff-tree",
    "-r",
    "-t",
    "-z",
    "--raw",
    "-p",
    "--full-index",
    "--no-renames",
    "--no-ext-diff",
    "--no-textconv",
    "--src-prefix=a/",
    "--dst-prefix=b/",
];

pub(crate) const BINARY: &str = "--binary";

/// Compares `trees` with `call` and returns the output. The output goes through `file`, because a diff has no upper
/// bound, and captured output has one.
pub(crate) async fn diff_through_file<A: AsRef<OsStr>>(
    file: &Path,
    call: GitCall,
    trees: impl IntoIterator<Item = A>,
) -> Result<Vec<u8>> {
    let mut output = OsString::from("--output=");
    output.push(file);
    call.arg(output).args(trees).bytes().await?;
    let output = fs::read(file).doing("read", file)?;
    fs::remove_file(file).doing("remove", file)?;
    Ok(output)
}

/// Difference between a tree and its predecessor.
#[derive(Debug)]
pub(crate) struct Diff {
    pub tree: String,
    /// Files, symbolic links and submodules.
    pub changes: Vec<RawChange>,
    /// Current ids of the directories with changes.
    pub directories: Vec<String>,
    pub patch: Vec<u8>,
    /// Whether the patch is complete; false if git could not include the content of binary files.
    pub whole: bool,
}

/// A line of `--raw -z`: `:old-mode new-mode old-id new-id letter`, then the path.
#[derive(Clone, Debug)]
pub(crate) struct RawChange {
    old_mode: String,
    new_mode: String,
    old_id: String,
    new_id: String,
    letter: u8,
    pub path: Vec<u8>,
}

impl Diff {
    /// Parses pairs of facts and path, each ended by NUL, then another NUL and the patch.
    pub fn parse(tree: String, output: &[u8]) -> Self {
        let (changes, directories, patch) = (Vec::new(), Vec::new(), Vec::new());
        let mut diff = Self { tree, changes, directories, patch, whole: true };
        let mut rest = output;
        while rest.first() == Some(&b':') {
            let mut parts = rest.splitn(3, |b| *b == 0);
            let (Some(facts), Some(path), Some(after)) = (parts.next(), parts.next(), parts.next())
            else {
                break;
            };
            rest = after;
            diff.note(&String::from_utf8_lossy(facts), path);
        }
        diff.patch = rest.strip_prefix(b"\0").unwrap_or(rest).to_vec();
        diff
    }

    fn note(&mut self, facts: &str, path: &[u8]) {
        let facts: Vec<&str> = facts.trim_start_matches(':').split(' ').collect();
        let [old_mode, new_mode, old_id, new_id, letter] = facts[..] else { return };
        let is_directory = |mode: &str| matches!(mode, DIRECTORY | NOTHING);
        if is_directory(old_mode) && is_directory(new_mode) {
            if new_mode == DIRECTORY {
                self.directories.push(new_id.to_owned());
            }
            return;
        }
        self.changes.push(RawChange {
            old_mode: old_mode.to_owned(),
            new_mode: new_mode.to_owned(),
            old_id: old_id.to_owned(),
            new_id: new_id.to_owned(),
            letter: letter.bytes().next().unwrap_or(b'M'),
            path: path.to_vec(),
        });
    }
}

impl RawChange {
    /// Returns the path of a new nested repository, if there was no submodule before.
    pub fn new_repository(&self) -> Option<Vec<u8>> {
        (self.new_mode == SUBMODULE && self.old_mode != SUBMODULE).then(|| self.path.clone())
    }

    pub fn is_about_a_submodule(&self) -> bool {
        self.new_mode == SUBMODULE || self.old_mode == SUBMODULE
    }

    /// Whether the path was a symbolic link, or is a symbolic link now.
    pub fn is_about_a_link(&self) -> bool {
        self.new_mode == SYMLINK || self.old_mode == SYMLINK
    }

    /// Whether an existing file has new content.
    pub fn is_new_content(&self) -> bool {
        let is_file = |mode: &str| mode.starts_with("100");
        is_file(&self.old_mode) && is_file(&self.new_mode) && self.new_id != self.old_id
    }

    /// Whether another change results in the same content.
    pub fn is_same_content(&self, other: &Self) -> bool {
        self.new_mode == other.new_mode && self.new_id == other.new_id
    }

    /// Returns the line for `update-index -z --index-info` to undo this change in an index.
    pub fn order_back(&self) -> Vec<u8> {
        let mut order = format!("{} {}\t", self.old_mode, self.old_id).into_bytes();
        order.extend_from_slice(&self.path);
        order.push(0);
        order
    }

    pub fn is_deletion(&self) -> bool {
        self.new_mode == NOTHING
    }

    /// Returns the object id of the new file or link, if the change has a new object.
    pub fn new_object(&self) -> Option<&str> {
        let is_object = !self.is_deletion() && self.new_mode != SUBMODULE;
        (is_object && self.new_id != self.old_id).then_some(self.new_id.as_str())
    }

    pub fn to_change(&self, root: &Path) -> Change {
        let kind = match self.letter {
            b'A' => ChangeKind::Added,
            b'D' => ChangeKind::Deleted,
            b'T' => ChangeKind::TypeChanged,
            _ if self.old_id == self.new_id => ChangeKind::ModeChanged,
            _ => ChangeKind::Modified,
        };
        let link =
            (self.new_mode == SYMLINK).then(|| fs::read_link(root.join(from_bytes(&self.path))));
        let symlink_target =
            link.and_then(|target| target.ok()).map(|t| t.to_string_lossy().into_owned());
        Change { path: to_text(&self.path), kind, symlink_target, lets_out: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_directories_and_the_patch_are_distinguished() {
        let output = b":040000 040000 bb bc M\0d\0:100644 100755 aa aa M\0d/run.sh\0\
                     :000000 160000 00 bb A\0a\nb\0:040000 000000 cc 00 D\0e\0\
                     :100644 000000 dd 00 D\0e/f\0\0diff --git a/x\0";
        let diff = Diff::parse("t".into(), output);
        assert_eq!(diff.directories, ["bc"]);
        let paths: Vec<String> = diff.changes.iter().map(|change| to_text(&change.path)).collect();
        assert_eq!(paths, ["d/run.sh", "a\nb", "e/f"]);
        assert_eq!(diff.changes[0].to_change(Path::new("/")).kind, ChangeKind::ModeChanged);
        assert_eq!(diff.changes[0].new_object(), None);
        assert_eq!(diff.changes[1].new_repository(), Some(b"a\nb".to_vec()));
        assert!(diff.changes[2].is_deletion() && diff.changes[2].new_object().is_none());
        assert_eq!(diff.patch, b"diff --git a/x\0");
        assert!(Diff::parse("t".into(), b"").changes.is_empty());
    }
}
