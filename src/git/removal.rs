//! Removes everything at a path, read-only or not, at any depth.
//!
//! `fs::remove_dir_all` needs a stack frame and an open file for each level, and an agent can nest
//! directories by the ten thousand, deeper than the longest path allowed: entries too deep are
//! moved up first.

use std::fs::{self, DirEntry, FileType, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Maximum path length in bytes for reading a directory: with a name of 255 bytes more, the path still fits the
/// kernel's limit (4096, `PATH_MAX`).
const LONGEST: usize = 3800;

/// Maximum depth for removing a directory in place. The kernel resolves the whole path each time, so moving deeper
/// directories up once is cheaper.
const DEEPEST: usize = 64;

/// Removes an entry of this kind; a missing entry is no error.
pub(crate) fn remove(path: &Path, kind: FileType) -> io::Result<()> {
    match kind.is_dir() {
        true => remove_directory(path),
        false => ignore_missing(fs::remove_file(path)),
    }
}

/// Removes anything at the path; a missing entry is no error.
pub(crate) fn remove_any(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) => remove(path, found.file_type()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes directory by directory, with only one open at a time.
fn remove_directory(top: &Path) -> io::Result<()> {
    let mut pit = DeepMoveTarget { top, filled: 0 };
    let mut open = vec![(top.to_owned(), 0)];
    let mut emptied = Vec::new();
    while let Some((directory, depth)) = open.pop() {
        for entry in entries(&directory)? {
            let path = entry.path();
            if !entry.file_type()?.is_dir() {
                ignore_missing(fs::remove_file(path))?;
            } else if depth >= DEEPEST || is_too_long(&path) {
                open.push((pit.move_up(&path)?, 1));
            } else {
                open.push((path, depth + 1));
            }
        }
        emptied.push(directory);
    }
    // Children come after their parents, so the reverse order removes children first.
    emptied.iter().rev().try_for_each(|directory| ignore_missing(fs::remove_dir(directory)))
}

/// Target directory for entries too deep to remove: directly in the directory being removed.
struct DeepMoveTarget<'a> {
    top: &'a Path,
    filled: u64,
}

impl DeepMoveTarget<'_> {
    fn move_up(&mut self, directory: &Path) -> io::Result<PathBuf> {
        // Moving a directory writes its `..`.
        open_up(directory)?;
        loop {
            let place = self.top.join(self.filled.to_string());
            self.filled += 1;
            match fs::rename(directory, &place) {
                // If the target path is too long as well, the move would repeat forever.
                Ok(()) if is_too_long(&place) => return Err(ErrorKind::InvalidFilename.into()),
                Ok(()) => return Ok(place),
                Err(error) if is_taken(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether the name is taken, by anything except an empty directory.
fn is_taken(error: &io::Error) -> bool {
    use ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotADirectory};
    matches!(error.kind(), AlreadyExists | DirectoryNotEmpty | NotADirectory)
}

/// Whether a path is too long for reading the directory.
pub(crate) fn is_too_long(path: &Path) -> bool {
    path.as_os_str().as_bytes().len() > LONGEST
}

/// Reads all entries of a directory before any change to them. The directory stays open as long as the entries live.
pub(crate) fn entries(directory: &Path) -> io::Result<Vec<DirEntry>> {
    open_up(directory)?;
    fs::read_dir(directory)?.collect()
}

/// Gives us permission to list, enter and change a directory.
pub(crate) fn open_up(directory: &Path) -> io::Result<()> {
    let mode = fs::symlink_metadata(directory)?.permissions().mode();
    if mode & 0o700 != 0o700 {
        fs::set_permissions(directory, Permissions::from_mode(mode | 0o700))?;
    }
    Ok(())
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Nests directories in `at`, with a file in the last directory. Their path is too long to create them directly.
    fn dig(at: &Path, name: &str, levels: usize) {
        let script = "import os, sys\nfor _ in range(int(sys.argv[2])):\n    os.mkdir(sys.argv[1]); os.chdir(sys.argv[1])\nopen('f', 'w')";
        let mut python = Command::new("python3");
        let done = python.args(["-c", script, name, &levels.to_string()]).current_dir(at).status();
        assert!(done.unwrap().success());
    }

    #[test]
    fn very_deep_directories_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("top");
        for (name, levels) in [("d", 3_000), (&*"n".repeat(255), 40)] {
            fs::create_dir(&top).unwrap();
            // Names also used by the pit.
            fs::create_dir_all(top.join("0/x")).unwrap();
            fs::write(top.join("1"), "").unwrap();
            dig(&top, name, levels);
            remove_any(&top).unwrap();
            assert!(!top.exists());
        }
    }

    #[test]
    fn read_only_files_are_removed_and_link_targets_stay() {
        let dir = tempfile::tempdir().unwrap();
        let (top, beside) = (dir.path().join("top"), dir.path().join("beside"));
        fs::create_dir_all(top.join("a/b")).unwrap();
        fs::create_dir(&beside).unwrap();
        fs::write(beside.join("f"), "").unwrap();
        std::os::unix::fs::symlink(&beside, top.join("a/b/link")).unwrap();
        for directory in ["a/b", "a", ""] {
            fs::set_permissions(top.join(directory), Permissions::from_mode(0o000)).unwrap();
        }
        remove_any(&top).unwrap();
        remove_any(&top).unwrap();
        assert!(!top.exists() && beside.join("f").exists());
    }
}
