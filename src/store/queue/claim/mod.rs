//! Claiming: the next phase that can run, repaired, becomes somebody's, in one transaction.

mod admit;
pub(crate) mod candidates;
mod spending;

use sqlx::SqliteConnection;

use crate::phase::budget::Exhausted;
use crate::phase::state::Event;
use crate::phase::{
    Complexity, Failure, FailureKind, FixedSpec, Footprint, PhaseId, PhaseState, RunId, UnixMs,
};

use admit::{put_off, refuse};
use candidates::{Walk, nothing_yet};
use spending::spending;

pub use admit::{Admission, Admit, Candidate};
pub use spending::Spending;

use super::owners::{OwnerId, is_fenced};
use super::repair::save_repair;
use crate::store::Fixer;
use crate::store::columns::{number, signed, to_json};
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::rows::{PhaseRecord, select_phases};
use crate::store::state_step::Standing;

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

/// Put off, or repaired only to find that they overlap, in one transaction: bounds how long others wait for the writer.
const EXAMINED: usize = 500;

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
    /// Attempts since the last one that charged a try.
    pub uncounted: u32,
    pub max_attempts: u32,
    pub last_failure: Option<Failure>,
    pub owner: OwnerId,
    /// Before this attempt; nothing where nobody asked for it.
    pub spent: Spending,
    /// The session of the failed try, as its agent called it, with that agent's name.
    pub session: Option<(String, String)>,
    pub(in crate::store) standing: Standing,
    pub(crate) attempt_row: i64,
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
    Stopped(Exhausted),
    /// Nothing executes, and nothing can run before this time.
    Waiting {
        until: UnixMs,
    },
    /// Nothing can run until something that executes now has ended, or until then.
    Held {
        /// One that another owner executes, where there is any.
        by_another: Option<PhaseId>,
        until: Option<UnixMs>,
        /// Whether some could run, but for touching the paths of what executes.
        overlapping: bool,
    },
    /// Nothing can run, and nothing executes that could change that.
    Nothing,
}

impl Store {
    /// The order: runs as given; phases that took drains down behind the others; then the plan's order, without those
    /// that overlap with what executes in their run.
    pub async fn claim_next(&self, claimer: &Claimer<'_>, now: UnixMs) -> Result<Next, StoreError> {
        self.named(async {
            let mut tx = self.begin().await?;
            if is_fenced(&mut tx, claimer.owner).await? {
                return Err(StoreError::Fenced { owner: claimer.owner.clone() });
            }
            let mut walk = Walk::new(claimer, now);
            let mut next = None;
            for _ in 0..EXAMINED {
                next = match walk.next(&mut tx).await? {
                    Some(id) => take(&mut tx, &mut walk, id, now).await?,
                    None => Some(nothing_yet(&mut tx, &walk).await?),
                };
                if next.is_some() {
                    break;
                }
            }
            tx.commit().await?;
            // There may be more to look at.
            Ok(next.unwrap_or(Next::Waiting { until: now }))
        })
        .await
    }
}

/// Repairs the candidate while it is still QUEUED, then takes it, refuses its spec, or passes it over (`None`).
async fn take(
    tx: &mut SqliteConnection,
    walk: &mut Walk<'_>,
    id: i64,
    now: UnixMs,
) -> Result<Option<Next>, StoreError> {
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
    let footprint = Footprint::of(&phase);
    save_footprint(tx, &row, &footprint).await?;
    if walk.has_to_wait(&footprint) {
        return Ok(None);
    }
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
        Admission::Hold => Some(nothing_yet(tx, walk).await?),
        Admission::Stop(budget) => Some(Next::Stopped(budget)),
    })
}

/// So that the next claims need not repair it to see what it overlaps with.
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
        uncounted: number(row.uncounted, || row.name())?,
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
        "INSERT INTO attempts (phase, attempt, owner, started_at, category, complexity, deliverables,
                               description_chars)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
    )
    .bind(phase)
    .bind(attempt)
    .bind(owner.as_str())
    .bind(now.0)
    .bind(spec.category())
    .bind(complexity)
    .bind(to_json(&spec.deliverables()))
    .bind(signed(spec.description().chars().count() as u64))
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
