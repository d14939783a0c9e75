//! Claiming a single phase for the proposal of its scope, ahead of its turn.

use super::candidates::QueueWalk;
use super::{ClaimOutcome, Claimer, examine_candidate};
use crate::phase::{FixedSpec, PhaseId, RunId, UnixMs};
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::queue::key_limits::read_key_limits;

impl Store {
    /// Claims a phase for the proposal of its scope, even while it waits for others. [`ClaimOutcome::Nothing`]: the phase
    /// is not queued, is held, or has a scope. [`ClaimOutcome::Waiting`]: its agents are rate limited.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] for an owner that may not claim, the phase is unknown, or the database cannot be written.
    pub async fn claim_for_proposal(
        &self,
        claimer: &Claimer<'_>,
        run: &RunId,
        phase: &PhaseId,
        now: UnixMs,
    ) -> Result<ClaimOutcome, StoreError> {
        self.named(|| async move {
            let mut tx = self.begin().await?;
            let limits = read_key_limits(&mut tx, claimer.owner).await?;
            let row = self.phase_record(&mut tx, run, phase).await?;
            let repair = (claimer.fix)(&row.current_spec()?, row.last_failure()?.as_ref());
            let needs_scope = repair.result.as_ref().is_ok_and(FixedSpec::needs_scope);
            if row.state != "QUEUED" || row.held > 0 || !needs_scope {
                return Ok(ClaimOutcome::Nothing);
            }
            let mut walk = QueueWalk::new(claimer, limits, now);
            let next = examine_candidate(&mut tx, &mut walk, row.id, now).await?;
            tx.commit().await?;
            Ok(next.unwrap_or(ClaimOutcome::Waiting { until: now }))
        })
        .await
    }
}
