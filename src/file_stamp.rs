//! Stamps of files: size, inode and times, to detect writes without reading a file.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use nix::fcntl::{AtFlags, OFlag, open};
use nix::sys::stat::{Mode, fstatat};

/// Time of a change, in nanoseconds since 1970.
pub type ChangeTime = i128;

/// Size, inode and times of a file. A stamp changes with every write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStamp {
    bytes: u64,
    inode: u64,
    modified: ChangeTime,
    changed: ChangeTime,
}

impl FileStamp {
    /// Returns the stamp of a file or of a symbolic link itself; `None` if missing.
    pub fn of(path: &Path) -> Option<Self> {
        fs::symlink_metadata(path).ok().map(|found| Self::from(&found))
    }
}

impl From<&Metadata> for FileStamp {
    fn from(found: &Metadata) -> Self {
        Self {
            bytes: found.len(),
            inode: found.ino(),
            modified: modified_at(found),
            changed: changed_at(found),
        }
    }
}

/// Stamps of files written by this process within reach of agents, taken after writing.
#[derive(Clone, Default)]
pub struct WrittenFiles(Arc<Mutex<BTreeMap<PathBuf, Option<FileStamp>>>>);

impl WrittenFiles {
    /// Records the stamp of a file just written by us.
    pub fn record(&self, file: &Path) {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.insert(file.to_owned(), FileStamp::of(file));
    }

    /// Whether the file is unchanged since we wrote it. False for a file from another process.
    pub fn is_unchanged(&self, file: &Path) -> bool {
        let files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.get(file).is_some_and(|left| left.is_some() && *left == FileStamp::of(file))
    }
}

/// Reads the change times of many files below a directory, one directory after the other: a path from the root of the file
/// system costs twice as much.
pub struct DirectoryStats<'a> {
    top: &'a Path,
    /// The directory of the last file, if it could be opened.
    open: Option<(Vec<u8>, Option<OwnedFd>)>,
}

impl<'a> DirectoryStats<'a> {
    /// Reads below `top`.
    pub fn new(top: &'a Path) -> Self {
        Self { top, open: None }
    }

    /// Returns the change time of a file, or of a symbolic link itself; `None` if missing.
    pub fn changed_at(&mut self, path: &[u8]) -> Option<ChangeTime> {
        let (directory, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&path[..slash], &path[slash + 1..]),
            None => (&path[..0], path),
        };
        if self.open.as_ref().is_none_or(|(open, _)| open != directory) {
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
            let opened = open(&self.top.join(OsStr::from_bytes(directory)), flags, Mode::empty());
            self.open = Some((directory.to_owned(), opened.ok()));
        }
        let opened = self.open.as_ref()?.1.as_ref()?;
        let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
        let found = fstatat(opened, OsStr::from_bytes(name), flags).ok()?;
        Some(i128::from(found.st_ctime) * 1_000_000_000 + i128::from(found.st_ctime_nsec))
    }
}

/// Returns the time of the last write.
pub fn modified_at(found: &Metadata) -> ChangeTime {
    i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec())
}

/// Returns the time of the last change of content or attributes. Programs cannot set it.
pub fn changed_at(found: &Metadata) -> ChangeTime {
    i128::from(found.ctime()) * 1_000_000_000 + i128::from(found.ctime_nsec())
}
