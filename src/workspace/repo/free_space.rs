//! Checks for free disk space on every file system used by an attempt.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use super::Repo;
use crate::git::error::Result;
use crate::workspace::slot::checkout::blocking;

/// Minimum free space, in bytes, for a slot, its logs and a landing; less on a small file system.
const NEEDED: u64 = 64 << 20;
/// On a small file system, this fraction of its size is enough.
const PART: u64 = 10;
const NEEDED_FILES: u64 = 1000;

/// A file system too full to work on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// A path on the file system.
    pub path: PathBuf,
    /// Free space in MiB.
    pub free_mib: u64,
    /// Required space in MiB.
    pub needed_mib: u64,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, free_mib, needed_mib } = self;
        write!(f, "{} has {free_mib} MiB left; autopack needs {needed_mib} MiB", path.display())
    }
}

impl Repo {
    /// Returns the first file system with a shortage, checking our directory, the user's objects, the slots directory
    /// and `more`. File systems that cannot be queried are ignored.
    pub fn shortage(&self, more: &[&Path]) -> Option<Shortage> {
        let autopack = self.autopack_dir();
        let own = [autopack.as_path(), self.common_dir.as_path()];
        let slots = self.slots_place().ok();
        own.iter().chain(more).copied().chain(slots).find_map(shortage)
    }

    /// Removes unused slots on the file system with the shortage; returns their number. Files left by attempts and
    /// caches of builds can be created again.
    ///
    /// # Errors
    /// If the slots cannot be listed or removed.
    pub async fn make_room(&self, shortage: &Shortage) -> Result<usize> {
        let device = |path: &Path| std::fs::metadata(path).map(|found| found.dev()).ok();
        let at = device(&shortage.path);
        if at.is_none() || at != device(self.slots_place()?) {
            return Ok(0);
        }
        let repo = self.clone();
        Ok(blocking(move || repo.remove_free_slots()).await?.len())
    }
}

fn shortage(path: &Path) -> Option<Shortage> {
    let fs = statvfs(path).ok()?;
    let size = |blocks: u64| blocks.saturating_mul(fs.fragment_size());
    let (free, needed) = (size(fs.blocks_available()), NEEDED.min(size(fs.blocks()) / PART));
    // Some file systems do not count their files and report 0 of 0.
    let few_files = fs.files() > 0 && fs.files_available() < NEEDED_FILES.min(fs.files() / PART);
    (free < needed || few_files).then(|| Shortage {
        path: path.to_owned(),
        free_mib: free >> 20,
        needed_mib: needed.div_ceil(1 << 20),
    })
}
