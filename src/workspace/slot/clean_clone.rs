//! A clean clone: CI's checkout of a slot in a new directory, never used by an agent, setup or CI.

use super::Slot;
use crate::git::error::{Context, Result};
use crate::git::removal::remove_any;
use crate::workspace::blocking_work::blocking;
use crate::workspace::repo::Repo;
use crate::workspace::repo::slot_place::{git_dir_of, private_directory_of};

impl Repo {
    /// Acquires a slot with a new checkout for CI: nothing from an earlier run is in this checkout, not even caches.
    ///
    /// # Errors
    /// If the slot cannot be created.
    pub async fn acquire_clean_clone(&self) -> Result<Slot> {
        let mut slot = self.acquire_slot().await?;
        slot.move_ci(self.place()?.clean_clone(slot.number()))?;
        // Left by a killed autopack.
        slot.remove_clean_clone().await?;
        Ok(slot)
    }
}

impl Slot {
    /// Removes the checkout created by [`Repo::acquire_clean_clone`].
    ///
    /// # Errors
    /// If a file cannot be removed.
    pub async fn remove_clean_clone(&mut self) -> Result<()> {
        self.ci_contents = None;
        self.drop_seal()?;
        self.repo.brought.forget(&self.ci.dir);
        let dir = self.ci.dir.clone();
        let private = private_directory_of(self.repo.place()?, self.number()).join("clean");
        blocking(move || {
            for path in [git_dir_of(&dir), dir, private] {
                remove_any(&path).doing("remove", &path)?;
            }
            Ok(())
        })
        .await
    }
}
