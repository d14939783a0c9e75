//! The start of an attempt, for an agent or a person.

use super::{Claim, Spending, require_new_state};
use crate::phase::state::Event;
use crate::phase::{Complexity, Failure, FixedSpec, UnixMs};
use crate::store::backend::{Connection, query_as, query_scalar};
use crate::store::columns::{number, signed, to_json};
use crate::store::error::StoreError;
use crate::store::owner_id::OwnerId;
use crate::store::queue::scope_requests::requests_of;
use crate::store::rows::PhaseRecord;
use crate::store::state_step::PhaseSnapshot;

/// A repaired phase to be claimed.
pub(super) struct PreparedClaim {
    pub phase: FixedSpec,
    pub agent: Option<String>,
    pub last_failure: Option<Failure>,
    pub spent: Spending,
}

/// Who does the work of a claim.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Worker {
    Agent,
    Person,
}

/// Returns agent and session id of the previous attempt.
async fn session(tx: &mut Connection, phase: i64) -> Result<Option<(String, String)>, StoreError> {
    let last: Option<(Option<String>, Option<String>)> = query_as(
        "SELECT agent, session FROM attempts WHERE phase = ? ORDER BY attempt DESC LIMIT 1",
    )
    .bind(phase)
    .fetch_optional(tx)
    .await?;
    Ok(last.and_then(|(agent, session)| agent.zip(session)))
}

/// Starts an attempt of a QUEUED phase; the last allowed one.
pub(super) async fn claim_row(
    tx: &mut Connection,
    owner: &OwnerId,
    row: &PhaseRecord,
    prepared: PreparedClaim,
    worker: Worker,
    now: UnixMs,
) -> Result<Claim, StoreError> {
    let PreparedClaim { phase, agent, last_failure, spent } = prepared;
    let queued = row.snapshot()?;
    // A phase without attempts has neither.
    let (session, requests) = match queued.executions {
        0 => (None, Vec::new()),
        _ => (session(tx, row.id).await?, requests_of(tx, row.id, || row.name()).await?),
    };
    let state = require_new_state(&queued, queued.step(tx, Event::Claim, Some(owner)).await?)?;
    let attempt = queued.executions + 1;
    let attempt_row = insert_attempt(tx, row.id, attempt, owner, &phase, worker, now).await?;
    let counted_attempts = number(row.attempts, || row.name())?;
    Ok(Claim {
        run_id: queued.run_id.clone(),
        phase_id: queued.phase_id.clone(),
        attempt,
        counted_attempts,
        uncounted: number(row.uncounted, || row.name())?,
        max_attempts: counted_attempts + 1,
        phase,
        last_failure,
        agent,
        is_by_person: worker == Worker::Person,
        owner: owner.clone(),
        spent,
        session,
        requests,
        snapshot: PhaseSnapshot {
            state,
            owner: Some(owner.clone()),
            executions: attempt,
            ..queued
        },
        attempt_row,
    })
}

async fn insert_attempt(
    tx: &mut Connection,
    phase: i64,
    attempt: u32,
    owner: &OwnerId,
    spec: &FixedSpec,
    worker: Worker,
    now: UnixMs,
) -> Result<i64, StoreError> {
    let complexity = match spec.complexity() {
        Complexity::Low => "low",
        Complexity::Medium => "medium",
        Complexity::High => "high",
    };
    let id = query_scalar(
        "INSERT INTO attempts (phase, attempt, owner, started_at, category, complexity, deliverables,
                               description_chars, purpose, by_person)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
    )
    .bind(phase)
    .bind(attempt)
    .bind(owner.as_str())
    .bind(now.0)
    .bind(spec.category())
    .bind(complexity)
    .bind(to_json(&spec.deliverables()))
    .bind(signed(spec.description().chars().count() as u64))
    .bind((spec.needs_scope() && worker == Worker::Agent).then_some("scope_proposal"))
    .bind(worker == Worker::Person)
    .fetch_one(tx)
    .await?;
    Ok(id)
}
