//! Claiming: repairs the next runnable phase and assigns it to an owner, in one transaction.

mod admit;
pub(crate) mod candidates;
mod proposal_claim;
mod spending;

use sqlx::SqliteConnection;

use crate::phase::budget::ExhaustedBudget;
use crate::phase::state::Event;
use crate::phase::{
    Complexity, Failure, FailureKind, FixedSpec, Footprint, PhaseId, PhaseState, RunId, UnixMs,
};

use admit::{defer, refuse};
use candidates::{QueueWalk, explain_no_claim};
use spending::spending;

pub use admit::{Admission, Admit, Candidate};
pub use spending::Spending;

use super::owners::is_fenced;
use super::repair::save_repair;
use super::scope_requests::{KeptRequest, requests_of};
use crate::store::Fixer;
use crate::store::columns::{number, signed, to_json};
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::owner_id::OwnerId;
use crate::store::rows::{PhaseRecord, select_phases};
use crate::store::state_step::PhaseSnapshot;

/// Parameters of a claim: owner, runs and rules.
#[derive(Clone, Copy)]
pub struct Claimer<'a> {
    /// Owner making the claim.
    pub owner: &'a OwnerId,
    /// Runs in order of preference; the first with a runnable phase is used.
    pub runs: &'a [RunId],
    /// Limit of counted attempts for phases without a limit of their own.
    pub max_attempts: u32,
    /// The auto-fixer.
    pub fix: &'a Fixer<'a>,
    /// Restricts the claim to these phases; empty for all phases.
    pub only: &'a [(RunId, PhaseId)],
    /// Decides on each phase before the claim.
    pub admit: &'a Admit<'a>,
    /// Whether `admit` needs the budget usage; adding up takes time.
    pub spending: bool,
}

/// Number of phases deferred or skipped per transaction; bounds how long others wait for the writer.
const EXAMINED: usize = 500;

/// The right to execute one attempt of one phase. Only `finish` ends and consumes the claim.
#[derive(Debug)]
pub struct Claim {
    /// Run of the phase.
    pub run_id: RunId,
    /// Id of the phase.
    pub phase_id: PhaseId,
    /// Repaired spec of the phase.
    pub phase: FixedSpec,
    /// Number of this attempt.
    pub attempt: u32,
    /// Counted attempts before this attempt.
    pub counted_attempts: u32,
    /// Uncounted attempts since the last counted attempt.
    pub uncounted: u32,
    /// Limit of counted attempts.
    pub max_attempts: u32,
    /// Failure of the last attempt.
    pub last_failure: Option<Failure>,
    /// Agent in place of a rate-limited agent.
    pub agent: Option<String>,
    /// Owner of the claim.
    pub owner: OwnerId,
    /// Budget usage before this attempt; zero if not requested.
    pub spent: Spending,
    /// Agent and session id of the failed attempt before.
    pub session: Option<(String, String)>,
    /// Files that agents of the phase asked for, oldest first.
    pub requests: Vec<KeptRequest>,
    pub(in crate::store) snapshot: PhaseSnapshot,
    pub(crate) attempt_row: i64,
}

impl Claim {
    pub(crate) fn lease_lost_error(&self) -> StoreError {
        StoreError::LeaseLost {
            run: self.run_id.clone(),
            phase: self.phase_id.clone(),
            attempt: self.attempt,
        }
    }
}

/// Outcome of a claim: a phase, nothing to do, or when to ask again.
#[derive(Debug)]
pub enum ClaimOutcome {
    /// A phase was claimed.
    Claimed(Box<Claim>),
    /// The spec cannot be executed; the phase is FAILED now.
    Unfixable {
        /// Run of the phase.
        run_id: RunId,
        /// Id of the phase.
        phase_id: PhaseId,
        /// Reason for refusing the spec.
        failure: Failure,
    },
    /// A budget is used up; nothing more may be claimed.
    Stopped(ExhaustedBudget),
    /// Nothing is executing, and nothing can run before this time.
    Waiting {
        /// Earliest time for the next claim.
        until: UnixMs,
    },
    /// Nothing is executing, and nothing can run before the operator resumes a run, or before `until`.
    Paused {
        /// Paused runs with phases that could run.
        runs: Vec<RunId>,
        /// Earliest end of a deferral.
        until: Option<UnixMs>,
    },
    /// Nothing can run before an executing phase ends, or before `until`.
    Held {
        /// A phase executed by another owner, if any.
        by_another: Option<PhaseId>,
        /// Earliest end of a deferral.
        until: Option<UnixMs>,
        /// Whether phases are held back only by overlaps with executing phases.
        overlapping: bool,
        /// Paused runs with phases that could run.
        paused: Vec<RunId>,
    },
    /// Nothing can run, and no executing phase could change that.
    Nothing,
}

