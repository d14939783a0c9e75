//! Operator actions on running work: pausing runs, and holding phases with the end of their attempts.

use crate::phase::{PhaseId, PhaseState, RunId, UnixMs};
use crate::store::backend::{query, query_as, query_scalar};
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::owner_id::OwnerId;

use super::operator_actions::{OperatorActions, wrong_state};

/// Urgency of holding a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// A running attempt is asked to end.
    Graceful,
    /// A running attempt is killed.
    Now,
}

/// A phase just held by the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldPhase {
    /// Run of the phase.
    pub run_id: RunId,
    /// Id of the phase.
    pub phase_id: PhaseId,
    /// State at the time: QUEUED, or EXECUTING until its drain ends the attempt.
    pub state: PhaseState,
}

impl OperatorActions<'_> {
    /// Pauses a run: no phase of the run is claimed before [`OperatorActions::resume_run`]. Returns the time of an
    /// earlier pause, which stays in force.
    ///
    /// # Errors
    /// The run is unknown, or the database cannot be written.
    pub async fn pause_run(&self, run: &RunId, now: UnixMs) -> Result<Option<UnixMs>, StoreError> {
        self.set_pause(run, Some(now)).await
    }

    /// Ends the pause of a run. Returns the time of the pause, or `None` for a run that was not paused.
    ///
    /// # Errors
    /// The run is unknown, or the database cannot be written.
    pub async fn resume_run(&self, run: &RunId) -> Result<Option<UnixMs>, StoreError> {
        self.set_pause(run, None).await
    }

    async fn set_pause(
        &self,
        run: &RunId,
        pause: Option<UnixMs>,
    ) -> Result<Option<UnixMs>, StoreError> {
        self.store
            .named(|| async move {
                let mut tx = self.store.begin().await?;
                let row = self.store.run_row(&mut tx, run).await?;
                let before: Option<i64> = query_scalar("SELECT paused_at FROM runs WHERE id = ?")
                    .bind(row)
                    .fetch_one(&mut *tx)
                    .await?;
                let after = match (pause, before) {
                    (Some(now), before) => Some(before.unwrap_or(now.0)),
                    (None, _) => None,
                };
                query("UPDATE runs SET paused_at = ? WHERE id = ?")
                    .bind(after)
                    .bind(row)
                    .execute(&mut *tx)
                    .await?;
                tx.commit().await?;
                Ok(before.map(UnixMs))
            })
            .await
    }

    /// Holds QUEUED and EXECUTING phases: their drains end running attempts, which do not count, and no drain claims
    /// the phases before [`OperatorActions::release`] or a retry.
    ///
    /// # Errors
    /// A phase is unknown or in another state, or the database cannot be written; nothing is changed then.
    pub async fn hold(
        &self,
        phases: &[(RunId, PhaseId)],
        hold: Hold,
    ) -> Result<Vec<HeldPhase>, StoreError> {
        self.store
            .named(|| async move {
                let mut tx = self.store.begin().await?;
                let mut held = Vec::new();
                for (run, phase) in phases {
                    let row = self.store.phase_record(&mut tx, run, phase).await?;
                    let snapshot = row.snapshot()?;
                    if !matches!(snapshot.state, PhaseState::Queued | PhaseState::Executing) {
                        return Err(wrong_state(&snapshot, "cannot be stopped"));
                    }
                    let level = match hold {
                        Hold::Graceful => 1,
                        Hold::Now => 2,
                    };
                    query("UPDATE phases SET held = MAX(held, ?) WHERE id = ?")
                        .bind(level)
                        .bind(row.id)
                        .execute(&mut *tx)
                        .await?;
                    held.push(HeldPhase {
                        run_id: snapshot.run_id,
                        phase_id: snapshot.phase_id,
                        state: snapshot.state,
                    });
                }
                tx.commit().await?;
                Ok(held)
            })
            .await
    }

    /// Releases held phases: drains may claim them again. Counts and history do not change. Returns the phases that
    /// were held; the others are left as they are.
    ///
    /// # Errors
    /// A phase is unknown, or the database cannot be written; nothing is changed then.
    pub async fn release(
        &self,
        phases: &[(RunId, PhaseId)],
    ) -> Result<Vec<(RunId, PhaseId)>, StoreError> {
        self.store
            .named(|| async move {
                let mut tx = self.store.begin().await?;
                let mut released = Vec::new();
                for (run, phase) in phases {
                    let row = self.store.phase_record(&mut tx, run, phase).await?;
                    let changed = query("UPDATE phases SET held = 0 WHERE id = ? AND held > 0")
                        .bind(row.id)
                        .execute(&mut *tx)
                        .await?;
                    if changed.rows_affected() == 1 {
                        released.push((run.clone(), phase.clone()));
                    }
                }
                tx.commit().await?;
                Ok(released)
            })
            .await
    }
}

impl Store {
    /// Returns the executing phases of an owner that the operator has stopped.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn stopped_phases(
        &self,
        owner: &OwnerId,
    ) -> Result<Vec<(RunId, PhaseId, Hold)>, StoreError> {
        self.named(|| async move {
            let rows: Vec<(String, String, i64)> = query_as(
                "SELECT r.run_id, p.phase_id, p.held FROM phases p JOIN runs r ON r.id = p.run
                  WHERE p.owner = ? AND p.held > 0",
            )
            .bind(owner.as_str())
            .fetch_all(&self.reader)
            .await?;
            let hold = |held| if held > 1 { Hold::Now } else { Hold::Graceful };
            let phases = rows.into_iter();
            Ok(phases
                .map(|(run, phase, held)| (RunId::new(run), PhaseId::new(phase), hold(held)))
                .collect())
        })
        .await
    }
}
