//! The only way to change the state of a phase: an allowed step, from the state read before.

use crate::phase::state::{self, Event};
use crate::phase::{PhaseId, PhaseState, RunId};
use crate::store::backend::{Connection, query};

use super::error::StoreError;
use super::owner_id::OwnerId;

/// Position of a phase when read.
#[derive(Clone, Debug)]
pub(super) struct PhaseSnapshot {
    pub id: i64,
    pub run_id: RunId,
    pub phase_id: PhaseId,
    pub state: PhaseState,
    pub owner: Option<OwnerId>,
    /// Number of the latest attempt.
    pub executions: u32,
}

impl PhaseSnapshot {
    /// Takes the step. Returns `None`, without a change, if the phase has moved on since.
    ///
    /// Every step except a claim clears the owner, and every step clears the commit; landing sets the new commit. A claim
    /// begins the next attempt and ends a deferral.
    pub async fn step(
        &self,
        tx: &mut Connection,
        event: Event,
        owner: Option<&OwnerId>,
    ) -> Result<Option<PhaseState>, StoreError> {
        let to = state::next(self.state, event).map_err(|source| StoreError::IllegalStep {
            run: self.run_id.clone(),
            phase: self.phase_id.clone(),
            source,
        })?;
        let is_claim = event == Event::Claim;
        let moved = query(
            "UPDATE phases SET state = ?, owner = ?, commit_id = NULL, executions = executions + ?,
                    not_before = CASE WHEN ? THEN 0 ELSE not_before END
              WHERE id = ? AND state = ? AND owner IS NOT DISTINCT FROM ? AND executions = ?",
        )
        .bind(to.as_str())
        .bind(owner.map(OwnerId::as_str))
        .bind(i64::from(is_claim))
        .bind(is_claim)
        .bind(self.id)
        .bind(self.state.as_str())
        .bind(self.owner.as_ref().map(OwnerId::as_str))
        .bind(self.executions)
        .execute(&mut *tx)
        .await?
        .rows_affected();
        if moved == 0 {
            return Ok(None);
        }
        self.update_dependents(tx, to).await?;
        Ok(Some(to))
    }

    async fn update_dependents(
        &self,
        tx: &mut Connection,
        to: PhaseState,
    ) -> Result<(), StoreError> {
        let change = match (self.state.satisfies_dependents(), to.satisfies_dependents()) {
            (false, true) => -1,
            (true, false) => 1,
            _ => return Ok(()),
        };
        self.change_unmet(tx, change).await
    }

    /// Releases the dependents of a phase that was settled without a step.
    pub async fn release_dependents(&self, tx: &mut Connection) -> Result<(), StoreError> {
        self.change_unmet(tx, -1).await
    }

    async fn change_unmet(&self, tx: &mut Connection, change: i64) -> Result<(), StoreError> {
        query(
            "UPDATE phases SET unmet = unmet + ?
              WHERE id IN (SELECT phase FROM dependencies WHERE needs = ?)",
        )
        .bind(change)
        .bind(self.id)
        .execute(tx)
        .await?;
        Ok(())
    }
}
