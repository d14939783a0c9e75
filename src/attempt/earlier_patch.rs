//! The patch of a phase's previous attempt, if another machine executed that attempt.

use std::path::PathBuf;

use super::DrainContext;
use super::artifacts::AttemptDirectory;
use super::kept_files::{AttemptFileFinder, FilesPlace, FoundFiles};
use crate::store::Claim;

impl DrainContext {
    /// Copies the previous attempt's patch into the directory of a claim's attempt. `None` if there is none, or if it is not
    /// stored yet: the attempt does without.
    pub(super) async fn bring_earlier_patch(
        &self,
        claim: &Claim,
        directory: &AttemptDirectory,
    ) -> Option<PathBuf> {
        if !self.store.is_at_server() || claim.attempt < 2 {
            return None;
        }
        let (run, phase) = (&claim.run_id, &claim.phase_id);
        let detail = self.store.phase(run, phase).await.ok()?;
        let earlier = detail.attempt_log.iter().find(|row| row.attempt + 1 == claim.attempt)?;
        let (root, settings) = (self.repo.root(), &self.settings.artifacts);
        let finder = AttemptFileFinder { root, store: &self.store, settings };
        let found = finder.find(run, phase, earlier, Some(AttemptDirectory::PATCH)).await;
        let Ok(FoundFiles::Found(files)) = found else { return None };
        if files.place == FilesPlace::Here {
            return None;
        }
        let patch = std::fs::read(files.path.join(AttemptDirectory::PATCH)).ok()?;
        let path = directory.path().join(AttemptDirectory::EARLIER_PATCH);
        directory.write(&path, patch).ok()?;
        Some(path)
    }
}
