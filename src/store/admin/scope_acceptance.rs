//! An operator accepts the files left out of a scope proposal.

use super::operator_actions::{OperatorActions, reset_counters, take_steps};
use crate::phase::state::Event;
use crate::phase::{FailureKind, PhaseId, RawSpec, RunId};
use crate::store::error::StoreError;
use crate::store::queue::scope_proposals::{KeptProposal, save_proposal};

impl OperatorActions<'_> {
    /// Replaces the proposal of a phase, and applies the new proposal as scope. A phase failed without a scope is queued again.
    /// Returns `false` if the phase runs, ended in another way, or no longer has this spec.
    ///
    /// # Errors
    /// The phase is unknown, or the database cannot be written.
    pub async fn accept_proposal(
        &self,
        run: &RunId,
        phase: &PhaseId,
        spec: &RawSpec,
        kept: &KeptProposal,
    ) -> Result<bool, StoreError> {
        self.store
            .named(|| async move {
                let mut tx = self.store.begin().await?;
                let row = self.store.phase_record(&mut tx, run, phase).await?;
                let is_unfixable =
                    row.last_failure()?.is_some_and(|last| last.kind == FailureKind::Unfixable);
                match row.state.as_str() {
                    _ if row.current_spec()? != *spec => return Ok(false),
                    "QUEUED" => {}
                    "FAILED" if is_unfixable => {
                        take_steps(&mut tx, &row, &[Event::Retry]).await?;
                        reset_counters(&mut tx, &row).await?;
                    }
                    _ => return Ok(false),
                }
                save_proposal(&mut tx, row.id, spec, kept).await?;
                tx.commit().await?;
                Ok(true)
            })
            .await
    }
}
