//! Removes whatever stands at a path: read-only or not, and however deep.
//!
//! Not `fs::remove_dir_all`: it needs a stack frame and an open file for each level, and an agent can make folders within
//! folders by the ten thousand. No path is long enough for those: what lies too deep is moved up first.

use std::fs::{self, DirEntry, FileType, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Bytes of a path at which a folder is still looked into: with a name of 255 more it is short enough for the
/// kernel (4096, `PATH_MAX`).
const LONGEST: usize = 3800;

/// Levels beneath the top at which a folder is still removed where it lies. The kernel goes through all of a path each
/// time: what lies deeper costs more than to move it up once.
const DEEPEST: usize = 64;

/// Removes whatever is there; what is not there any more is no error.
pub(crate) fn remove(path: &Path, kind: FileType) -> io::Result<()> {
    match kind.is_dir() {
        true => remove_folder(path),
        false => gone(fs::remove_file(path)),
    }
}

/// The same for a path where there may be nothing.
pub(crate) fn remove_any(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) => remove(path, found.file_type()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Folder by folder, one of them open at a time.
fn remove_folder(top: &Path) -> io::Result<()> {
    let mut pit = Pit { top, filled: 0 };
    let mut open = vec![(top.to_owned(), 0)];
    let mut emptied = Vec::new();
    while let Some((folder, depth)) = open.pop() {
        for entry in entries(&folder)? {
            let path = entry.path();
            if !entry.file_type()?.is_dir() {
                gone(fs::remove_file(path))?;
            } else if depth >= DEEPEST || is_too_long(&path) {
                open.push((pit.take_up(&path)?, 1));
            } else {
                open.push((path, depth + 1));
            }
        }
        emptied.push(folder);
    }
    // Each comes after the one that it lies in.
    emptied.iter().rev().try_for_each(|folder| gone(fs::remove_dir(folder)))
}

/// Where what lies too deep is moved to: beneath the top of what is being removed.
struct Pit<'a> {
    top: &'a Path,
    filled: u64,
}

impl Pit<'_> {
    fn take_up(&mut self, folder: &Path) -> io::Result<PathBuf> {
        // Its `..` is written to.
        open_up(folder)?;
        loop {
            let place = self.top.join(self.filled.to_string());
            self.filled += 1;
            match fs::rename(folder, &place) {
                // Without room there it would be moved for ever.
                Ok(()) if is_too_long(&place) => return Err(ErrorKind::InvalidFilename.into()),
                Ok(()) => return Ok(place),
                Err(error) if is_taken(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Something of this name is there, and no empty folder.
fn is_taken(error: &io::Error) -> bool {
    use ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotADirectory};
    matches!(error.kind(), AlreadyExists | DirectoryNotEmpty | NotADirectory)
}

/// Whether a folder is too deep to be looked into by its path.
pub(crate) fn is_too_long(path: &Path) -> bool {
    path.as_os_str().as_bytes().len() > LONGEST
}

/// What lies in a folder, all of it read before anything there is changed. The folder is open as long as they are kept.
pub(crate) fn entries(folder: &Path) -> io::Result<Vec<DirEntry>> {
    open_up(folder)?;
    fs::read_dir(folder)?.collect()
}

/// Lets us list, enter and change a folder.
pub(crate) fn open_up(folder: &Path) -> io::Result<()> {
    let mode = fs::symlink_metadata(folder)?.permissions().mode();
    if mode & 0o700 != 0o700 {
        fs::set_permissions(folder, Permissions::from_mode(mode | 0o700))?;
    }
    Ok(())
}

fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Folders within folders below `at`, with a file in the last one. No path is long enough to make them with.
    fn dig(at: &Path, name: &str, levels: usize) {
        let script = "import os, sys\nfor _ in range(int(sys.argv[2])):\n    os.mkdir(sys.argv[1]); os.chdir(sys.argv[1])\nopen('f', 'w')";
        let mut python = Command::new("python3");
        let done = python.args(["-c", script, name, &levels.to_string()]).current_dir(at).status();
        assert!(done.unwrap().success());
    }

    #[test]
    fn folders_without_end_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("top");
        for (name, levels) in [("d", 3_000), (&*"n".repeat(255), 40)] {
            fs::create_dir(&top).unwrap();
            // Names that the pit would take.
            fs::create_dir_all(top.join("0/x")).unwrap();
            fs::write(top.join("1"), "").unwrap();
            dig(&top, name, levels);
            remove_any(&top).unwrap();
            assert!(!top.exists());
        }
    }

    #[test]
    fn what_is_read_only_is_removed_and_what_links_lead_to_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (top, beside) = (dir.path().join("top"), dir.path().join("beside"));
        fs::create_dir_all(top.join("a/b")).unwrap();
        fs::create_dir(&beside).unwrap();
        fs::write(beside.join("f"), "").unwrap();
        std::os::unix::fs::symlink(&beside, top.join("a/b/link")).unwrap();
        for folder in ["a/b", "a", ""] {
            fs::set_permissions(top.join(folder), Permissions::from_mode(0o000)).unwrap();
        }
        remove_any(&top).unwrap();
        remove_any(&top).unwrap();
        assert!(!top.exists() && beside.join("f").exists());
    }
}
