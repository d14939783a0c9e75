//! Whether a phase may be taken now: the question, its answers, and what an answer that is no "go" does to the phase.
//! The answer itself comes from whoever claims.

use sqlx::SqliteConnection;

use super::spending::Spending;
use super::{Next, moved};
use crate::phase::budget::Exhausted;
use crate::phase::state::Event;
use crate::phase::{Failure, FixedSpec, RunId, UnixMs};
use crate::store::columns::to_json;
use crate::store::error::StoreError;
use crate::store::rows::PhaseRecord;
use crate::store::state_step::Standing;

/// A repaired phase whose turn it is.
#[derive(Debug)]
pub struct Candidate<'a> {
    pub run_id: &'a RunId,
    pub phase: &'a FixedSpec,
    /// Tries that were charged so far.
    pub tries: u32,
    pub spent: Spending,
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
    /// Nothing may be taken before something that executes now has ended.
    Hold,
    /// Nothing may be taken any more.
    Stop(Exhausted),
}

pub type Admit<'a> = dyn Fn(&Candidate<'_>) -> Admission + Send + Sync + 'a;

/// Durable: a drain that starts again waits on.
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
