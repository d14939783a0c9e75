//! Claiming: repairs the next runnable phase and assigns it to an owner, in one transaction.

mod admit;
pub(crate) mod candidates;
mod new_attempt;
mod persons_claim;
mod proposal_claim;
mod spending;

use crate::phase::budget::ExhaustedBudget;
use crate::phase::{
    Failure, FailureKind, FixedSpec, Footprint, PhaseId, PhaseState, RunId, UnixMs,
};
use crate::store::backend::{Connection, query, query_as};

use admit::{defer, refuse};
use candidates::{QueueWalk, explain_no_claim};
use new_attempt::{PreparedClaim, Worker, claim_row};
use spending::spending;

pub use admit::{Admission, Admit, Candidate};
pub use persons_claim::PersonsClaim;
pub use spending::Spending;

use super::key_limits::{ProviderKey, read_key_limits};
use super::repair::save_repair;
use super::scope_requests::KeptRequest;
use crate::store::Fixer;
use crate::store::columns::{number, to_json};
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
    /// Providers' keys of this machine.
    pub keys: &'a [ProviderKey],
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
    /// Whether a person did the work.
    pub is_by_person: bool,
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
        self.named(|| async move {
            let mut tx = self.begin().await?;
            let limits = read_key_limits(&mut tx, claimer.owner).await?;
            let mut walk = QueueWalk::new(claimer, limits, now);
            let mut next = None;
            let mut left = EXAMINED;
            while next.is_none() && left > 0 {
                next = match walk.next(&mut tx).await? {
                    Some(id) => examine_candidate(&mut tx, &mut walk, id, now).await?,
                    // Another machine may have deferred phases that this one can run.
                    None if walk.take_back_deferrals(&mut tx).await? => None,
                    None => Some(explain_no_claim(&mut tx, &walk).await?),
                };
                // Phases of other machines are met again by the next walk, so they must not end this one.
                if !std::mem::take(&mut walk.is_elsewhere) {
                    left -= 1;
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
    tx: &mut Connection,
    walk: &mut QueueWalk<'_>,
    id: i64,
    now: UnixMs,
) -> Result<Option<ClaimOutcome>, StoreError> {
    let claimer = walk.claimer;
    let row: PhaseRecord =
        query_as(select_phases!("WHERE p.id = ?")).bind(id).fetch_one(&mut *tx).await?;
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
    let limits = &walk.limits;
    let candidate = Candidate { run_id: &run_id, phase: &phase, counted_attempts, spent, limits };
    Ok(match (claimer.admit)(&candidate) {
        Admission::Go => {
            let prepared = PreparedClaim { phase, agent: None, last_failure, spent };
            Some(claimer.claim(tx, &row, prepared, now).await?)
        }
        Admission::GoWith { agent } => {
            let prepared = PreparedClaim { phase, agent: Some(agent), last_failure, spent };
            Some(claimer.claim(tx, &row, prepared, now).await?)
        }
        Admission::Later { until, key } => {
            defer(tx, &row, (until, key), now).await?;
            None
        }
        Admission::Elsewhere => {
            walk.is_elsewhere = true;
            None
        }
        Admission::Refuse(failure) => Some(refuse(tx, &row, failure).await?),
        Admission::Hold => Some(explain_no_claim(tx, walk).await?),
        Admission::Stop(budget) => Some(ClaimOutcome::Stopped(budget)),
    })
}

/// Saves the footprint, so later claims can detect overlaps without another repair.
async fn save_footprint(
    tx: &mut Connection,
    row: &PhaseRecord,
    footprint: &Footprint,
) -> Result<(), StoreError> {
    let footprint = to_json(footprint);
    if row.footprint.as_deref() == Some(&*footprint) {
        return Ok(());
    }
    query("UPDATE phases SET footprint = ?1 WHERE id = ?2 AND footprint IS DISTINCT FROM ?1")
        .bind(footprint)
        .bind(row.id)
        .execute(tx)
        .await?;
    Ok(())
}

impl Claimer<'_> {
    async fn claim(
        &self,
        tx: &mut Connection,
        row: &PhaseRecord,
        prepared: PreparedClaim,
        now: UnixMs,
    ) -> Result<ClaimOutcome, StoreError> {
        let mut claim = claim_row(tx, self.owner, row, prepared, Worker::Agent, now).await?;
        let own_max = row.max_attempts.map(|n| number(n, || row.name())).transpose()?;
        claim.max_attempts = claim.phase.max_attempts().or(own_max).unwrap_or(self.max_attempts);
        Ok(ClaimOutcome::Claimed(Box::new(claim)))
    }
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
