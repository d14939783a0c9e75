//! Telemetry samples: kept, and read a page at a time.

use sqlx::{FromRow, SqliteConnection};

use crate::phase::plan::ImportedSample;
use crate::phase::{PhaseId, RunId, Sample, UnixMs};

use super::error::StoreError;
use super::open::Store;
use super::rows::{json, number, signed, to_json};

#[derive(FromRow)]
struct SampleRecord {
    id: i64,
    run_id: String,
    phase_id: String,
    attempt: Option<i64>,
    timestamp: i64,
    category: String,
    complexity: String,
    deliverables: String,
    predicted_output_tokens: Option<i64>,
    actual_output_tokens: Option<i64>,
    input_tokens: Option<i64>,
    cache_read_tokens: Option<i64>,
    cost_usd: Option<f64>,
    agent: Option<String>,
    model: Option<String>,
    success: bool,
    truncated: bool,
    stop_reason: Option<String>,
    failure_kind: Option<String>,
    agent_ms: Option<i64>,
    ci_ms: Option<i64>,
}

impl Store {
    /// Oldest first, at most `limit` after the one given: a page at a time, however many there are.
    pub async fn samples_after(
        &self,
        last: Option<&Sample>,
        limit: u32,
    ) -> Result<Vec<Sample>, StoreError> {
        let (timestamp, number) = last.map_or((i64::MIN, i64::MIN), |s| (s.timestamp.0, s.number));
        self.named(async {
            let rows: Vec<SampleRecord> = sqlx::query_as(
                "SELECT * FROM samples WHERE (timestamp, id) > (?, ?) ORDER BY timestamp, id LIMIT ?",
            )
            .bind(timestamp)
            .bind(number)
            .bind(limit)
            .fetch_all(&self.reader)
            .await?;
            rows.into_iter().map(Sample::try_from).collect()
        })
        .await
    }
}

/// Keeps another system's sample, unless it is here. Says whether it was new.
pub(super) async fn import_sample(
    tx: &mut SqliteConnection,
    run: &RunId,
    sample: &ImportedSample,
) -> Result<bool, StoreError> {
    let usage = &sample.usage;
    let added = sqlx::query(
        "INSERT INTO samples (run_id, phase_id, origin, timestamp, category, complexity, deliverables,
                predicted_output_tokens, actual_output_tokens, input_tokens, cache_read_tokens, cost_usd, model,
                success, truncated, stop_reason)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT DO NOTHING",
    )
    .bind(run.as_str())
    .bind(sample.phase_id.as_str())
    .bind(&sample.origin)
    .bind(sample.timestamp.0)
    .bind(&sample.category)
    .bind(&sample.complexity)
    .bind(to_json(&sample.deliverables))
    .bind(sample.predicted_output_tokens.map(signed))
    .bind(usage.tokens.output.map(signed))
    .bind(usage.tokens.input.map(signed))
    .bind(usage.tokens.cache_read.map(signed))
    .bind(usage.cost_usd)
    .bind(&usage.model)
    .bind(sample.success)
    .bind(usage.truncated)
    .bind(&usage.stop_reason)
    .execute(tx)
    .await?;
    Ok(added.rows_affected() == 1)
}

impl TryFrom<SampleRecord> for Sample {
    type Error = StoreError;

    fn try_from(row: SampleRecord) -> Result<Self, StoreError> {
        let name = || format!("telemetry sample {}", row.id);
        let count = |value: Option<i64>| value.map(|n| number(n, name)).transpose();
        Ok(Self {
            number: row.id,
            attempt: row.attempt.map(|n| number(n, name)).transpose()?,
            deliverables: json(&row.deliverables, name)?,
            predicted_output_tokens: count(row.predicted_output_tokens)?,
            actual_output_tokens: count(row.actual_output_tokens)?,
            input_tokens: count(row.input_tokens)?,
            cache_read_tokens: count(row.cache_read_tokens)?,
            agent_ms: count(row.agent_ms)?,
            ci_ms: count(row.ci_ms)?,
            run_id: RunId::new(row.run_id),
            phase_id: PhaseId::new(row.phase_id),
            timestamp: UnixMs(row.timestamp),
            category: row.category,
            complexity: row.complexity,
            cost_usd: row.cost_usd,
            agent: row.agent,
            model: row.model,
            success: row.success,
            truncated: row.truncated,
            stop_reason: row.stop_reason,
            failure_kind: row.failure_kind,
        })
    }
}
