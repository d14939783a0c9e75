//! History of runs and samples, read page by page to support any number of attempts.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, FromRow};

use crate::phase::{AttemptFacts, PhaseHistory, PhaseId, RunId, Sample, UnixMs};
use crate::store::backend::{Connection, query_as};

use crate::store::columns::{number, parse, to_json};
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::rows::{AttemptRecord, AttemptRow, outcome_of, select_attempts};
use crate::store::telemetry::samples::{COLUMNS, SampleRecord};
use crate::store::token_columns::TokenColumns;

/// Position of the next page of a run's phases.
#[derive(Clone, Copy, Debug)]
pub struct HistoryCursor(i64);

impl Default for HistoryCursor {
    fn default() -> Self {
        Self(i64::MIN)
    }
}

#[derive(FromRow)]
struct PhaseRecord {
    id: i64,
    phase_id: String,
    position: i64,
    state: String,
    failure_kind: Option<String>,
}

#[derive(FromRow)]
struct FactsRecord {
    phase: i64,
    attempt: i64,
    started_at: i64,
    ended_at: Option<i64>,
    outcome: Option<String>,
    purpose: Option<String>,
    scope_granted: bool,
    failure_kind: Option<String>,
    category: String,
    complexity: String,
    agent: Option<String>,
    model: Option<String>,
    estimated_output_tokens: Option<i64>,
    #[sqlx(flatten)]
    tokens: TokenColumns,
    cost_usd: Option<f64>,
    truncated: bool,
    agent_ms: Option<i64>,
    ci_ms: Option<i64>,
}

impl Store {
    /// Returns the next phases of a run with all their attempts, at most `limit`, and advances the cursor. An empty
    /// page marks the end.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn history_page(
        &self,
        run: &RunId,
        cursor: &mut HistoryCursor,
        limit: u32,
    ) -> Result<Vec<PhaseHistory>, StoreError> {
        let from = cursor.0;
        let (page, to) = self.named(|| async move {
            let mut tx = self.reader.begin().await?;
            let row = self.run_row(&mut tx, run).await?;
            let phases: Vec<PhaseRecord> = query_as(
                "SELECT id, phase_id, position, state, json_extract(last_failure, '$.kind') AS failure_kind
                   FROM phases WHERE run = ? AND position > ? ORDER BY position LIMIT ?",
            )
            .bind(row)
            .bind(from)
            .bind(limit)
            .fetch_all(&mut *tx)
            .await?;
            let Some(last) = phases.last() else { return Ok((Vec::new(), from)) };
            let to = last.position;
            let mut attempts = attempts_between(&mut tx, row, from, to).await?;
            let page: Result<Vec<_>, StoreError> = phases
                .into_iter()
                .map(|phase| {
                    let attempts = attempts.remove(&phase.id).unwrap_or_default();
                    phase.with(run, attempts)
                })
                .collect();
            Ok((page?, to))
        })
        .await?;
        cursor.0 = to;
        Ok(page)
    }

    /// Returns samples without an attempt in the database: imported samples and samples of removed runs. Restricted to
    /// `runs` unless empty; at most `limit` after sample number `after`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn samples_without_attempt(
        &self,
        runs: &[RunId],
        after: i64,
        limit: u32,
    ) -> Result<Vec<Sample>, StoreError> {
        self.named(|| async move {
            let sql = format!(
                "SELECT {COLUMNS} FROM samples s
                  WHERE s.id > ?1
                    AND (?2 = '[]' OR s.run_id IN (SELECT value FROM json_each(?2)))
                    AND (s.origin IS NOT NULL OR NOT EXISTS (SELECT 1 FROM runs r WHERE r.run_id = s.run_id))
                  ORDER BY s.id LIMIT ?3"
            );
            let rows: Vec<SampleRecord> = query_as(AssertSqlSafe(sql))
            .bind(after)
            .bind(to_json(&runs))
            .bind(limit)
            .fetch_all(&self.reader)
            .await?;
            rows.into_iter().map(Sample::try_from).collect()
        })
        .await
    }

    /// Returns every attempt of a run with its report, by phase, oldest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn attempts_of(
        &self,
        run: &RunId,
    ) -> Result<HashMap<PhaseId, Vec<AttemptRow>>, StoreError> {
        self.named(|| async move {
            let mut tx = self.reader.begin().await?;
            let row = self.run_row(&mut tx, run).await?;
            let records: Vec<AttemptRecord> =
                query_as(select_attempts!("WHERE p.run = ? ORDER BY p.position, a.attempt"))
                    .bind(row)
                    .fetch_all(&mut *tx)
                    .await?;
            let mut attempts: HashMap<PhaseId, Vec<AttemptRow>> = HashMap::new();
            for record in records {
                let phase = PhaseId::new(&record.phase_id);
                attempts.entry(phase).or_default().push(AttemptRow::try_from(record)?);
            }
            Ok(attempts)
        })
        .await
    }
}

