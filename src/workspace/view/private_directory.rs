//! The private directory of a checkout in a slot, on the slot's disk: `<slot>.view/agent`, `ci` or `clean`.
//!
//! | entry | content |
//! |---|---|
//! | `tmp`, `var-tmp`, `runtime` | the program's `/tmp`, `/var/tmp` and `XDG_RUNTIME_DIR` |
//! | `tmp-lower`, `tmp-work` | for an overlay of `tmp` |
//! | `home` | new entries of the home directory |
//! | `mirror/<hash>` | new entries of directories such as `~/.local` |
//! | `over/<hash>` | changes to package caches |
//! | `link/<hash>` | changes to `workspace.link` directories, until a reset |
//! | `files` | files of autopack, shown read-only |
//!
//! A program may leave anything in a directory that it can write: directories without permissions, work directories
//! of overlays, links to the user's files. No link is followed here.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::PrivateFiles;
use crate::git::error::{Context, Result};
use crate::git::path_bytes::to_bytes;
use crate::git::removal::{entries, remove_any};
use crate::phase::words::hex;

/// Directories emptied at the start of each attempt and of each run of CI.
const SHORT_LIVED: [&str; 5] = ["tmp", "tmp-work", "var-tmp", "runtime", "other-tmp"];
/// Changes to linked directories.
const LINKS: &str = "link";
const FILES: &str = "files";

/// A private directory of one checkout.
#[derive(Clone, Debug)]
pub(super) struct PrivateDirectory {
    top: PathBuf,
}

/// Directories of an overlay.
pub(super) struct OverlayDirectories {
    pub upper: PathBuf,
    pub work: PathBuf,
}

impl PrivateDirectory {
    /// Creates the directory `name` in `parent`, and removes what earlier programs left, as asked.
    pub fn open(parent: &Path, name: &str, left: PrivateFiles) -> Result<Self> {
        let top = parent.join(name);
        for directory in [parent, &top] {
            own_directory(directory, 0o700).doing("create the directory", directory)?;
        }
        let private = Self { top };
        let emptied: Vec<PathBuf> = match left {
            PrivateFiles::Keep => Vec::new(),
            PrivateFiles::StartAttempt => SHORT_LIVED.map(|name| private.top.join(name)).into(),
            PrivateFiles::RemoveAll => vec![private.top.clone()],
        };
        emptied.iter().try_for_each(|path| empty(path).doing("empty the directory", path))?;
        Ok(private)
    }

    /// Removes changes to linked directories.
    pub fn remove_link_changes(&self) -> Result<()> {
        let links = self.top.join(LINKS);
        remove_any(&links).doing("remove", &links)
    }

    /// Returns a directory, created if missing. `name` may have several parts.
    pub fn directory(&self, name: &str, mode: u32) -> Result<PathBuf> {
        let mut at = self.top.clone();
        let parts: Vec<&str> = name.split('/').collect();
        for (index, part) in parts.iter().enumerate() {
            at.push(part);
            let mode = if index + 1 == parts.len() { mode } else { 0o700 };
            own_directory(&at, mode).doing("create the directory", &at)?;
        }
        Ok(at)
    }

    /// Creates a directory of the program below one of these directories; anything else in its place is removed.
    pub fn directory_below(&self, directory: &Path, below: &Path) -> Result<()> {
        let mut at = directory.to_owned();
        for part in below {
            at.push(part);
            own_directory(&at, 0o700).doing("create the directory", &at)?;
        }
        Ok(())
    }

    /// Returns the directory for new entries of `target`.
    pub fn backing(&self, target: &Path) -> Result<PathBuf> {
        self.directory(&format!("mirror/{}", path_hash(target)), 0o700)
    }

    /// Returns the directories for changes to `target`. `group` is `over` or `link`.
    pub fn overlay(&self, group: &str, target: &Path) -> Result<OverlayDirectories> {
        let hash = path_hash(target);
        let upper = self.directory(&format!("{group}/{hash}/upper"), 0o755)?;
        let work = self.directory(&format!("{group}/{hash}/work"), 0o700)?;
        Ok(OverlayDirectories { upper, work })
    }

