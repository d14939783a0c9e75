//! A private copy of an agent's state, without records of earlier sessions and without large files.

use std::collections::VecDeque;
use std::fs::{self, DirEntry};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

/// Larger files are left out, in bytes.
const LARGEST_FILE: u64 = 32 * 1024 * 1024;
/// Maximum size of a copy, in bytes.
const LARGEST_COPY: u64 = 256 * 1024 * 1024;

/// What a copy leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// Files that are too large, or too many.
    pub large: u64,
    /// Files that cannot be read.
    pub unreadable: u64,
}

/// Copies a directory. `skip` are paths in it that are left out. Files near the top come first: if the limit is reached,
/// settings and logins are copied.
///
/// # Errors
///
/// If the copy cannot be written.
pub(super) fn copy_directory(from: &Path, to: &Path, skip: &[PathBuf]) -> io::Result<LeftOut> {
    let mut left_out = LeftOut::default();
    let mut rest = LARGEST_COPY;
    let mut directories = VecDeque::from([(from.to_owned(), to.to_owned())]);
    while let Some((from, to)) = directories.pop_front() {
        fs::create_dir_all(&to)?;
        fs::set_permissions(&to, PermissionsExt::from_mode(0o700))?;
        let Ok(listed) = fs::read_dir(&from) else {
            left_out.unreadable += 1;
            continue;
        };
        let mut entries: Vec<DirEntry> = listed.flatten().collect();
        entries.sort_by_key(DirEntry::file_name);
        for entry in entries {
            let (path, target) = (entry.path(), to.join(entry.file_name()));
            let Ok(found) = entry.metadata() else { continue };
            if skip.contains(&path) || is_database(&entry) {
                continue;
            }
            if found.is_dir() {
                directories.push_back((path, target));
            } else if found.is_symlink() {
                symlink(link_target(&path)?, target)?;
            } else if found.is_file() {
                if found.len() > LARGEST_FILE.min(rest) {
                    left_out.large += 1;
                } else if fs::copy(&path, &target).is_err() {
                    left_out.unreadable += 1;
                } else {
                    rest -= found.len();
                }
            }
        }
    }
    Ok(left_out)
}

/// A database that is copied while a program writes to it may be broken. Agents create missing ones.
fn is_database(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    let name = name.to_string_lossy();
    [".sqlite", ".db"].iter().any(|part| {
        name.match_indices(part).any(|(at, _)| {
            matches!(name.as_bytes().get(at + part.len()), None | Some(b'-' | b'.' | b'3'))
        })
    })
}

/// Returns the target of a link for a copy at another place: a link that may lead out of the directory becomes
/// absolute.
fn link_target(link: &Path) -> io::Result<PathBuf> {
    let target = fs::read_link(link)?;
    let leads_up = target.components().any(|part| part == Component::ParentDir);
    match (leads_up, link.parent()) {
        (true, Some(parent)) => Ok(parent.join(target)),
        _ => Ok(target),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_settings_and_no_records() {
        let at = tempfile::tempdir().unwrap();
        let (from, to) = (at.path().join("from"), at.path().join("to"));
        fs::create_dir_all(from.join("plugins/one")).unwrap();
        fs::create_dir_all(from.join("sessions")).unwrap();
        for name in
            ["config.toml", "plugins/one/a.js", "sessions/s.jsonl", "state_5.sqlite-wal", "a.dbx"]
        {
            fs::write(from.join(name), name).unwrap();
        }
        symlink("../dotfiles/x", from.join("linked")).unwrap();
        fs::File::create(from.join("large")).unwrap().set_len(LARGEST_FILE + 1).unwrap();
        let left_out = copy_directory(&from, &to, &[from.join("sessions")]).unwrap();
        assert_eq!(left_out, LeftOut { large: 1, unreadable: 0 });
        let mut names: Vec<_> =
            fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["a.dbx", "config.toml", "linked", "plugins"]);
        assert_eq!(fs::read_to_string(to.join("plugins/one/a.js")).unwrap(), "plugins/one/a.js");
        assert_eq!(fs::read_link(to.join("linked")).unwrap(), from.join("../dotfiles/x"));
    }
}
