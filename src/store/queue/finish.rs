//! Finishing an attempt: stores the outcome, the phase's new state, the dependents that may run now and the telemetry
//! sample in one transaction.

use futures_util::future::BoxFuture;

use crate::phase::scope_request::DecidedPath;
use crate::phase::verdict::{self, CRASHES_BEFORE_LAST, Outcome, Tally};
use crate::phase::{AttemptOutcome, Failure, PhaseState, RequeueReason, UnixMs, Usage, Verdict};
use crate::store::backend::{Connection, query, query_as};

use super::claim::Claim;
use super::finished_sample::save_sample;
use super::merge_queue::remove_member;
use super::owners::is_fenced;
use super::scope_requests::save_requests;
use crate::store::admin::source_settlement::settle_after_attempt;
use crate::store::backend::DatabaseErrorKind;
use crate::store::columns::{number, signed, to_json};
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::state_step::PhaseSnapshot;

/// Result of an attempt, as reported by the worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Finish {
    /// Verdict on the attempt.
    pub verdict: Verdict,
    /// End of the attempt.
    pub ended: UnixMs,
    /// Usage reported by the agent.
    pub usage: Usage,
    /// Run time of the agent in milliseconds; `None` if the agent did not start.
    pub agent_ms: Option<u64>,
    /// Run time of CI in milliseconds.
    pub ci_ms: Option<u64>,
    /// Session id of the agent, for a retry to resume.
    pub session: Option<String>,
    /// Note for people on an attempt without another message, such as tests removed together with the code.
    pub note: Option<String>,
    /// Files that the agent asked for; granted ones join the scope.
    pub requests: Vec<DecidedPath>,
    /// Whether to store a sample, if the attempt reached the agent.
    pub telemetry: bool,
    /// Limit of consecutive uncounted attempts, see [`Tally`].
    pub max_uncounted: u32,
}

impl Finish {
    /// Creates a result with nothing but a verdict.
    pub fn of(verdict: Verdict, ended: UnixMs, telemetry: bool) -> Self {
        Self {
            verdict,
            ended,
            usage: Usage::default(),
            agent_ms: None,
            ci_ms: None,
            session: None,
            note: None,
            requests: Vec::new(),
            telemetry,
            max_uncounted: u32::MAX,
        }
    }
}

/// State of the phase after an attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct FinishResult {
    /// New state.
    pub state: PhaseState,
    /// Reason for a failed attempt or for giving up the phase.
    pub failure: Option<Failure>,
    /// Counted attempts of the phase so far.
    pub counted_attempts: u32,
}

/// Waits while the disk is full; returns `false` to stop waiting.
pub type DiskFullWait<'a> = dyn Fn(&StoreError) -> BoxFuture<'a, bool> + Send + Sync + 'a;

impl Store {
    /// Ends the claimed attempt and returns the phase's new state.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if the attempt was reclaimed, or the owner is fenced and about to be reclaimed;
    /// nothing is changed then. Otherwise the database cannot be written.
    pub async fn finish(&self, claim: Claim, finish: &Finish) -> Result<PhaseState, StoreError> {
        Ok(self.try_to_finish(&claim, finish).await?.state)
    }

    /// Ends the claimed attempt like [`Store::finish`]; on a full disk, retries as long as `wait` allows.
    ///
    /// # Errors
    /// As for [`Store::finish`].
    pub async fn finish_or_wait(
        &self,
        claim: Claim,
        finish: &Finish,
        wait: &DiskFullWait<'_>,
    ) -> Result<FinishResult, StoreError> {
        loop {
            match self.try_to_finish(&claim, finish).await {
                Err(error)
                    if error.database_kind() == Some(DatabaseErrorKind::Full)
                        && wait(&error).await => {}
                ended => return ended,
            }
        }
    }

