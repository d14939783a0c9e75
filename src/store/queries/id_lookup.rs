//! Ids of runs and phases, for finding the run or phase that a command names.

use crate::phase::{PhaseId, RunId};
use crate::store::backend::query_scalar;

use crate::store::error::StoreError;
use crate::store::open::Store;

/// Runs by their latest import, attempt, or start of a drain, latest first.
pub(super) const RUNS_BY_USE: &str = "SELECT r.run_id FROM runs r
    ORDER BY MAX(r.created_at,
                 COALESCE((SELECT MAX(COALESCE(a.ended_at, a.started_at))
                             FROM phases p JOIN attempts a ON a.phase = p.id WHERE p.run = r.id), 0),
                 COALESCE((SELECT MAX(o.started_at) FROM owners o, json_each(o.runs) named
                            WHERE named.value = r.run_id), 0)) DESC, r.id DESC";

impl Store {
    /// Returns the ids of all runs, the one used last first: imported, drained, or with an attempt.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn run_ids_by_use(&self) -> Result<Vec<RunId>, StoreError> {
        self.named(|| async move {
            let ids: Vec<String> = query_scalar(RUNS_BY_USE).fetch_all(&self.reader).await?;
            Ok(ids.into_iter().map(RunId::new).collect())
        })
        .await
    }

    /// Returns the ids of the phases of a run, in plan order; none for an unknown run.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn phase_ids(&self, run: &RunId) -> Result<Vec<PhaseId>, StoreError> {
        self.named(|| async move {
            let ids: Vec<String> = query_scalar(
                "SELECT phase_id FROM phases WHERE run = (SELECT id FROM runs WHERE run_id = ?)
                  ORDER BY position",
            )
            .bind(run.as_str())
            .fetch_all(&self.reader)
            .await?;
            Ok(ids.into_iter().map(PhaseId::new).collect())
        })
        .await
    }

    /// Returns the runs that have a phase with this id, in order of import.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn runs_with_phase(&self, phase: &PhaseId) -> Result<Vec<RunId>, StoreError> {
        self.named(|| async move {
            let ids: Vec<String> = query_scalar(
                "SELECT r.run_id FROM runs r JOIN phases p ON p.run = r.id WHERE p.phase_id = ?
                  ORDER BY r.id",
            )
            .bind(phase.as_str())
            .fetch_all(&self.reader)
            .await?;
            Ok(ids.into_iter().map(RunId::new).collect())
        })
        .await
    }
}
