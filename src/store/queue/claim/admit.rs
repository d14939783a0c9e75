//! Admission of a phase: the question to the claimer, the answers, and the effect of a refusal on the phase.

use sqlx::SqliteConnection;

use super::spending::Spending;
use super::{Next, moved};
use crate::phase::budget::ExhaustedBudget;
use crate::phase::state::Event;
use crate::phase::{Failure, FixedSpec, RunId, UnixMs};
use crate::store::columns::to_json;
use crate::store::error::StoreError;
use crate::store::rows::PhaseRecord;
use crate::store::state_step::Standing;

/// A repaired phase about to be claimed.
#[derive(Debug)]
pub struct Candidate<'a> {
    /// Run of the phase.
    pub run_id: &'a RunId,
    /// The repaired phase.
    pub phase: &'a FixedSpec,
    /// Counted attempts so far.
    pub tries: u32,
    /// Budget usage of the phase and run.
    pub spent: Spending,
}

/// Answer to a [`Candidate`].
#[derive(Clone, Debug, PartialEq)]
pub enum Admission {
    /// The phase may be claimed.
    Go,
    /// Defers this phase; other phases may be claimed.
    Later {
        /// End of the deferral.
        until: UnixMs,
    },
    /// Fails this phase.
    Refuse(Failure),
    /// Holds all phases until an executing phase ends.
    Hold,
    /// Stops all further claims: a budget is used up.
    Stop(ExhaustedBudget),
}

/// Decides on the admission of a candidate.
pub type Admit<'a> = dyn Fn(&Candidate<'_>) -> Admission + Send + Sync + 'a;

/// Defers a phase; durable, so a restarted drain keeps waiting.
pub(super) async fn put_off(
    tx: &mut SqliteConnection,
    row: &PhaseRecord,
    until: UnixMs,
    now: UnixMs,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE phases SET not_before = ? WHERE id = ?")
        .bind(until.0.max(now.0 + 1))
        .bind(row.id)
        .execute(tx)
        .await?;
    Ok(())
}

pub(super) async fn refuse(
    tx: &mut SqliteConnection,
    row: &PhaseRecord,
    failure: Failure,
) -> Result<Next, StoreError> {
    let standing = row.standing()?;
    moved(&standing, standing.step(tx, Event::RefuseSpec, None).await?)?;
    sqlx::query("UPDATE phases SET last_failure = ? WHERE id = ?")
        .bind(to_json(&failure))
        .bind(row.id)
        .execute(tx)
        .await?;
    let Standing { run_id, phase_id, .. } = standing;
    Ok(Next::Unfixable { run_id, phase_id, failure })
}
