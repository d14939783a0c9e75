//! Claiming: the next phase that can run, repaired, becomes somebody's, in one transaction.

use sqlx::SqliteConnection;

use crate::phase::state::Event;
use crate::phase::{
    Complexity, Failure, FailureKind, FixedSpec, PhaseId, PhaseState, RunId, UnixMs,
};

use super::Fixer;
use super::error::StoreError;
use super::open::Store;
use super::owners::OwnerId;
use super::repair::save_repair;
use super::rows::{PhaseRecord, number, select_phases, to_json};
use super::step::Standing;

/// Who claims, from where, and by which rules.
#[derive(Clone, Copy)]
pub struct Claimer<'a> {
    pub owner: &'a OwnerId,
    /// The first with a phase that can run is taken from.
    pub runs: &'a [RunId],
    /// Where the phase does not say it itself.
    pub max_attempts: u32,
    pub fix: &'a Fixer<'a>,
}

/// The right to execute one attempt of one phase. Only `finish` ends it, and consumes it.
#[derive(Debug)]
pub struct Claim {
    pub run_id: RunId,
    pub phase_id: PhaseId,
    pub phase: FixedSpec,
    /// The number of this execution.
    pub attempt: u32,
    /// Tries that were charged before this one.
    pub tries: u32,
    pub max_attempts: u32,
    pub last_failure: Option<Failure>,
    pub owner: OwnerId,
    pub(super) standing: Standing,
    pub(super) attempt_row: i64,
}

/// What there is to do.
#[derive(Debug)]
pub enum Next {
    Claimed(Box<Claim>),
    /// Its turn came, and its spec cannot be executed: it is FAILED now.
    Unfixable {
        run_id: RunId,
        phase_id: PhaseId,
        failure: Failure,
    },
    /// Nothing can run before this time.
    Waiting {
        until: UnixMs,
    },
    /// Nothing can run, unless something that executes now makes it possible.
    Nothing,
}

impl Store {
    /// The order: runs as given; phases that took drains down behind the others; then the plan's order.
    pub async fn claim_next(&self, claimer: &Claimer<'_>, now: UnixMs) -> Result<Next, StoreError> {
        self.named(async {
            let mut tx = self.begin().await?;
            refuse_fenced(&mut tx, claimer.owner).await?;
            let next = match candidate(&mut tx, claimer.runs, now).await? {
                Some(row) => take(&mut tx, claimer, row, now).await?,
                None => nothing_yet(&mut tx, claimer.runs).await?,
            };
            tx.commit().await?;
            Ok(next)
        })
        .await
    }
}

async fn refuse_fenced(tx: &mut SqliteConnection, owner: &OwnerId) -> Result<(), StoreError> {
    let may: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM owners WHERE owner = ? AND fenced = 0)")
            .bind(owner.as_str())
            .fetch_one(tx)
            .await?;
    may.then_some(()).ok_or_else(|| StoreError::Fenced { owner: owner.clone() })
}

/// Answered by the index `phases_claimable` alone, however many phases there are.
pub(super) const CANDIDATE: &str = "SELECT id FROM phases
      WHERE run = (SELECT id FROM runs WHERE run_id = ?)
        AND state = 'QUEUED' AND unmet = 0 AND not_before <= ?
      ORDER BY band, position LIMIT 1";

async fn candidate(
    tx: &mut SqliteConnection,
    runs: &[RunId],
    now: UnixMs,
) -> Result<Option<PhaseRecord>, StoreError> {
    for run in runs {
        let id: Option<i64> = sqlx::query_scalar(CANDIDATE)
            .bind(run.as_str())
            .bind(now.0)
            .fetch_optional(&mut *tx)
            .await?;
        if let Some(id) = id {
            let row =
                sqlx::query_as(select_phases!("WHERE p.id = ?")).bind(id).fetch_one(tx).await?;
            return Ok(Some(row));
        }
    }
    Ok(None)
}

async fn nothing_yet(tx: &mut SqliteConnection, runs: &[RunId]) -> Result<Next, StoreError> {
    let mut soonest: Option<i64> = None;
    for run in runs {
        let until: Option<i64> = sqlx::query_scalar(
            "SELECT MIN(not_before) FROM phases
              WHERE run = (SELECT id FROM runs WHERE run_id = ?) AND state = 'QUEUED' AND unmet = 0",
        )
        .bind(run.as_str())
        .fetch_one(&mut *tx)
        .await?;
        soonest = [soonest, until].into_iter().flatten().min();
    }
    Ok(soonest.map_or(Next::Nothing, |until| Next::Waiting { until: UnixMs(until) }))
}

/// Repairs the candidate while it is still QUEUED, then takes it, or refuses its spec.
async fn take(
    tx: &mut SqliteConnection,
    claimer: &Claimer<'_>,
    row: PhaseRecord,
    now: UnixMs,
) -> Result<Next, StoreError> {
    let last_failure = row.last_failure()?;
    let before = row.current_spec()?;
    let repair = (claimer.fix)(&before, last_failure.as_ref());
    save_repair(tx, &row, &before, &repair).await?;
    match repair.result {
        Ok(phase) => execute(tx, claimer, &row, phase, last_failure, now).await,
        Err(why) => refuse(tx, &row, Failure::new(FailureKind::Unfixable, why.0)).await,
    }
}

async fn refuse(
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

async fn execute(
    tx: &mut SqliteConnection,
    claimer: &Claimer<'_>,
    row: &PhaseRecord,
    phase: FixedSpec,
    last_failure: Option<Failure>,
    now: UnixMs,
) -> Result<Next, StoreError> {
    let queued = row.standing()?;
    let state = moved(&queued, queued.step(tx, Event::Claim, Some(claimer.owner)).await?)?;
    let attempt = queued.executions + 1;
    sqlx::query("UPDATE phases SET executions = ?, not_before = 0 WHERE id = ?")
        .bind(attempt)
        .bind(row.id)
        .execute(&mut *tx)
        .await?;
    let attempt_row = insert_attempt(tx, row.id, attempt, claimer.owner, &phase, now).await?;
    let own_max = row.max_attempts.map(|n| number(n, || row.name())).transpose()?;
    let claim = Claim {
        run_id: queued.run_id.clone(),
        phase_id: queued.phase_id.clone(),
        attempt,
        tries: number(row.attempts, || row.name())?,
        max_attempts: phase.max_attempts().or(own_max).unwrap_or(claimer.max_attempts),
        phase,
        last_failure,
        owner: claimer.owner.clone(),
        standing: Standing {
            state,
            owner: Some(claimer.owner.clone()),
            executions: attempt,
            ..queued
        },
        attempt_row,
    };
    Ok(Next::Claimed(Box::new(claim)))
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
        "INSERT INTO attempts (phase, attempt, owner, started_at, category, complexity, deliverables)
         VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
    )
    .bind(phase)
    .bind(attempt)
    .bind(owner.as_str())
    .bind(now.0)
    .bind(spec.category())
    .bind(complexity)
    .bind(to_json(&spec.deliverables()))
    .fetch_one(tx)
    .await?;
    Ok(id)
}

/// Within one writing transaction nobody can have moved the row that it read.
fn moved(standing: &Standing, state: Option<PhaseState>) -> Result<PhaseState, StoreError> {
    state.ok_or_else(|| {
        let row = format!("phase {} of run {}", standing.phase_id, standing.run_id);
        StoreError::bad_row(row, "it changed within a transaction")
    })
}
