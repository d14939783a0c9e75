//! Slots of versions that kept them in the checkout are removed when a drain starts; what did not land is kept as a patch.

use std::fs;
use std::path::{Path, PathBuf};

use super::Drain;
use crate::attempt::{AttemptFolder, Trouble};
use crate::store::InFlight;
use crate::workspace::{OldSlot, OldWork};

impl Drain<'_> {
    /// The attempts of all drains that have a slot. Asked before what dead drains left is settled, which forgets them.
    pub(super) async fn attempts_in_slots(&self) -> Result<Vec<InFlight>, Trouble> {
        let owners = self.site.store.owners().await?;
        let all = owners.into_iter().flat_map(|owner| owner.executing);
        Ok(all.filter(|work| work.slot.is_some()).collect())
    }

    pub(super) async fn remove_old_slots(&self, in_slots: &[InFlight]) -> Result<(), Trouble> {
        for old in self.site.repo.old_slots()? {
            let number = old.number;
            match self.site.repo.work_in(&old, &self.site.settings.workspace).await {
                Ok(Some(work)) => self.keep_old_work(&old, &work, in_slots)?,
                Ok(None) => {}
                Err(error) => {
                    // Better a folder too many than work that is gone.
                    self.site.progress.note(&format!(
                        "slot {number} of an older version stays in .autopack/slots, since it cannot be read: {error}"
                    ));
                    continue;
                }
            }
            tracing::debug!("removing slot {number} of an older version");
            self.site.repo.remove_old(old);
        }
        Ok(())
    }

    fn keep_old_work(
        &self,
        old: &OldSlot,
        work: &OldWork,
        in_slots: &[InFlight],
    ) -> Result<(), Trouble> {
        let site = &self.site;
        let patch = site.redactor.redact_bytes(&work.patch);
        let attempts = site.repo.autopack_dir().join("attempts");
        if is_kept(&attempts, &patch) {
            return Ok(());
        }
        let number = old.number.to_string();
        let owner = in_slots.iter().find(|attempt| attempt.slot.as_deref() == Some(&*number));
        let own = owner.map(|attempt| {
            let (run, phase) = (&attempt.run_id, &attempt.phase_id);
            let folder = site.repo.autopack_dir();
            AttemptFolder::at(AttemptFolder::locate(&folder, run, phase, attempt.attempt)).patch()
        });
        let beside = || attempts.join(format!("slot-{number}.patch"));
        let file = own.filter(|patch| !patch.exists()).unwrap_or_else(beside);
        let folder = file.parent().unwrap_or(&attempts);
        fs::create_dir_all(folder).map_err(|error| Trouble::io(folder, error))?;
        fs::write(&file, patch).map_err(|error| Trouble::io(&file, error))?;
        site.progress.note(&format!(
            "slot {number} of an older version held work that did not land; it is kept in {}",
            file.strip_prefix(site.repo.root()).unwrap_or(&file).display()
        ));
        Ok(())
    }
}

/// Whether an attempt kept just this.
fn is_kept(attempts: &Path, patch: &[u8]) -> bool {
    let below = |folder: PathBuf| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path())
    };
    let mut folders = below(attempts.to_owned()).flat_map(below).flat_map(below);
    folders
        .any(|folder| fs::read(AttemptFolder::at(folder).patch()).is_ok_and(|kept| kept == patch))
}
