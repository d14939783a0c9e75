//! Budget usage of a phase and its run, added up before each new attempt.

use std::time::Duration;

use crate::phase::UnixMs;
use crate::phase::budget::BudgetUsage;
use crate::store::backend::{Connection, query_as};
use crate::store::columns::number;
use crate::store::error::StoreError;
use crate::store::rows::PhaseRecord;

/// Budget usage of a phase and its run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spending {
    /// Usage of the phase.
    pub phase: BudgetUsage,
    /// Usage of the run.
    pub run: BudgetUsage,
}

/// Sums the known or estimated usage of a phase: ended attempts, then running attempts.
const OF_PHASE: &str = "SELECT COUNT(CASE WHEN ended_at IS NOT NULL AND tokens > 0 THEN 1 END),
        COALESCE(SUM(CASE WHEN ended_at IS NOT NULL THEN tokens END), 0),
        COUNT(CASE WHEN ended_at IS NULL THEN 1 END),
        COALESCE(SUM(CASE WHEN ended_at IS NULL THEN tokens END), 0),
        COALESCE(SUM(cost_usd), 0.0), COALESCE(SUM(MAX(COALESCE(ended_at, ?1) - started_at, 0)), 0)
   FROM used WHERE phase = ?2 AND (agent IS NOT NULL OR ended_at IS NULL)";

/// Sums the usage of a run. Ended attempts were added up when they ended; running attempts are found through the
/// executing phases.
const OF_RUN: &str = "SELECT r.spent_attempts, r.spent_tokens, running.attempts, running.tokens,
        r.spent_usd + running.usd, r.spent_ms + running.ms
   FROM runs r, (
        SELECT COUNT(*) AS attempts, COALESCE(SUM(u.tokens), 0) AS tokens, COALESCE(SUM(u.cost_usd), 0.0) AS usd,
               COALESCE(SUM(MAX(?1 - u.started_at, 0)), 0) AS ms
          FROM phases p JOIN used u ON u.phase = p.id
         WHERE p.run = (SELECT run FROM phases WHERE id = ?2) AND p.owner IS NOT NULL AND u.ended_at IS NULL) AS running
  WHERE r.id = (SELECT run FROM phases WHERE id = ?2)";

pub(super) async fn spending(
    tx: &mut Connection,
    row: &PhaseRecord,
    now: UnixMs,
) -> Result<Spending, StoreError> {
    let mut sums = Vec::new();
    for sql in [OF_PHASE, OF_RUN] {
        let (ended, tokens, running, estimated, cost_usd, wall_ms): (i64, i64, i64, i64, f64, i64) =
            query_as(sql).bind(now.0).bind(row.id).fetch_one(&mut *tx).await?;
        let known = BudgetUsage {
            attempts: number(ended, || row.name())?,
            tokens: number(tokens, || row.name())?,
            cost_usd,
            wall: Duration::from_millis(number(wall_ms, || row.name())?),
            running: 0,
        };
        let [running, estimated] = [running, estimated].map(|n| number(n, || row.name()));
        sums.push(known.with_running(running?, estimated?));
    }
    Ok(Spending { phase: sums[0], run: sums[1] })
}
