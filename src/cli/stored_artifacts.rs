//! Files of attempts in the database at a server and in the shared directory, for `gc` and `runs remove`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use super::Context;
use crate::attempt::{ArtifactKeeper, SharedArtifacts};
use crate::failure::Failure;
use crate::phase::RunId;
use crate::store::{AttemptKey, RunSummary, Store, StoredAttempt};
use crate::workspace::Repo;

/// Longest wait for files that are stored at last.
const STORING: Duration = Duration::from_secs(60);

/// Stored files of a database.
pub(super) struct StoredArtifacts<'a> {
    pub store: &'a Store,
    pub repo: &'a Repo,
    pub context: &'a Context,
}

impl StoredArtifacts<'_> {
    /// Removes files of these runs, or counts them in a dry run. Files of other attempts in this clone that were never stored are
    /// stored now. Returns the number of attempts.
    pub async fn remove(
        &self,
        runs: &[RunSummary],
        is_removable: impl Fn(&StoredAttempt) -> bool,
        dry_run: bool,
    ) -> Result<usize, Failure> {
        let mut count = 0;
        for run in runs {
            let stored = self.store.stored_attempts(&run.run_id).await?;
            let removable: Vec<StoredAttempt> = stored.into_iter().filter(&is_removable).collect();
            count += removable.len();
            if dry_run {
                continue;
            }
            remove_directories(&self.directories(&removable)?)?;
            let mut keys: Vec<AttemptKey> =
                removable.iter().map(|stored| stored.attempt.key).collect();
            if self.store.is_at_server() {
                // What would be removed again is not stored first.
                let unstored = self.store.unstored_attempts(&run.run_id).await?;
                keys.extend(
                    unstored.iter().filter(|one| is_removable(one)).map(|one| one.attempt.key),
                );
            }
            self.store.remove_stored_files(&keys).await?;
        }
        if !dry_run {
            self.store_left_files(runs).await?;
        }
        Ok(count)
    }

    /// Stores the files of ended attempts in this clone that were never stored. Nothing to do for a database in a file.
    pub async fn store_left_files(&self, runs: &[RunSummary]) -> Result<(), Failure> {
        let (settings, redactor) = (&self.context.config()?.settings, self.context.redactor()?);
        let keeper = ArtifactKeeper::new(self.store, self.repo, &settings.artifacts, &redactor);
        let runs: Vec<RunId> = runs.iter().map(|run| run.run_id.clone()).collect();
        keeper.resume(&runs).await;
        if let Some(missing) = keeper.finish(STORING).await {
            tracing::warn!("{missing}");
        }
        Ok(())
    }

    /// Returns the shared directories of the stored attempts of a run, for its removal.
    pub async fn directories_of(&self, run: &RunId) -> Result<Vec<PathBuf>, Failure> {
        match self.context.config()?.settings.artifacts.dir {
            None => Ok(Vec::new()),
            Some(_) => self.directories(&self.store.stored_attempts(run).await?),
        }
    }

    fn directories(&self, stored: &[StoredAttempt]) -> Result<Vec<PathBuf>, Failure> {
        let Some(dir) = &self.context.config()?.settings.artifacts.dir else {
            return Ok(Vec::new());
        };
        let shared = SharedArtifacts::new(self.repo.root(), dir);
        let directory = |stored: &StoredAttempt| {
            let attempt = &stored.attempt;
            shared.locate(&attempt.run_id, &attempt.phase_id, attempt.attempt, &attempt.owner)
        };
        Ok(stored.iter().map(directory).collect())
    }
}

/// Removes shared directories of attempts.
pub(super) fn remove_directories(directories: &[PathBuf]) -> Result<(), Failure> {
    for directory in directories {
        let cannot = || format!("cannot remove {}", directory.display());
        SharedArtifacts::remove(directory).with_context(cannot)?;
    }
    Ok(())
}
