//! Claiming a single phase for the work of a person. The phase must be out of the reach of drains: FAILED, or held.

use super::new_attempt::{PreparedClaim, Worker, claim_row};
use super::{Claim, Spending, require_new_state, save_footprint};
use crate::phase::state::Event;
use crate::phase::{PhaseId, PhaseState, RunId, UnixMs};
use crate::store::Fixer;
use crate::store::admin::operator_actions::wrong_state;
use crate::store::backend::{query, query_scalar};
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::owner_id::OwnerId;
use crate::store::queue::owners::is_fenced;
use crate::store::queue::repair::save_repair;

/// Outcome of a claim for a person.
#[derive(Debug)]
pub enum PersonsClaim {
    /// The attempt has begun.
    Claimed(Box<Claim>),
    /// The phase waits for others; nothing changed.
    Blocked,
    /// The spec cannot be executed, for this reason; nothing changed.
    Unfixable(String),
}

impl Store {
    /// Claims a FAILED or held phase for the work of a person. The attempt does not count, and the phase is FAILED after it
    /// unless the work landed.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] for an owner that may not claim, [`StoreError::WrongState`] for a phase in another state,
    /// the phase is unknown, or the database cannot be written.
    pub async fn claim_for_person(
        &self,
        owner: &OwnerId,
        run: &RunId,
        phase: &PhaseId,
        fix: &Fixer<'_>,
        now: UnixMs,
    ) -> Result<PersonsClaim, StoreError> {
        self.named(|| async move {
            let mut tx = self.begin().await?;
            if is_fenced(&mut tx, owner).await? {
                return Err(StoreError::Fenced { owner: owner.clone() });
            }
            let row = self.phase_record(&mut tx, run, phase).await?;
            let snapshot = row.snapshot()?;
            match snapshot.state {
                PhaseState::Failed => {
                    let retried = snapshot.step(&mut tx, Event::Retry, None).await?;
                    require_new_state(&snapshot, retried)?;
                }
                PhaseState::Queued if row.held > 0 => {
                    // A held phase that executes would be stopped.
                    query("UPDATE phases SET held = 0 WHERE id = ?")
                        .bind(row.id)
                        .execute(&mut *tx)
                        .await?;
                }
                _ => return Err(wrong_state(&snapshot, "is not for a person to land")),
            }
            let row = self.phase_record(&mut tx, run, phase).await?;
            let unmet: i64 = query_scalar("SELECT unmet FROM phases WHERE id = ?")
                .bind(row.id)
                .fetch_one(&mut *tx)
                .await?;
            if unmet > 0 {
                return Ok(PersonsClaim::Blocked);
            }
            let last_failure = row.last_failure()?;
            let before = row.current_spec()?;
            let repair = fix(&before, last_failure.as_ref());
            save_repair(&mut tx, &row, &before, &repair).await?;
            let phase = match repair.result {
                Ok(phase) => phase,
                Err(why) => return Ok(PersonsClaim::Unfixable(why.0)),
            };
            save_footprint(&mut tx, &row, &row.footprint_of(&phase)?).await?;
            let spent = Spending::default();
            let prepared = PreparedClaim { phase, agent: None, last_failure, spent };
            let claim = claim_row(&mut tx, owner, &row, prepared, Worker::Person, now).await?;
            tx.commit().await?;
            Ok(PersonsClaim::Claimed(Box::new(claim)))
        })
        .await
    }
}
