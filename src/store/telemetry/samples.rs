//! Telemetry samples: storing, and reading page by page.

use sqlx::{AssertSqlSafe, FromRow};

use crate::phase::plan::ImportedSample;
use crate::phase::{PhaseId, RunId, Sample, UnixMs};
use crate::store::backend::{Connection, query, query_as, query_scalar};

use crate::store::columns::{json, number, signed, to_json};
use crate::store::error::StoreError;
use crate::store::open::Store;

#[derive(FromRow)]
pub(crate) struct SampleRecord {
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
    description_chars: Option<i64>,
    existing_bytes: Option<String>,
}

/// Selection of samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SampleFilter {
    /// Restricts the selection to these runs; empty for all runs.
    pub runs: Vec<RunId>,
    /// Earliest time of a sample.
    pub since: Option<UnixMs>,
    /// Restricts the selection to landed and complete outputs.
    pub quality: bool,
}

/// Columns of a [`SampleRecord`].
pub(crate) const COLUMNS: &str = "id, run_id, phase_id, attempt, timestamp, category, complexity, deliverables,
    predicted_output_tokens, actual_output_tokens, input_tokens, cache_read_tokens, cost_usd, agent, model, success,
    truncated, stop_reason, failure_kind, agent_ms, ci_ms, description_chars, existing_bytes";

impl Store {
    /// Returns a page of the selected samples, oldest first, at most `limit` after the given sample. Uses the time
    /// index, starting at the given sample.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn samples_page(
        &self,
        filter: &SampleFilter,
        last: Option<&Sample>,
        limit: u32,
    ) -> Result<Vec<Sample>, StoreError> {
        let first = filter.since.map_or(i64::MIN, |since| since.0);
        let (timestamp, number) = last.map_or((first, i64::MIN), |s| (s.timestamp.0, s.number));
        let mut sql = format!("SELECT {COLUMNS} FROM samples WHERE (timestamp, id) > (?1, ?2)");
        if !filter.runs.is_empty() {
            sql += " AND run_id IN (SELECT value FROM json_each(?4))";
        }
        if filter.quality {
            sql += " AND success AND NOT truncated";
        }
        sql += " ORDER BY timestamp, id LIMIT ?3";
        self.named(|| async {
            let mut query =
                query_as(AssertSqlSafe(sql.clone())).bind(timestamp).bind(number).bind(limit);
            if !filter.runs.is_empty() {
                query = query.bind(to_json(&filter.runs));
            }
            let rows: Vec<SampleRecord> = query.fetch_all(&self.reader).await?;
            rows.into_iter().map(Sample::try_from).collect()
        })
        .await
    }

    /// Returns the latest samples with an output size, complete or a lower bound; newest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn latest_outputs(
        &self,
        runs: &[RunId],
        limit: u32,
    ) -> Result<Vec<Sample>, StoreError> {
        self.named(|| async move {
            let sql = format!(
                "SELECT {COLUMNS} FROM samples
                  WHERE actual_output_tokens > 0 AND (success OR truncated)
                    AND (?1 = '[]' OR run_id IN (SELECT value FROM json_each(?1)))
                  ORDER BY timestamp DESC, id DESC LIMIT ?2"
            );
            let query = query_as(AssertSqlSafe(sql)).bind(to_json(&runs)).bind(limit);
            let rows: Vec<SampleRecord> = query.fetch_all(&self.reader).await?;
            rows.into_iter().map(Sample::try_from).collect()
        })
        .await
    }

    /// Checks that each of these runs exists or has left samples.
    ///
    /// # Errors
    /// [`StoreError::UnknownRun`] with the existing runs, or the database cannot be read.
    pub async fn require_sampled_runs(&self, runs: &[RunId]) -> Result<(), StoreError> {
        self.named(|| async move {
            let mut tx = self.reader.begin().await?;
            for run in runs {
                let known: bool = query_scalar(
                    "SELECT EXISTS (SELECT 1 FROM runs WHERE run_id = ?1)
                         OR EXISTS (SELECT 1 FROM samples WHERE run_id = ?1)",
                )
                .bind(run.as_str())
                .fetch_one(&mut *tx)
                .await?;
                if !known {
                    let runs: Vec<String> = query_scalar(
                        "SELECT run_id FROM runs UNION SELECT run_id FROM samples ORDER BY 1",
                    )
                    .fetch_all(&mut *tx)
                    .await?;
                    let runs = runs.into_iter().map(RunId::new).collect();
                    let database = self.name().clone();
                    return Err(StoreError::UnknownRun { database, run: run.clone(), runs });
                }
            }
            Ok(())
        })
        .await
    }
}

/// Stores a sample of another system unless already present. Returns whether the sample was new.
pub(crate) async fn import_sample(
    tx: &mut Connection,
    run: &RunId,
    sample: &ImportedSample,
) -> Result<bool, StoreError> {
    let usage = &sample.usage;
    let added = query(
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
            description_chars: count(row.description_chars)?,
            existing_bytes: row.existing_bytes.map(|text| json(&text, name)).transpose()?,
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
