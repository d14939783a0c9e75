//! Sums for metrics, read in one snapshot.

use sqlx::FromRow;

use crate::store::backend::query_as;
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::queue::owners::{OWNERS, Owner, OwnerRecord};

/// Everything that `autopack metrics` shows of the database.
#[derive(Clone, Debug, Default)]
pub struct MetricRows {
    /// Runs, in order of their ids.
    pub runs: Vec<RunMetrics>,
    /// Numbers of phases.
    pub phases: Vec<PhaseMetrics>,
    /// Ended attempts, and the time that they took.
    pub attempts: Vec<AttemptMetrics>,
    /// Known usage of attempts.
    pub usage: Vec<UsageMetrics>,
    /// Members of merge queues.
    pub queue: Vec<QueueMetrics>,
    /// Registered drains, with the milliseconds since their last heartbeats by the database's clock, where recorded.
    pub drains: Vec<(Owner, Option<i64>)>,
}

/// A run with its usage as budgets count it: unknown tokens as estimated.
#[derive(Clone, Debug, FromRow)]
pub struct RunMetrics {
    /// Id of the run.
    pub run: String,
    /// Whether the run is paused.
    pub paused: bool,
    /// Tokens of ended attempts.
    pub spent_tokens: i64,
    /// Cost of ended attempts in US dollars.
    pub spent_usd: f64,
    /// Wall time of ended attempts in milliseconds.
    pub spent_ms: i64,
    /// QUEUED phases behind a FAILED one.
    pub blocked: i64,
}

/// Phases of a run in a state.
#[derive(Clone, Debug, FromRow)]
pub struct PhaseMetrics {
    /// Id of the run.
    pub run: String,
    /// Stored state.
    pub state: String,
    /// Number of phases.
    pub count: i64,
}

/// Ended attempts of a run by an agent with an outcome.
#[derive(Clone, Debug, FromRow)]
pub struct AttemptMetrics {
    /// Id of the run.
    pub run: String,
    /// Agent, once started.
    pub agent: Option<String>,
    /// Stored outcome.
    pub outcome: String,
    /// Number of attempts.
    pub count: i64,
    /// Time of agents in milliseconds.
    pub agent_ms: i64,
    /// Time of CI in milliseconds.
    pub ci_ms: i64,
}

/// Known usage of a run by a model.
#[derive(Clone, Debug, FromRow)]
pub struct UsageMetrics {
    /// Id of the run.
    pub run: String,
    /// Model, where the agent reported one.
    pub model: Option<String>,
    /// Input tokens.
    pub input: i64,
    /// Output tokens.
    pub output: i64,
    /// Tokens read from caches.
    pub cache_read: i64,
    /// Tokens written to caches.
    pub cache_write: i64,
    /// Cost in US dollars.
    pub cost_usd: f64,
}

/// Members of the merge queue of a run in a state.
#[derive(Clone, Debug, FromRow)]
pub struct QueueMetrics {
    /// Id of the run.
    pub run: String,
    /// Stored state.
    pub state: String,
    /// Number of members.
    pub count: i64,
}

impl Store {
    /// Reads the sums in one snapshot.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn metric_rows(&self) -> Result<MetricRows, StoreError> {
        self.named(|| async move {
            let mut tx = self.reader.begin().await?;
            let runs = query_as(
                "SELECT r.run_id AS run, r.paused_at IS NOT NULL AS paused, r.spent_tokens, r.spent_usd, r.spent_ms,
                        COALESCE(b.count, 0) AS blocked
                   FROM runs r LEFT JOIN (SELECT run, COUNT(*) AS count FROM blocked GROUP BY run) b ON b.run = r.id
                  ORDER BY r.id",
            )
            .fetch_all(&mut *tx)
            .await?;
            let phases = query_as(
                "SELECT r.run_id AS run, c.state, c.count
                   FROM (SELECT run, state, COUNT(*) AS count FROM phases GROUP BY run, state) c
                   JOIN runs r ON r.id = c.run
                  ORDER BY r.id, c.state",
            )
            .fetch_all(&mut *tx)
            .await?;
            let attempts = query_as(
                "SELECT r.run_id AS run, a.agent, a.outcome, COUNT(*) AS count,
                        COALESCE(SUM(a.agent_ms), 0) AS agent_ms, COALESCE(SUM(a.ci_ms), 0) AS ci_ms
                   FROM attempts a JOIN phases p ON p.id = a.phase JOIN runs r ON r.id = p.run
                  WHERE a.outcome IS NOT NULL
                  GROUP BY r.id, r.run_id, a.agent, a.outcome ORDER BY r.id, a.agent, a.outcome",
            )
            .fetch_all(&mut *tx)
            .await?;
            let usage = query_as(
                "SELECT r.run_id AS run, a.model, COALESCE(SUM(a.input_tokens), 0) AS input,
                        COALESCE(SUM(a.output_tokens), 0) AS output,
                        COALESCE(SUM(a.cache_read_tokens), 0) AS cache_read,
                        COALESCE(SUM(a.cache_write_tokens), 0) AS cache_write,
                        COALESCE(SUM(a.cost_usd), 0.0) AS cost_usd
                   FROM attempts a JOIN phases p ON p.id = a.phase JOIN runs r ON r.id = p.run
                  WHERE COALESCE(a.input_tokens, a.output_tokens, a.cache_read_tokens, a.cache_write_tokens) IS NOT NULL
                     OR a.cost_usd IS NOT NULL
                  GROUP BY r.id, r.run_id, a.model ORDER BY r.id, a.model",
            )
            .fetch_all(&mut *tx)
            .await?;
            let queue = query_as(
                "SELECT r.run_id AS run, m.state, COUNT(*) AS count
                   FROM queue_members m JOIN runs r ON r.id = m.run
                  GROUP BY r.id, r.run_id, m.state ORDER BY r.id, m.state",
            )
            .fetch_all(&mut *tx)
            .await?;
            let owners: Vec<OwnerRecord> = query_as(OWNERS)
            .fetch_all(&mut *tx)
            .await?;
            let drains = owners.iter().map(|row| Ok((Owner::try_from(row)?, row.silent_ms)));
            let drains = drains.collect::<Result<_, StoreError>>()?;
            Ok(MetricRows { runs, phases, attempts, usage, queue, drains })
        })
        .await
    }
}