impl Store {
    /// Claims the next phase. Order: runs as given; phases that stopped drains last; then plan order, without phases
    /// overlapping an executing phase of the same run.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] for an owner that may not claim, or the database cannot be written.
    pub async fn claim_next(
        &self,
        claimer: &Claimer<'_>,
        now: UnixMs,
    ) -> Result<ClaimOutcome, StoreError> {
        self.named(async {
            let mut tx = self.begin().await?;
            if is_fenced(&mut tx, claimer.owner).await? {
                return Err(StoreError::Fenced { owner: claimer.owner.clone() });
            }
            let mut walk = QueueWalk::new(claimer, now);
            let mut next = None;
            for _ in 0..EXAMINED {
                next = match walk.next(&mut tx).await? {
                    Some(id) => examine_candidate(&mut tx, &mut walk, id, now).await?,
                    None => Some(explain_no_claim(&mut tx, &walk).await?),
                };
                if next.is_some() {
                    break;
                }
            }
            tx.commit().await?;
            // More candidates may remain; ask again at once.
            Ok(next.unwrap_or(ClaimOutcome::Waiting { until: now }))
        })
        .await
    }
}

/// Repairs the QUEUED candidate, then claims the phase, refuses the spec, or skips the phase (`None`).
async fn examine_candidate(
    tx: &mut SqliteConnection,
    walk: &mut QueueWalk<'_>,
    id: i64,
    now: UnixMs,
) -> Result<Option<ClaimOutcome>, StoreError> {
    let claimer = walk.claimer;
    let row: PhaseRecord =
        sqlx::query_as(select_phases!("WHERE p.id = ?")).bind(id).fetch_one(&mut *tx).await?;
    let last_failure = row.last_failure()?;
    let before = row.current_spec()?;
    let repair = (claimer.fix)(&before, last_failure.as_ref());
    save_repair(tx, &row, &before, &repair).await?;
    let phase = match repair.result {
        Ok(phase) => phase,
        Err(why) => {
            let failure = Failure::new(FailureKind::Unfixable, why.0);
            return Ok(Some(refuse(tx, &row, failure).await?));
        }
    };
    let footprint = row.footprint_of(&phase)?;
    save_footprint(tx, &row, &footprint).await?;
    if walk.has_to_wait(&footprint) {
        return Ok(None);
    }
    let spent = match claimer.spending {
        true => spending(tx, &row, now).await?,
        false => Spending::default(),
    };
    let run_id = RunId::new(row.run_id.clone());
    let counted_attempts = number(row.attempts, || row.name())?;
    let candidate = Candidate { run_id: &run_id, phase: &phase, counted_attempts, spent };
    Ok(match (claimer.admit)(&candidate) {
        Admission::Go => {
            Some(execute(tx, claimer, &row, (phase, None), last_failure, spent, now).await?)
        }
        Admission::GoWith { agent } => {
            Some(execute(tx, claimer, &row, (phase, Some(agent)), last_failure, spent, now).await?)
        }
        Admission::Later { until } => {
            defer(tx, &row, until, now).await?;
            None
        }
        Admission::Refuse(failure) => Some(refuse(tx, &row, failure).await?),
        Admission::Hold => Some(explain_no_claim(tx, walk).await?),
        Admission::Stop(budget) => Some(ClaimOutcome::Stopped(budget)),
    })
}

