//! Stamps of files: size, inode and times, to detect writes without reading a file.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Size, inode and times of a file. A stamp changes with every write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStamp {
    bytes: u64,
    inode: u64,
    modified: i128,
    changed: i128,
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

/// Returns the time of the last write, in nanoseconds since 1970.
pub fn modified_at(found: &Metadata) -> i128 {
    i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec())
}

/// Returns the time of the last change of content or attributes, in nanoseconds since 1970. Programs cannot set it.
pub fn changed_at(found: &Metadata) -> i128 {
    i128::from(found.ctime()) * 1_000_000_000 + i128::from(found.ctime_nsec())
}