    async fn try_to_finish(
        &self,
        claim: &Claim,
        finish: &Finish,
    ) -> Result<FinishResult, StoreError> {
        self.named(|| async move {
            let mut tx = self.begin().await?;
            // A fenced owner may have observed the effects of being reclaimed, such as a killed agent.
            if is_fenced(&mut tx, &claim.owner).await? {
                return Err(claim.lease_lost_error());
            }
            let ended = end_attempt(
                &mut tx,
                &claim.snapshot,
                claim.attempt_row,
                claim.max_attempts,
                finish,
            )
            .await?;
            let ended = ended.ok_or_else(|| claim.lease_lost_error())?;
            tx.commit().await?;
            Ok(ended)
        })
        .await
    }
}

/// Ends an attempt. Returns `None` if the phase has moved on since `snapshot` was read; the caller must then roll back.
pub(crate) async fn end_attempt(
    tx: &mut Connection,
    snapshot: &PhaseSnapshot,
    attempt_row: i64,
    max_attempts: u32,
    finish: &Finish,
) -> Result<Option<FinishResult>, StoreError> {
    let StoredTally { tally, is_settled, is_by_person } =
        read_tally(tx, snapshot, attempt_row, max_attempts).await?;
    let mut outcome = verdict::outcome(
        &finish.verdict,
        Tally { max_uncounted: finish.max_uncounted, is_asked: finish.agent_ms.is_some(), ..tally },
    );
    if is_by_person {
        outcome = outcome.of_person(tally);
    }
    let Some(state) = snapshot.step(tx, outcome.event, None).await? else {
        return Ok(None);
    };
    save_phase(tx, snapshot.id, &outcome, &finish.verdict).await?;
    if !save_attempt(tx, snapshot, attempt_row, &outcome, finish).await? {
        return Ok(None);
    }
    save_requests(tx, snapshot, &finish.requests, finish.ended).await?;
    remove_member(tx, snapshot.id).await?;
    if finish.telemetry {
        let failure = failure_of(&finish.verdict, &outcome);
        save_sample(tx, attempt_row, finish.verdict.outcome(), failure).await?;
    }
    let closed = match is_settled {
        true => settle_after_attempt(tx, snapshot).await?,
        false => None,
    };
    let state = closed.unwrap_or(state);
    Ok(Some(FinishResult {
        state,
        failure: outcome.failure,
        counted_attempts: outcome.tally.attempts,
    }))
}

/// What the store knows of a phase at the end of an attempt.
struct StoredTally {
    tally: Tally,
    /// Whether the source has settled the phase during the attempt.
    is_settled: bool,
    /// Whether a person did the work.
    is_by_person: bool,
}

async fn read_tally(
    tx: &mut Connection,
    snapshot: &PhaseSnapshot,
    attempt_row: i64,
    max_attempts: u32,
) -> Result<StoredTally, StoreError> {
    type TallyRecord = (i64, i64, i64, i64, i64, bool, bool);
    let record: TallyRecord = query_as(
        "SELECT attempts, crashes, rate_limits, base_moves, uncounted, settle_as IS NOT NULL,
                EXISTS (SELECT 1 FROM attempts WHERE id = ? AND by_person)
           FROM phases WHERE id = ?",
    )
    .bind(attempt_row)
    .bind(snapshot.id)
    .fetch_optional(tx)
    .await?
    .unwrap_or_default();
    let (attempts, crashes, rate_limits, base_moves, uncounted, is_settled, is_by_person) = record;
    let name = || format!("phase {} of run {}", snapshot.phase_id, snapshot.run_id);
    let tally = Tally {
        attempts: number(attempts, name)?,
        max_attempts,
        crashes: number(crashes, name)?,
        rate_limits: number(rate_limits, name)?,
        base_moves: number(base_moves, name)?,
        uncounted: number(uncounted, name)?,
        ..Tally::default()
    };
    Ok(StoredTally { tally, is_settled, is_by_person })
}

