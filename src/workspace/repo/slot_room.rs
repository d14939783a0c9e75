//! Checks, before a drain claims anything, whether the disk has room for all the requested slots.
//!
//! A slot is two checkouts, each with the tree, linked directories and its own caches. The size of
//! the caches is taken from the largest existing slot.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use super::Repo;
use crate::config::WorkspaceSettings;
use crate::git::command::fields;
use crate::git::error::{Context, Result};
use crate::git::path_bytes::from_bytes;
use crate::workspace::blocking_work::blocking;

/// Free bytes for each slot that make measuring unnecessary: walking through large caches would take too long.
const PLENTY_PER_SLOT: u64 = 20 << 30;
/// Bytes to keep free besides slots: objects, logs, patches.
const SPARE: u64 = 128 << 20;

/// Shortage of disk space: room for fewer slots than requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotShortage {
    /// Number of slots that fit; at least 1, since lack of room for the first slot is reported on use.
    pub slots: u32,
    /// Estimated size of a slot in MiB.
    pub each_mib: u64,
    /// Free space in MiB.
    pub free_mib: u64,
}

impl Repo {
    /// Returns the shortage; `None` if there is room for all requested slots.
    ///
    /// # Errors
    /// If git cannot list the repository's files.
    pub async fn room_for_slots(
        &self,
        requested: u32,
        settings: &WorkspaceSettings,
    ) -> Result<Option<SlotShortage>> {
        let place = self.place()?.clone();
        // Unknown free space is no reason to use fewer workers.
        let Ok(disk) = statvfs(&place.dir) else { return Ok(None) };
        let free = disk.blocks_available().saturating_mul(disk.fragment_size());
        if requested <= 1 || free / u64::from(requested) >= PLENTY_PER_SLOT {
            return Ok(None);
        }
        let listed = self.git.call("list the repository's files", ["ls-files", "-z"]);
        let listed = listed.bytes().await?;
        let (root, links) = (self.root.clone(), settings.link.clone());
        let numbers: Vec<u32> = self.slot_locks()?.into_iter().map(|(number, _)| number).collect();
        blocking(move || {
            let tree: u64 = fields(&listed).map(|path| size(&root.join(from_bytes(path)))).sum();
            let linked: u64 = links.iter().map(|path| size_below(&root.join(path))).sum();
            let (mut slot_bytes, mut existing) = (2 * (tree + linked), 0);
            for number in numbers {
                let paths = place.of_slot(number).doing("list", &place.dir)?;
                if !paths.is_empty() {
                    existing += 1;
                    slot_bytes = slot_bytes.max(paths.iter().map(|path| size_below(path)).sum());
                }
            }
            Ok(count_fitting(requested, existing, slot_bytes, free.saturating_sub(SPARE)).map(
                |slots| SlotShortage {
                    slots,
                    each_mib: slot_bytes.div_ceil(1 << 20),
                    free_mib: free >> 20,
                },
            ))
        })
        .await
    }
}

/// Returns the number of slots that fit, if lower than requested; the `existing` slots need no more room.
fn count_fitting(requested: u32, existing: u32, slot_bytes: u64, free: u64) -> Option<u32> {
    let additional = u32::try_from(free / slot_bytes.max(1)).unwrap_or(u32::MAX);
    let slots = existing.saturating_add(additional).max(1);
    (slots < requested).then_some(slots)
}

/// Size on disk; a sparse file counts only its blocks.
fn size(path: &Path) -> u64 {
    fs::symlink_metadata(path).map_or(0, |found| found.blocks().saturating_mul(512))
}

fn size_below(path: &Path) -> u64 {
    let mut sum = 0;
    let mut pending: Vec<PathBuf> = vec![path.to_owned()];
    while let Some(path) = pending.pop() {
        sum += size(&path);
        if fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir()) {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            pending.extend(entries.map(|entry| entry.path()));
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_slots_as_fit_and_at_least_one() {
        assert_eq!(count_fitting(4, 0, 100, 400), None);
        assert_eq!(count_fitting(4, 0, 100, 250), Some(2));
        assert_eq!(count_fitting(4, 2, 100, 100), Some(3));
        assert_eq!(count_fitting(4, 0, 100, 0), Some(1));
        assert_eq!(count_fitting(2, 0, 0, 10), None);
    }
}
