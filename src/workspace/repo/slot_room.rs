//! Checks, before a drain claims anything, whether the disk has room for all the requested slots.
//!
//! A slot is two checkouts, each with the tree, linked directories and its own caches. The size of
//! the caches is estimated from an existing slot.

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
const PLENTY: u64 = 20 << 30;
/// Bytes to keep free besides slots: objects, logs, patches.
const SPARE: u64 = 128 << 20;

/// Room for fewer slots than requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotRoom {
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
        wanted: u32,
        settings: &WorkspaceSettings,
    ) -> Result<Option<SlotRoom>> {
        let place = self.place()?.clone();
        let Ok(disk) = statvfs(&place.dir) else { return Ok(None) };
        let free = disk.blocks_available().saturating_mul(disk.fragment_size());
        if wanted <= 1 || free / u64::from(wanted) >= PLENTY {
            return Ok(None);
        }
        let listed = self.git.call("list the repository's files", ["ls-files", "-z"]);
        let listed = listed.bytes().await?;
        let (root, links) = (self.root.clone(), settings.link.clone());
        let numbers: Vec<u32> = self.slot_locks()?.into_iter().map(|(number, _)| number).collect();
        blocking(move || {
            let tree: u64 = fields(&listed).map(|path| size(&root.join(from_bytes(path)))).sum();
            let linked: u64 = links.iter().map(|path| size_below(&root.join(path))).sum();
            let (mut each, mut there) = (2 * (tree + linked), 0);
            for number in numbers {
                let paths = place.of_slot(number).doing("list", &place.dir)?;
                if !paths.is_empty() {
                    there += 1;
                    each = each.max(paths.iter().map(|path| size_below(path)).sum());
                }
            }
            Ok(count_fitting(wanted, there, each, free.saturating_sub(SPARE)).map(|slots| {
                SlotRoom { slots, each_mib: each.div_ceil(1 << 20), free_mib: free >> 20 }
            }))
        })
        .await
    }
}

/// Returns the number of slots that fit, if lower than requested; `there` slots exist already and need no more room.
fn count_fitting(wanted: u32, there: u32, each: u64, free: u64) -> Option<u32> {
    let more = u32::try_from(free / each.max(1)).unwrap_or(u32::MAX);
    let slots = there.saturating_add(more).max(1);
    (slots < wanted).then_some(slots)
}

/// Size on disk; a sparse file counts only its blocks.
fn size(path: &Path) -> u64 {
    fs::symlink_metadata(path).map_or(0, |found| found.blocks().saturating_mul(512))
}

fn size_below(path: &Path) -> u64 {
    let mut sum = 0;
    let mut open: Vec<PathBuf> = vec![path.to_owned()];
    while let Some(path) = open.pop() {
        sum += size(&path);
        if fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir()) {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            open.extend(entries.map(|entry| entry.path()));
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
