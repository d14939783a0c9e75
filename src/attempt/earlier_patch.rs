//! Files of a phase's earlier attempt that another machine executed: its patch for the next attempt, its work for a person.

use std::path::PathBuf;

use super::DrainContext;
use super::artifacts::AttemptDirectory;
use super::kept_files::{AttemptFileFinder, AttemptFiles, FilesPlace, FoundFiles};
use crate::phase::{PhaseId, RunId};
use crate::store::Claim;

impl DrainContext {
    /// Finds the files of an attempt of another machine. `None` if it was executed here, or its files are not stored yet: the
    /// work goes on without them.
    pub async fn files_of_other_machine(
        &self,
        run: &RunId,
        phase: &PhaseId,
        attempt: u32,
    ) -> Option<AttemptFiles> {
        if !self.store.is_at_server() {
            return None;
        }
        let detail = self.store.phase(run, phase).await.ok()?;
        let row = detail.attempt_log.iter().find(|row| row.attempt == attempt)?;
        let (root, settings) = (self.repo.root(), &self.settings.artifacts);
        let finder = AttemptFileFinder { root, store: &self.store, settings };
        match finder.find(run, phase, row, None).await {
            Ok(FoundFiles::Found(files)) if files.place != FilesPlace::Here => Some(files),
            _ => None,
        }
    }

    /// Copies the patch of the previous attempt into the directory of a claim's attempt.
    pub(super) async fn bring_earlier_patch(
        &self,
        claim: &Claim,
        directory: &AttemptDirectory,
    ) -> Option<PathBuf> {
        let earlier = claim.attempt.checked_sub(1).filter(|earlier| *earlier > 0)?;
        let files = self.files_of_other_machine(&claim.run_id, &claim.phase_id, earlier).await?;
        let patch = std::fs::read(files.path.join(AttemptDirectory::PATCH)).ok()?;
        let path = directory.path().join(AttemptDirectory::EARLIER_PATCH);
        directory.write(&path, patch).ok()?;
        Some(path)
    }
}
