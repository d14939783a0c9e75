//! Whether there is room to work: on every file system that an attempt writes to.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use super::Repo;
use crate::git::error::Result;
use crate::workspace::slot::checkout::blocking;

/// What a slot, its logs and a landing need at least, unless the whole file system is small.
const NEEDED: u64 = 64 << 20;
/// Of a small file system, this part.
const PART: u64 = 10;
const NEEDED_FILES: u64 = 1000;

/// A place that is too full to work in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    pub path: PathBuf,
    pub free_mib: u64,
    pub needed_mib: u64,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, free_mib, needed_mib } = self;
        write!(f, "{} has {free_mib} MiB left, and {needed_mib} MiB are needed", path.display())
    }
}

impl Repo {
    /// The first place that is too full: our folder, the user's objects, the slots' place, or one of `more`. One that cannot be asked is
    /// none.
    pub fn shortage(&self, more: &[&Path]) -> Option<Shortage> {
        let autopack = self.autopack_dir();
        let own = [autopack.as_path(), self.common_dir.as_path()];
        let slots = self.slots_place().ok();
        own.iter().chain(more).copied().chain(slots).find_map(shortage)
    }

    /// Removes the slots in which nobody works, where that gives room to the file system that has none; says how many.
    /// What attempts left in them, and what builds put aside for the next one, can be had again.
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
    // Some file systems do not count their files, and say 0 of 0.
    let few_files = fs.files() > 0 && fs.files_available() < NEEDED_FILES.min(fs.files() / PART);
    (free < needed || few_files).then(|| Shortage {
        path: path.to_owned(),
        free_mib: free >> 20,
        needed_mib: needed.div_ceil(1 << 20),
    })
}
