//! Claiming: the next phase that can run, repaired, becomes somebody's, in one transaction.

use std::time::Duration;

use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::phase::budget::Spent;
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
    /// Of these phases alone; empty: of all.
    pub only: &'a [(RunId, PhaseId)],
    /// Asked of each phase before it is taken.
    pub admit: &'a Admit<'a>,
    /// Whether `admit` looks at what was spent; adding it up takes time.
    pub spending: bool,
}

/// A repaired phase whose turn it is.
#[derive(Debug)]
pub struct Candidate<'a> {
    pub run_id: &'a RunId,
    pub phase: &'a FixedSpec,
    /// Tries that were charged so far.
    pub tries: u32,
    pub spent: Spending,
}

/// What was spent on a phase so far, and on its run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spending {
    pub phase: Spent,
    pub run: Spent,
}

/// Whether it may be taken.
#[derive(Clone, Debug, PartialEq)]
pub enum Admission {
    Go,
    /// Not before then; others may.
    Later {
        until: UnixMs,
    },
    /// It is FAILED now.
    Refuse(Failure),
    /// Nothing may be taken any more.
    Stop {
        why: String,
    },
}

pub type Admit<'a> = dyn Fn(&Candidate<'_>) -> Admission + Send + Sync + 'a;

/// Put off in one transaction: bounds how long others wait for the writer.
const PUT_OFF: usize = 500;

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
    /// Before this attempt; nothing where nobody asked for it.
    pub spent: Spending,
    /// The session of the failed try, as its agent called it, with that agent's name.
    pub session: Option<(String, String)>,
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
    /// Nothing may be taken any more: a budget is spent.
    Stopped {
        why: String,
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
            let mut next = None;
            for _ in 0..PUT_OFF {
                next = match candidate(&mut tx, claimer, now).await? {
                    Some(row) => take(&mut tx, claimer, row, now).await?,
                    None => Some(nothing_yet(&mut tx, claimer).await?),
                };
                if next.is_some() {
                    break;
                }
            }
            tx.commit().await?;
            // There may be more to put off.
            Ok(next.unwrap_or(Next::Waiting { until: now }))
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

/// The same among a few that were named.
const CANDIDATE_AMONG: &str = "SELECT id FROM phases
      WHERE run = (SELECT id FROM runs WHERE run_id = ?)
        AND state = 'QUEUED' AND unmet = 0 AND not_before <= ?
        AND phase_id IN (SELECT value FROM json_each(?))
      ORDER BY band, position LIMIT 1";

async fn candidate(
    tx: &mut SqliteConnection,
    claimer: &Claimer<'_>,
    now: UnixMs,
) -> Result<Option<PhaseRecord>, StoreError> {
    for run in claimer.runs {
        let query = match claimer.only {
            [] => sqlx::query_scalar(CANDIDATE).bind(run.as_str()).bind(now.0),
            only => {
                let among = sqlx::query_scalar(CANDIDATE_AMONG).bind(run.as_str()).bind(now.0);
                among.bind(of_run(only, run))
            }
        };
        let id: Option<i64> = query.fetch_optional(&mut *tx).await?;
        if let Some(id) = id {
            let row =
                sqlx::query_as(select_phases!("WHERE p.id = ?")).bind(id).fetch_one(tx).await?;
            return Ok(Some(row));
        }
    }
    Ok(None)
}

/// Phases of different runs may bear the same id.
fn of_run(only: &[(RunId, PhaseId)], run: &RunId) -> String {
    let ids = only.iter().filter(|(of, _)| of == run).map(|(_, id)| id);
    to_json(&ids.collect::<Vec<_>>())
}

async fn nothing_yet(tx: &mut SqliteConnection, claimer: &Claimer<'_>) -> Result<Next, StoreError> {
    let mut soonest: Option<i64> = None;
    for run in claimer.runs {
        let until: Option<i64> = sqlx::query_scalar(
            "SELECT MIN(not_before) FROM phases
              WHERE run = (SELECT id FROM runs WHERE run_id = ?1) AND state = 'QUEUED' AND unmet = 0
                AND (?3 OR phase_id IN (SELECT value FROM json_each(?2)))",
        )
        .bind(run.as_str())
        .bind(of_run(claimer.only, run))
        .bind(claimer.only.is_empty())
        .fetch_one(&mut *tx)
        .await?;
        soonest = [soonest, until].into_iter().flatten().min();
    }
    Ok(soonest.map_or(Next::Nothing, |until| Next::Waiting { until: UnixMs(until) }))
}

/// Repairs the candidate while it is still QUEUED, then takes it, refuses its spec, or puts it off (`None`).
async fn take(
    tx: &mut SqliteConnection,
    claimer: &Claimer<'_>,
    row: PhaseRecord,
    now: UnixMs,
) -> Result<Option<Next>, StoreError> {
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
    let spent = match claimer.spending {
        true => spending(tx, &row, now).await?,
        false => Spending::default(),
    };
    let run_id = RunId::new(row.run_id.clone());
    let tries = number(row.attempts, || row.name())?;
    let candidate = Candidate { run_id: &run_id, phase: &phase, tries, spent };
    Ok(match (claimer.admit)(&candidate) {
        Admission::Go => Some(execute(tx, claimer, &row, phase, last_failure, spent, now).await?),
        Admission::Later { until } => {
            put_off(tx, &row, until, now).await?;
            None
        }
        Admission::Refuse(failure) => Some(refuse(tx, &row, failure).await?),
        Admission::Stop { why } => Some(Next::Stopped { why }),
    })
}

/// Durable: a drain that starts again waits on.
async fn put_off(
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

/// What attempts used, known or estimated: those that ended, then those that run. One that was turned away by a limit
/// without a word on usage used nothing.
const SPENT: &str = "WITH used AS (
    SELECT a.ended_at, COALESCE(a.cost_usd, 0.0) AS cost,
           MAX(COALESCE(a.ended_at, ?1) - a.started_at, 0) AS wall,
           CASE WHEN COALESCE(a.input_tokens, a.output_tokens, a.cache_write_tokens) IS NOT NULL
                THEN COALESCE(a.input_tokens, 0) + COALESCE(a.output_tokens, 0) + COALESCE(a.cache_write_tokens, 0)
                WHEN a.outcome = 'rate_limited' THEN 0
                ELSE COALESCE(a.estimated_output_tokens, 0) END AS tokens
      FROM attempts a JOIN phases p ON p.id = a.phase
     WHERE (a.agent IS NOT NULL OR a.ended_at IS NULL) AND @)
 SELECT COUNT(CASE WHEN ended_at IS NOT NULL AND tokens > 0 THEN 1 END),
        COALESCE(SUM(CASE WHEN ended_at IS NOT NULL THEN tokens END), 0),
        COUNT(CASE WHEN ended_at IS NULL THEN 1 END),
        COALESCE(SUM(CASE WHEN ended_at IS NULL THEN tokens END), 0),
        COALESCE(SUM(cost), 0.0), COALESCE(SUM(wall), 0)
   FROM used";

async fn spending(
    tx: &mut SqliteConnection,
    row: &PhaseRecord,
    now: UnixMs,
) -> Result<Spending, StoreError> {
    let of = |condition: &str| AssertSqlSafe(SPENT.replace('@', condition));
    let mut sums = Vec::new();
    for sql in [of("p.id = ?2"), of("p.run = (SELECT run FROM phases WHERE id = ?2)")] {
        let (ended, tokens, running, estimated, cost_usd, wall_ms): (i64, i64, i64, i64, f64, i64) =
            sqlx::query_as(sql).bind(now.0).bind(row.id).fetch_one(&mut *tx).await?;
        let known = Spent {
            attempts: number(ended, || row.name())?,
            tokens: number(tokens, || row.name())?,
            cost_usd,
            wall: Duration::from_millis(number(wall_ms, || row.name())?),
        };
        let [running, estimated] = [running, estimated].map(|n| number(n, || row.name()));
        sums.push(known.with_running(running?, estimated?));
    }
    Ok(Spending { phase: sums[0], run: sums[1] })
}

/// The session that the attempt before left.
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
    spent: Spending,
    now: UnixMs,
) -> Result<Next, StoreError> {
    let session = session(tx, row.id).await?;
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
        spent,
        session,
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
