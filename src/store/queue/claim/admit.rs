//! Admission of a phase: the question to the claimer, the answers, and the effect of a refusal on the phase.

use super::spending::Spending;
use super::{ClaimOutcome, require_new_state};
use crate::phase::budget::ExhaustedBudget;
use crate::phase::state::Event;
use crate::phase::{Failure, FixedSpec, RunId, UnixMs};
use crate::store::backend::{Connection, query};
use crate::store::columns::to_json;
use crate::store::error::StoreError;
use crate::store::queue::key_limits::KeyLimits;
use crate::store::rows::PhaseRecord;
use crate::store::state_step::PhaseSnapshot;

/// A repaired phase about to be claimed.
#[derive(Debug)]
pub struct Candidate<'a> {
    /// Run of the phase.
    pub run_id: &'a RunId,
    /// The repaired phase.
    pub phase: &'a FixedSpec,
    /// Counted attempts so far.
    pub counted_attempts: u32,
    /// Budget usage of the phase and run.
    pub spent: Spending,
    /// Rate limits by key, met by any machine.
    pub limits: &'a KeyLimits,
}

/// Answer to a [`Candidate`].
#[derive(Clone, Debug, PartialEq)]
pub enum Admission {
    /// The phase may be claimed.
    Go,
    /// The phase may be claimed for this agent, in place of a rate-limited agent.
    GoWith {
        /// Name of the agent.
        agent: String,
    },
    /// Defers this phase; other phases may be claimed.
    Later {
        /// End of the deferral.
        until: UnixMs,
        /// Fingerprint of the key whose limit defers it; `None`: the deferral holds for everyone.
        key: Option<String>,
    },
    /// Leaves this phase to another machine.
    Elsewhere,
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
pub(super) async fn defer(
    tx: &mut Connection,
    row: &PhaseRecord,
    (until, key): (UnixMs, Option<String>),
    now: UnixMs,
) -> Result<(), StoreError> {
    query("UPDATE phases SET not_before = ?, deferred_key = ? WHERE id = ?")
        .bind(until.0.max(now.0 + 1))
        .bind(key)
        .bind(row.id)
        .execute(tx)
        .await?;
    Ok(())
}

pub(super) async fn refuse(
    tx: &mut Connection,
    row: &PhaseRecord,
    failure: Failure,
) -> Result<ClaimOutcome, StoreError> {
    let snapshot = row.snapshot()?;
    require_new_state(&snapshot, snapshot.step(tx, Event::RefuseSpec, None).await?)?;
    query("UPDATE phases SET last_failure = ? WHERE id = ?")
        .bind(to_json(&failure))
        .bind(row.id)
        .execute(tx)
        .await?;
    let PhaseSnapshot { run_id, phase_id, .. } = snapshot;
    Ok(ClaimOutcome::Unfixable { run_id, phase_id, failure })
}
