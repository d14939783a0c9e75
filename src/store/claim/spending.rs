//! What was spent on a phase and on its run, added up for whoever decides whether one more attempt may begin.

use std::time::Duration;

use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::phase::UnixMs;
use crate::phase::budget::Spent;
use crate::store::error::StoreError;
use crate::store::rows::{PhaseRecord, number};

/// What was spent on a phase so far, and on its run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spending {
    pub phase: Spent,
    pub run: Spent,
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

pub(super) async fn spending(
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
            running: 0,
        };
        let [running, estimated] = [running, estimated].map(|n| number(n, || row.name()));
        sums.push(known.with_running(running?, estimated?));
    }
    Ok(Spending { phase: sums[0], run: sums[1] })
}