    /// Writes a file for the program to read. Another program may still have the earlier file.
    pub fn file(&self, name: &str, content: &[u8]) -> Result<PathBuf> {
        let file = self.directory(FILES, 0o700)?.join(name);
        let is_plain = fs::symlink_metadata(&file).is_ok_and(|found| found.is_file());
        if !is_plain || fs::read(&file).ok().as_deref() != Some(content) {
            remove_any(&file).and_then(|()| fs::write(&file, content)).doing("write", &file)?;
        }
        Ok(file)
    }

    /// Returns a directory that stands for `target`, with nothing but mount points. Those of earlier programs stay:
    /// removing a mount point would end the mount in the view of a running program.
    pub fn shell(&self, target: &Path) -> Result<PathBuf> {
        self.directory(&format!("{FILES}/shell-{}", path_hash(target)), 0o755)
    }
}

/// Returns a short name for a path.
pub(super) fn path_hash(path: &Path) -> String {
    hex(&Sha256::digest(to_bytes(path))[..6])
}

/// Makes sure of a directory with this mode. Removes anything else at the path, and follows no link.
fn own_directory(path: &Path, mode: u32) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => {
            if found.permissions().mode() & 0o7777 != mode {
                fs::set_permissions(path, Permissions::from_mode(mode))?;
            }
            return Ok(());
        }
        Ok(_) => remove_any(path)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    DirBuilder::new().mode(0o700).create(path)?;
    match mode {
        0o700 => Ok(()),
        // Without the umask.
        mode => fs::set_permissions(path, Permissions::from_mode(mode)),
    }
}

/// Removes everything in a directory; a missing directory is empty, and anything else is removed.
fn empty(directory: &Path) -> io::Result<()> {
    match fs::symlink_metadata(directory) {
        Ok(found) if found.is_dir() => {
            entries(directory)?.iter().try_for_each(|entry| remove_any(&entry.path()))
        }
        _ => remove_any(directory),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn directories_are_private_and_emptied_at_the_start() {
        let temp = tempfile::tempdir().unwrap();
        let view = temp.path().join("app-0.view");
        let open = |left| PrivateDirectory::open(&view, "agent", left).unwrap();
        let private = open(PrivateFiles::Keep);
        let tmp = private.directory("tmp", 0o1777).unwrap();
        let cache = private.overlay("over", Path::new("/home/u/.cargo")).unwrap();
        assert_eq!((mode(&view), mode(&private.top), mode(&tmp)), (0o700, 0o700, 0o1777));
        fs::create_dir_all(tmp.join("a/b")).unwrap();
        fs::create_dir(cache.work.join("work")).unwrap();
        fs::write(cache.upper.join("kept"), "").unwrap();
        for directory in [tmp.join("a/b"), tmp.join("a"), cache.work.join("work"), tmp.clone()] {
            chmod(&directory, 0);
        }
        let private = open(PrivateFiles::StartAttempt);
        assert_eq!(fs::read_dir(&tmp).unwrap().count(), 0);
        assert_eq!(private.directory("tmp", 0o1777).unwrap(), tmp);
        assert!(cache.upper.join("kept").exists());
        chmod(&cache.upper, 0);
        chmod(&private.top, 0);
        let private = open(PrivateFiles::RemoveAll);
        assert_eq!(fs::read_dir(&private.top).unwrap().count(), 0);
    }

    #[test]
    fn links_are_replaced_and_their_targets_stay() {
        let temp = tempfile::tempdir().unwrap();
        let (view, users) = (temp.path().join("app-0.view"), temp.path().join("users"));
        fs::create_dir_all(users.join("tmp")).unwrap();
        fs::write(users.join("tmp/file"), "").unwrap();
        let open = |left| PrivateDirectory::open(&view, "agent", left).unwrap();
        symlink(&users, &view).unwrap();
        open(PrivateFiles::RemoveAll);
        assert!(fs::symlink_metadata(&view).unwrap().is_dir());
        fs::remove_dir(view.join("agent")).unwrap();
        symlink(&users, view.join("agent")).unwrap();
        let private = open(PrivateFiles::StartAttempt);
        symlink(users.join("tmp"), private.top.join("tmp")).unwrap();
        let tmp = private.directory("tmp", 0o1777).unwrap();
        symlink(&users, tmp.join("user")).unwrap();
        private.directory_below(&tmp, Path::new("user/1000")).unwrap();
        assert!(tmp.join("user/1000").is_dir());
        open(PrivateFiles::StartAttempt);
        assert!(users.join("tmp/file").exists() && !users.join("1000").exists());
    }
}
