//! Removing a run, and the facts needed by garbage collection before removing files.

use sqlx::FromRow;

use crate::phase::{AttemptOutcome, PhaseId, PhaseState, RunId, UnixMs};
use crate::store::backend::{query, query_as, query_scalar};

use crate::store::columns::{number, parse, to_json};
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::queue::open_undos::refuse_open_undo;
use crate::store::rows::outcome_of;

/// An attempt with a directory, its outcome and the state of its phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptDirectory {
    /// Run of the phase.
    pub run_id: RunId,
    /// Phase of the attempt.
    pub phase_id: PhaseId,
    /// Number of the attempt.
    pub attempt: u32,
    /// Directory of the logs.
    pub log_dir: String,
    /// Outcome; `None` for an unfinished attempt.
    pub outcome: Option<AttemptOutcome>,
    /// End of the attempt.
    pub ended_at: Option<UnixMs>,
    /// Present state of the phase.
    pub phase_state: PhaseState,
}

#[derive(FromRow)]
struct AttemptDirectoryRecord {
    run_id: String,
    phase_id: String,
    attempt: i64,
    log_dir: String,
    outcome: Option<String>,
    purpose: Option<String>,
    scope_granted: bool,
    ended_at: Option<i64>,
    state: String,
}

impl Store {
    /// Removes a run with its phases and their history; telemetry samples remain. Returns the number of removed phases.
    ///
    /// # Errors
    /// [`StoreError::RunIsBusy`] while phases are executing, [`StoreError::RunIsBeingUndone`] during an undo or an update; the run is
    /// unknown, or the database cannot be written.
    pub async fn remove_run(&self, run: &RunId) -> Result<u64, StoreError> {
        self.named(|| async move {
            let mut tx = self.begin().await?;
            let id = self.run_row(&mut tx, run).await?;
            let executing: Vec<String> = query_scalar(
                "SELECT phase_id FROM phases WHERE run = ? AND state = 'EXECUTING' ORDER BY position",
            )
            .bind(id)
            .fetch_all(&mut *tx)
            .await?;
            if !executing.is_empty() {
                let executing = executing.into_iter().map(PhaseId::new).collect();
                return Err(StoreError::RunIsBusy { run: run.clone(), executing });
            }
            refuse_open_undo(&mut tx, &to_json(&[run.as_str()])).await?;
            let phases: i64 = query_scalar("SELECT COUNT(*) FROM phases WHERE run = ?")
                .bind(id)
                .fetch_one(&mut *tx)
                .await?;
            query("DELETE FROM runs WHERE id = ?").bind(id).execute(&mut *tx).await?;
            tx.commit().await?;
            number(phases, || format!("run {run}"))
        })
        .await
    }

    /// Returns all attempts with a directory, of one run or all runs, oldest first within a phase.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn attempt_directories(
        &self,
        run: Option<&RunId>,
    ) -> Result<Vec<AttemptDirectory>, StoreError> {
        self.named(|| async move {
            let rows: Vec<AttemptDirectoryRecord> = query_as(
                "SELECT r.run_id, p.phase_id, a.attempt, a.log_dir, a.outcome, a.purpose, a.scope_granted, a.ended_at, p.state
                   FROM attempts a JOIN phases p ON p.id = a.phase JOIN runs r ON r.id = p.run
                  WHERE a.log_dir IS NOT NULL AND (?1 IS NULL OR r.run_id = ?1)
                  ORDER BY r.id, p.position, a.attempt",
            )
            .bind(run.map(RunId::as_str))
            .fetch_all(&self.reader)
            .await?;
            rows.into_iter().map(AttemptDirectory::try_from).collect()
        })
        .await
    }
}

impl TryFrom<AttemptDirectoryRecord> for AttemptDirectory {
    type Error = StoreError;

    fn try_from(row: AttemptDirectoryRecord) -> Result<Self, StoreError> {
        let name =
            || format!("attempt {} of phase {} of run {}", row.attempt, row.phase_id, row.run_id);
        Ok(Self {
            attempt: number(row.attempt, name)?,
            outcome: outcome_of(
                row.outcome.as_deref().map(|text| parse(text, name)).transpose()?,
                row.purpose.as_deref(),
                row.scope_granted,
            ),
            phase_state: parse(&row.state, name)?,
            ended_at: row.ended_at.map(UnixMs),
            run_id: RunId::new(row.run_id),
            phase_id: PhaseId::new(row.phase_id),
            log_dir: row.log_dir,
        })
    }
}