async fn attempts_between(
    connection: &mut Connection,
    run: i64,
    after: i64,
    to: i64,
) -> Result<HashMap<i64, Vec<AttemptFacts>>, StoreError> {
    let rows: Vec<FactsRecord> = query_as(
        "SELECT a.phase, a.attempt, a.started_at, a.ended_at, a.outcome, a.purpose, a.scope_granted,
                json_extract(a.failure, '$.kind') AS failure_kind, a.category, a.complexity, a.agent, a.model,
                a.estimated_output_tokens, a.input_tokens, a.output_tokens, a.cache_read_tokens,
                a.cache_write_tokens, a.cost_usd, a.truncated, a.agent_ms, a.ci_ms
           FROM phases p JOIN attempts a ON a.phase = p.id
          WHERE p.run = ? AND p.position > ? AND p.position <= ? ORDER BY p.position, a.attempt",
    )
    .bind(run)
    .bind(after)
    .bind(to)
    .fetch_all(connection)
    .await?;
    let mut attempts: HashMap<i64, Vec<AttemptFacts>> = HashMap::new();
    for row in rows {
        attempts.entry(row.phase).or_default().push(AttemptFacts::try_from(row)?);
    }
    Ok(attempts)
}

impl PhaseRecord {
    fn with(self, run: &RunId, attempts: Vec<AttemptFacts>) -> Result<PhaseHistory, StoreError> {
        let name = || format!("phase {} of run {run}", self.phase_id);
        Ok(PhaseHistory {
            run_id: run.clone(),
            state: parse(&self.state, name)?,
            phase_id: PhaseId::new(self.phase_id),
            failure_kind: self.failure_kind,
            attempts,
        })
    }
}

impl TryFrom<FactsRecord> for AttemptFacts {
    type Error = StoreError;

    fn try_from(row: FactsRecord) -> Result<Self, StoreError> {
        let name = || format!("attempt {} of phase number {}", row.attempt, row.phase);
        let count = |value: Option<i64>| value.map(|n| number(n, name)).transpose();
        Ok(Self {
            attempt: number(row.attempt, name)?,
            started_at: UnixMs(row.started_at),
            ended_at: row.ended_at.map(UnixMs),
            outcome: outcome_of(
                row.outcome.as_deref().map(|text| parse(text, name)).transpose()?,
                row.purpose.as_deref(),
                row.scope_granted,
            ),
            estimated_output: count(row.estimated_output_tokens)?,
            agent_ms: count(row.agent_ms)?,
            ci_ms: count(row.ci_ms)?,
            tokens: row.tokens.tokens(name)?,
            failure_kind: row.failure_kind,
            category: row.category,
            complexity: row.complexity,
            agent: row.agent,
            model: row.model,
            cost_usd: row.cost_usd,
            truncated: row.truncated,
        })
    }
}
