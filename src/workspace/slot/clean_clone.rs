//! A clean clone: CI's checkout of a slot in a new directory, which no agent, setup or CI has ever seen.

use super::Slot;
use super::checkout::blocking;
use crate::git::error::{Context, Result};
use crate::git::removal::remove_any;
use crate::workspace::repo::Repo;
use crate::workspace::repo::slot_place::git_dir_of;

impl Repo {
    /// A slot whose checkout for CI is new: nothing of an earlier run is in it, caches included.
    pub async fn acquire_clean_clone(&self) -> Result<Slot> {
        let mut slot = self.acquire_slot().await?;
        slot.move_ci(self.place()?.clean_clone(slot.number()))?;
        // One that a killed autopack left.
        slot.remove_clean_clone().await?;
        Ok(slot)
    }
}

impl Slot {
    /// Removes what [`Repo::acquire_clean_clone`] made.
    pub async fn remove_clean_clone(&mut self) -> Result<()> {
        self.ci_holding = None;
        self.repo.brought.forget(&self.ci);
        let dir = self.ci.dir.clone();
        blocking(move || {
            for path in [git_dir_of(&dir), dir] {
                remove_any(&path).doing("remove", &path)?;
            }
            Ok(())
        })
        .await
    }
}
