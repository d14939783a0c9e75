//! Removes slots and refs no longer needed.

use std::path::{Path, PathBuf};

use super::Repo;
use super::claim_ref::undo_fence;
use super::run_refs::RunRefNames;
use crate::git::error::{Context, Result};
use crate::git::refs::ref_error;
use crate::git::removal::remove_any;
use crate::phase::RunId;
use crate::process::FileLock;

/// An existing slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotInfo {
    /// Number of the slot, from 0.
    pub number: u32,
    /// The agent's checkout.
    pub path: PathBuf,
    /// Whether a process holds the slot's lock.
    pub in_use: bool,
    /// Whether the slot is reserved for a person.
    pub is_reserved: bool,
}

impl Repo {
    /// Returns every slot, by number.
    ///
    /// # Errors
    /// If the locks cannot be read.
    pub fn slots(&self) -> Result<Vec<SlotInfo>> {
        let place = self.place()?;
        let slot = |number, in_use| SlotInfo {
            number,
            path: place.checkout(number),
            in_use,
            is_reserved: self.is_reserved(number),
        };
        Ok(self.slot_locks()?.into_iter().map(|(number, in_use)| slot(number, in_use)).collect())
    }

    /// Returns the number of each slot with a lock, in order, and whether the lock is held.
    pub(crate) fn slot_locks(&self) -> Result<Vec<(u32, bool)>> {
        let dir = self.locks_dir();
        if dir.is_dir() {
            self.reopen(&dir);
        }
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).doing("list", &dir),
        };
        let mut locks = Vec::new();
        for entry in entries {
            let name = entry.doing("list", &dir)?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".lock"));
            let Some(number) = number.and_then(|number| number.parse().ok()) else { continue };
            let lock = dir.join(&name);
            let in_use = !crate::process::lock::is_free(&lock).doing("check", &lock)?;
            locks.push((number, in_use));
        }
        locks.sort_unstable();
        Ok(locks)
    }

    /// Removes the unused slots not reserved for a person, with their caches and the directories set aside; returns them.
    ///
    /// # Errors
    /// If a slot cannot be removed.
    pub fn remove_free_slots(&self) -> Result<Vec<SlotInfo>> {
        let place = self.place()?;
        let mut removed = Vec::new();
        for slot in self.slots()? {
            let file = self.slot_lock(&slot.number.to_string());
            let Some(lock) = FileLock::try_lock(&file).doing("lock the slot", &file)? else {
                continue;
            };
            // It may have been reserved since the list was made.
            if self.is_reserved(slot.number) {
                continue;
            }
            self.reopen(&place.dir);
            for path in place.of_slot(slot.number).doing("list", &place.dir)? {
                match remove_any(&path) {
                    // Usually files of another user.
                    Err(error) if is_set_aside(&path) => {
                        tracing::warn!("cannot remove {}: {error}", path.display());
                    }
                    done => done.doing("remove", &path)?,
                }
            }
            // Removed while we still hold the lock, so that the next process waiting for the lock creates a new file.
            remove_any(&file).doing("remove", &file)?;
            drop(lock);
            removed.push(slot);
        }
        Ok(removed)
    }

    /// Deletes the fences of a run without phases left to execute, and refs of its merge queue; returns the number of
    /// fences.
    ///
    /// # Errors
    /// If git fails.
    pub async fn drop_fences(&self, run: &RunId) -> Result<usize> {
        self.drop_refs(&format!("refs/autopack/queue/{}/", run.file_name())).await?;
        self.drop_refs(&format!("refs/autopack/claims/{}/", run.file_name())).await
    }

    /// Returns the number of fences of a run.
    ///
    /// # Errors
    /// If git fails.
    pub async fn count_fences(&self, run: &RunId) -> Result<usize> {
        let pattern = format!("refs/autopack/claims/{}/", run.file_name());
        let args = ["for-each-ref", "--format=%(refname)", &pattern];
        let listed = self.git.call("list our refs", args).text().await?;
        Ok(listed.lines().count())
    }

    /// Deletes the fence of an undo or an update: a process that claimed it can no longer land.
    ///
    /// # Errors
    /// If git fails.
    pub async fn drop_undo_fence(&self, run: &RunId) -> Result<()> {
        self.drop_refs(&undo_fence(run)).await.map(drop)
    }

    /// Deletes the refs of a run: its fences, and the record of its branch as ours. The branch stays, and so do
    /// commits landed in `refs/autopack/runs`.
    ///
    /// # Errors
    /// If git fails.
    pub async fn forget_run(&self, run: &RunId) -> Result<()> {
        self.drop_fences(run).await?;
        self.drop_undo_fence(run).await?;
        let run_name = run.file_name();
        self.drop_refs(&format!("refs/autopack/remote/*/heads/autopack/{run_name}")).await?;
        self.drop_refs(&format!("refs/autopack/remote/*/queue/{run_name}/*")).await?;
        self.drop_refs(&RunRefNames::of(run).base).await.map(drop)
    }

    pub(super) async fn drop_refs(&self, pattern: &str) -> Result<usize> {
        let format = "--format=delete %(refname) %(objectname)";
        let args = ["for-each-ref", format, pattern];
        let mut orders = self.git.call("list our refs", args).text().await?;
        if orders.is_empty() {
            return Ok(0);
        }
        orders.push('\n');
        let answer = self.transact("drop our refs", &orders).await?;
        if answer.ok() { Ok(orders.lines().count()) } else { Err(ref_error(answer)) }
    }
}

/// Whether the directory was set aside because removing it failed.
pub(crate) fn is_set_aside(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().contains(".stuck"))
}