/// Saves the footprint, so later claims can detect overlaps without another repair.
async fn save_footprint(
    tx: &mut SqliteConnection,
    row: &PhaseRecord,
    footprint: &Footprint,
) -> Result<(), StoreError> {
    let footprint = to_json(footprint);
    if row.footprint.as_deref() == Some(&*footprint) {
        return Ok(());
    }
    sqlx::query("UPDATE phases SET footprint = ?1 WHERE id = ?2 AND footprint IS NOT ?1")
        .bind(footprint)
        .bind(row.id)
        .execute(tx)
        .await?;
    Ok(())
}

/// Returns agent and session id of the previous attempt.
async fn session(
    tx: &mut SqliteConnection,
    phase: i64,
) -> Result<Option<(String, String)>, StoreError> {
    let last: Option<(Option<String>, Option<String>)> = sqlx::query_as(
        "SELECT agent, session FROM attempts WHERE phase = ? ORDER BY attempt DESC LIMIT 1",
    )
    .bind(phase)
    .fetch_optional(tx)
    .await?;
    Ok(last.and_then(|(agent, session)| agent.zip(session)))
}

async fn execute(
    tx: &mut SqliteConnection,
    claimer: &Claimer<'_>,
    row: &PhaseRecord,
    (phase, agent): (FixedSpec, Option<String>),
    last_failure: Option<Failure>,
    spent: Spending,
    now: UnixMs,
) -> Result<ClaimOutcome, StoreError> {
    let queued = row.snapshot()?;
    // A phase without attempts has neither.
    let (session, requests) = match queued.executions {
        0 => (None, Vec::new()),
        _ => (session(tx, row.id).await?, requests_of(tx, row.id, || row.name()).await?),
    };
    let state =
        require_new_state(&queued, queued.step(tx, Event::Claim, Some(claimer.owner)).await?)?;
    let attempt = queued.executions + 1;
    let attempt_row = insert_attempt(tx, row.id, attempt, claimer.owner, &phase, now).await?;
    let own_max = row.max_attempts.map(|n| number(n, || row.name())).transpose()?;
    let claim = Claim {
        run_id: queued.run_id.clone(),
        phase_id: queued.phase_id.clone(),
        attempt,
        counted_attempts: number(row.attempts, || row.name())?,
        uncounted: number(row.uncounted, || row.name())?,
        max_attempts: phase.max_attempts().or(own_max).unwrap_or(claimer.max_attempts),
        phase,
        last_failure,
        agent,
        owner: claimer.owner.clone(),
        spent,
        session,
        requests,
        snapshot: PhaseSnapshot {
            state,
            owner: Some(claimer.owner.clone()),
            executions: attempt,
            ..queued
        },
        attempt_row,
    };
    Ok(ClaimOutcome::Claimed(Box::new(claim)))
}

async fn insert_attempt(
    tx: &mut SqliteConnection,
    phase: i64,
    attempt: u32,
    owner: &OwnerId,
    spec: &FixedSpec,
    now: UnixMs,
) -> Result<i64, StoreError> {
    let complexity = match spec.complexity() {
        Complexity::Low => "low",
        Complexity::Medium => "medium",
        Complexity::High => "high",
    };
    let id = sqlx::query_scalar(
        "INSERT INTO attempts (phase, attempt, owner, started_at, category, complexity, deliverables,
                               description_chars, purpose)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
    )
    .bind(phase)
    .bind(attempt)
    .bind(owner.as_str())
    .bind(now.0)
    .bind(spec.category())
    .bind(complexity)
    .bind(to_json(&spec.deliverables()))
    .bind(signed(spec.description().chars().count() as u64))
    .bind(spec.needs_scope().then_some("scope_proposal"))
    .fetch_one(tx)
    .await?;
    Ok(id)
}

/// Returns the new state; a writing transaction excludes changes by others after the read.
fn require_new_state(
    snapshot: &PhaseSnapshot,
    state: Option<PhaseState>,
) -> Result<PhaseState, StoreError> {
    state.ok_or_else(|| {
        let row = format!("phase {} of run {}", snapshot.phase_id, snapshot.run_id);
        StoreError::bad_row(row, "it changed within a transaction")
    })
}
