//! Updates of a run's branch: recorded like an undo, in the table of reverts, but without landings to take back.

use crate::phase::{PhaseCi, RunId, UnixMs};
use crate::store::backend::{query_as, query_scalar};

use super::reverts::{claim_of, is_busy};
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::owner_id::OwnerId;
use crate::store::queue::claim::Claim;
use crate::store::rows::{PhaseRecord, select_phases};

/// An update begun, with everything needed to make and test its commit.
#[derive(Debug)]
pub struct BegunUpdate {
    /// Number of the row in the table of reverts.
    pub number: i64,
    /// A phase of the run as for an attempt, for running CI: without the phase's own CI settings.
    pub claim: Claim,
}

/// Reason not to begin an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateRefusal {
    /// Another process works on the run.
    RunIsBusy,
    /// The run has no phases.
    NoPhases,
}

impl Store {
    /// Begins the merge of a commit into the run's branch, unless another process works on the run. `ci` has the settings
    /// for its test. Ends with [`Store::end_undo`].
    ///
    /// # Errors
    /// The run is unknown, or the database cannot be written.
    pub async fn begin_update(
        &self,
        run_id: &RunId,
        merged: &str,
        owner: &OwnerId,
        ci: &PhaseCi,
        now: UnixMs,
    ) -> Result<Result<BegunUpdate, UpdateRefusal>, StoreError> {
        self.named(|| async move {
            let mut tx = self.begin().await?;
            let run = self.run_row(&mut tx, run_id).await?;
            if is_busy(&mut tx, run, run_id, owner).await? {
                return Ok(Err(UpdateRefusal::RunIsBusy));
            }
            let phase: Option<PhaseRecord> = query_as(select_phases!(
                "WHERE p.run = ? ORDER BY p.commit_id IS NULL, p.position LIMIT 1"
            ))
            .bind(run)
            .fetch_optional(&mut *tx)
            .await?;
            let Some(phase) = phase else { return Ok(Err(UpdateRefusal::NoPhases)) };
            let number: i64 = query_scalar(
                "INSERT INTO reverts (run, owner, next_state, started_at, merged) VALUES (?, ?, 'QUEUED', ?, ?)
                 RETURNING id",
            )
            .bind(run)
            .bind(owner.as_str())
            .bind(now.0)
            .bind(merged)
            .fetch_one(&mut *tx)
            .await?;
            let claim = claim_of(&mut tx, &phase, owner, ci.clone()).await?;
            tx.commit().await?;
            Ok(Ok(BegunUpdate { number, claim }))
        })
        .await
    }
}
