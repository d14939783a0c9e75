//! Removal of slots in the checkout, left by older versions, at the start of a drain. Work not landed is kept as a
//! patch.

use std::fs;
use std::path::{Path, PathBuf};

use super::Drain;
use crate::attempt::{AttemptDirectory, AttemptError};
use crate::store::InFlight;
use crate::workspace::{OldSlot, OldWork};

impl Drain<'_> {
    /// Lists attempts of all drains with a slot. Called before recovery, since recovery forgets them.
    pub(super) async fn attempts_in_slots(&self) -> Result<Vec<InFlight>, AttemptError> {
        let owners = self.context.store.owners().await?;
        let all = owners.into_iter().flat_map(|owner| owner.executing);
        Ok(all.filter(|work| work.slot.is_some()).collect())
    }

    /// Removes slots of older versions and keeps their work.
    pub(super) async fn remove_old_slots(&self, in_slots: &[InFlight]) -> Result<(), AttemptError> {
        for old in self.context.repo.old_slots()? {
            let number = old.number;
            match self.context.repo.work_in(&old, &self.context.settings.workspace).await {
                Ok(Some(work)) => self.keep_old_work(&old, &work, in_slots)?,
                Ok(None) => {}
                Err(error) => {
                    // An extra directory is better than lost work.
                    self.context.progress.note(&format!(
                        "slot {number} of an older version stays in .autopack/slots because it cannot be read: {error}"
                    ));
                    continue;
                }
            }
            tracing::debug!("removing slot {number} of an older version");
            self.context.repo.remove_old(old);
        }
        Ok(())
    }

    fn keep_old_work(
        &self,
        old: &OldSlot,
        work: &OldWork,
        in_slots: &[InFlight],
    ) -> Result<(), AttemptError> {
        let context = &self.context;
        let patch = context.redactor.redact_bytes(&work.patch);
        let attempts = context.repo.autopack_dir().join("attempts");
        if is_kept(&attempts, &patch) {
            return Ok(());
        }
        let number = old.number.to_string();
        let owner = in_slots.iter().find(|attempt| attempt.slot.as_deref() == Some(&*number));
        let own = owner.map(|attempt| {
            let (run, phase) = (&attempt.run_id, &attempt.phase_id);
            let directory = context.repo.autopack_dir();
            AttemptDirectory::at(AttemptDirectory::locate(&directory, run, phase, attempt.attempt))
                .patch()
        });
        let beside = || attempts.join(format!("slot-{number}.patch"));
        let file = own.filter(|patch| !patch.exists()).unwrap_or_else(beside);
        let directory = file.parent().unwrap_or(&attempts);
        fs::create_dir_all(directory).map_err(|error| AttemptError::io(directory, error))?;
        fs::write(&file, patch).map_err(|error| AttemptError::io(&file, error))?;
        context.progress.note(&format!(
            "slot {number} of an older version held work that did not land; the work is kept in {}",
            file.strip_prefix(context.repo.root()).unwrap_or(&file).display()
        ));
        Ok(())
    }
}

/// Returns whether an attempt already kept the same patch.
fn is_kept(attempts: &Path, patch: &[u8]) -> bool {
    let below = |directory: PathBuf| {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.path())
    };
    let mut directories = below(attempts.to_owned()).flat_map(below).flat_map(below);
    directories.any(|directory| {
        fs::read(AttemptDirectory::at(directory).patch()).is_ok_and(|kept| kept == patch)
    })
}