async fn save_phase(
    tx: &mut Connection,
    phase: i64,
    outcome: &Outcome,
    verdict: &Verdict,
) -> Result<(), StoreError> {
    let tally = outcome.tally;
    let commit = match verdict {
        Verdict::Passed { commit } => commit.as_deref(),
        _ => None,
    };
    query(
        "UPDATE phases SET attempts = ?, crashes = ?, rate_limits = ?, base_moves = ?, uncounted = ?, band = ?, not_before = ?, deferred_key = NULL,
                last_failure = COALESCE(?, last_failure), commit_id = ?,
                footprint = CASE WHEN base_moves = ? THEN footprint END
          WHERE id = ?",
    )
    .bind(tally.attempts)
    .bind(tally.crashes)
    .bind(tally.rate_limits)
    .bind(tally.base_moves)
    .bind(tally.uncounted)
    .bind(i64::from(tally.crashes >= CRASHES_BEFORE_LAST))
    .bind(outcome.not_before.map_or(0, |at| at.0))
    .bind(outcome.failure.as_ref().map(to_json))
    .bind(commit)
    // After a conflict, the next claim computes a wider footprint.
    .bind(tally.base_moves)
    .bind(phase)
    .execute(tx)
    .await?;
    Ok(())
}

async fn save_attempt(
    tx: &mut Connection,
    snapshot: &PhaseSnapshot,
    attempt_row: i64,
    outcome: &Outcome,
    finish: &Finish,
) -> Result<bool, StoreError> {
    let Finish { verdict, usage, .. } = finish;
    let landed = match verdict {
        Verdict::Passed { commit } => commit.as_deref(),
        _ => None,
    };
    let ended = query(
        "UPDATE attempts SET ended_at = ?, outcome = ?, failure = ?, note = ?,
                landing_commit = COALESCE(?, landing_commit), model = ?, input_tokens = ?, output_tokens = ?,
                cache_read_tokens = ?, cache_write_tokens = ?, cost_usd = ?, truncated = ?, stop_reason = ?,
                agent_ms = ?, ci_ms = ?, session = ?, scope_granted = ?
          WHERE id = ? AND owner = ? AND ended_at IS NULL",
    )
    .bind(finish.ended.0)
    .bind(stored_outcome(verdict.outcome()).as_str())
    .bind(failure_of(verdict, outcome).map(to_json))
    .bind(note_of(verdict).or(finish.note.as_deref()))
    .bind(landed)
    .bind(&usage.model)
    .bind(usage.tokens.input.map(signed))
    .bind(usage.tokens.output.map(signed))
    .bind(usage.tokens.cache_read.map(signed))
    .bind(usage.tokens.cache_write.map(signed))
    .bind(usage.cost_usd)
    .bind(usage.truncated)
    .bind(&usage.stop_reason)
    .bind(finish.agent_ms.map(signed))
    .bind(finish.ci_ms.map(signed))
    .bind(&finish.session)
    .bind(verdict.outcome() == AttemptOutcome::ScopeGranted)
    .bind(attempt_row)
    .bind(snapshot.owner.as_ref().map(|owner| owner.as_str()))
    .execute(tx)
    .await?;
    Ok(ended.rows_affected() == 1)
}

/// Returns the outcome as stored: other columns tell a kept proposal and a wider scope from an interruption.
fn stored_outcome(outcome: AttemptOutcome) -> AttemptOutcome {
    match outcome {
        AttemptOutcome::ScopeProposed | AttemptOutcome::ScopeGranted => AttemptOutcome::Interrupted,
        outcome => outcome,
    }
}

/// Returns the failure of the attempt, or the failure of a phase given up with the attempt.
fn failure_of<'a>(verdict: &'a Verdict, outcome: &'a Outcome) -> Option<&'a Failure> {
    match verdict {
        Verdict::Failed(failure) => Some(failure),
        _ => outcome.failure.as_ref(),
    }
}

fn note_of(verdict: &Verdict) -> Option<&str> {
    match verdict {
        Verdict::Requeued(
            RequeueReason::RateLimited { message, .. }
            | RequeueReason::Unavailable { message, .. }
            | RequeueReason::ScopeProposed { message }
            | RequeueReason::ScopeGranted { message }
            | RequeueReason::BaseMoved { message }
            | RequeueReason::Systemic { message },
        ) => Some(message),
        _ => None,
    }
}
