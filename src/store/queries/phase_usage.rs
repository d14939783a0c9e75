//! Usage of each phase, summed over its attempts.

use std::collections::HashMap;

use sqlx::FromRow;

use crate::phase::{PhaseId, RunId, Tokens, UnixMs};
use crate::store::backend::{query_as, query_scalar};
use crate::store::columns::number;
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::queries::snapshots::PhaseDetail;
use crate::store::rows::AttemptRow;
use crate::store::token_columns::TokenColumns;

/// Usage of a phase over all its attempts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PhaseUsage {
    /// Agent of the latest attempt with an agent.
    pub agent: Option<String>,
    /// Sum of the known token counts.
    pub tokens: Tokens,
    /// Sum of the known costs in US dollars.
    pub cost_usd: Option<f64>,
    /// Duration of the ended attempts in milliseconds.
    pub duration_ms: u64,
    /// Start of the latest attempt.
    pub started_at: UnixMs,
    /// End of the latest ended attempt.
    pub ended_at: Option<UnixMs>,
}

/// Usage of a COMPLETE or FAILED phase, for forecasts.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub struct SettledPhase {
    /// Agent of an attempt.
    pub agent: Option<String>,
    /// Sum of the known costs in US dollars.
    pub cost_usd: Option<f64>,
    /// Sum of the known tokens that providers bill: input, output, and tokens written to caches.
    pub tokens: Option<i64>,
    /// Duration of all attempts in milliseconds.
    #[sqlx(try_from = "i64")]
    pub duration_ms: u64,
}

/// Ended attempts of a run that reached an agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndedAttempts {
    /// Number of attempts.
    pub count: u64,
    /// Sum of their durations in milliseconds.
    pub busy_ms: u64,
    /// Number of phases with such attempts that are COMPLETE or FAILED.
    pub settled: u64,
}

impl PhaseDetail {
    /// Returns the usage of the phase; `None` without an attempt.
    pub fn usage(&self) -> Option<PhaseUsage> {
        let log = &self.attempt_log;
        let sum = |of: fn(&Tokens) -> Option<u64>| {
            log.iter().filter_map(|row| of(&row.usage.tokens)).reduce(u64::saturating_add)
        };
        let took = |row: &AttemptRow| {
            let ended = row.ended_at?.0.saturating_sub(row.started_at.0);
            u64::try_from(ended).ok()
        };
        Some(PhaseUsage {
            started_at: log.last()?.started_at,
            agent: log.iter().rev().find_map(|row| row.agent.clone()),
            tokens: Tokens {
                input: sum(|tokens| tokens.input),
                output: sum(|tokens| tokens.output),
                cache_read: sum(|tokens| tokens.cache_read),
                cache_write: sum(|tokens| tokens.cache_write),
            },
            cost_usd: log.iter().filter_map(|row| row.usage.cost_usd).reduce(|all, one| all + one),
            duration_ms: log.iter().filter_map(took).sum(),
            ended_at: log.iter().filter_map(|row| row.ended_at).max(),
        })
    }
}

#[derive(FromRow)]
struct UsageRecord {
    phase_id: String,
    agent: Option<String>,
    #[sqlx(flatten)]
    tokens: TokenColumns,
    cost_usd: Option<f64>,
    duration_ms: i64,
    started_at: i64,
    ended_at: Option<i64>,
}

impl Store {
    /// Returns the usage of each phase of a run that has attempts.
    ///
    /// # Errors
    /// The run is unknown, or the database cannot be read.
    pub async fn phase_usages(
        &self,
        run: &RunId,
    ) -> Result<HashMap<PhaseId, PhaseUsage>, StoreError> {
        self.named(|| async move {
            let mut connection = self.reader.acquire().await?;
            let run = self.run_row(&mut connection, run).await?;
            let rows: Vec<UsageRecord> = query_as(
                "SELECT p.phase_id,
                        (SELECT l.agent FROM attempts l WHERE l.phase = p.id AND l.agent IS NOT NULL
                          ORDER BY l.attempt DESC LIMIT 1) AS agent,
                        SUM(a.input_tokens) AS input_tokens, SUM(a.output_tokens) AS output_tokens,
                        SUM(a.cache_read_tokens) AS cache_read_tokens,
                        SUM(a.cache_write_tokens) AS cache_write_tokens, SUM(a.cost_usd) AS cost_usd,
                        COALESCE(SUM(MAX(a.ended_at - a.started_at, 0)), 0) AS duration_ms,
                        MAX(a.started_at) AS started_at, MAX(a.ended_at) AS ended_at
                   FROM phases p JOIN attempts a ON a.phase = p.id
                  WHERE p.run = ? GROUP BY p.id",
            )
            .bind(run)
            .fetch_all(&mut *connection)
            .await?;
            rows.into_iter().map(UsageRecord::usage).collect()
        })
        .await
    }
}

impl Store {
    /// Returns the latest settled phases of all runs that reached an agent, at most `limit`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn settled_phases(&self, limit: u32) -> Result<Vec<SettledPhase>, StoreError> {
        self.named(|| async move {
            Ok(query_as(
                "SELECT MAX(a.agent) AS agent, SUM(a.cost_usd) AS cost_usd,
                        SUM(a.input_tokens + a.output_tokens + COALESCE(a.cache_write_tokens, 0)) AS tokens,
                        SUM(MAX(a.ended_at - a.started_at, 0)) AS duration_ms
                   FROM attempts a JOIN phases p ON p.id = a.phase
                  WHERE a.agent IS NOT NULL AND a.ended_at IS NOT NULL AND p.state IN ('COMPLETE', 'FAILED')
                  GROUP BY p.id ORDER BY MAX(a.id) DESC LIMIT ?",
            )
            .bind(limit)
            .fetch_all(&self.reader)
            .await?)
        })
        .await
    }

    /// Returns the number of ended attempts of a run, their duration in milliseconds, and the number of phases that
    /// they settled.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn ended_attempts(&self, run: &RunId) -> Result<EndedAttempts, StoreError> {
        self.named(|| async move {
            let (attempts, busy_ms, settled): (i64, i64, i64) = query_as(
                "SELECT COUNT(*), COALESCE(SUM(MAX(a.ended_at - a.started_at, 0)), 0),
                        COUNT(DISTINCT CASE WHEN p.state IN ('COMPLETE', 'FAILED') THEN p.id END)
                   FROM phases p JOIN attempts a ON a.phase = p.id
                  WHERE p.run = (SELECT id FROM runs WHERE run_id = ?)
                    AND a.agent IS NOT NULL AND a.ended_at IS NOT NULL",
            )
            .bind(run.as_str())
            .fetch_one(&self.reader)
            .await?;
            let name = || format!("the attempts of run {run}");
            Ok(EndedAttempts {
                count: number(attempts, name)?,
                busy_ms: number(busy_ms, name)?,
                settled: number(settled, name)?,
            })
        })
        .await
    }
}

impl Store {
    /// Returns the known costs of the latest scope proposals in US dollars, at most `limit`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn proposal_costs(&self, limit: u32) -> Result<Vec<f64>, StoreError> {
        self.named(|| async move {
            Ok(query_scalar(
                "SELECT cost_usd FROM scope_proposals WHERE cost_usd IS NOT NULL ORDER BY created_at DESC LIMIT ?",
            )
            .bind(limit)
            .fetch_all(&self.reader)
            .await?)
        })
        .await
    }
}

impl UsageRecord {
    fn usage(self) -> Result<(PhaseId, PhaseUsage), StoreError> {
        let name = || format!("the attempts of phase {}", self.phase_id);
        let usage = PhaseUsage {
            tokens: self.tokens.tokens(name)?,
            duration_ms: number(self.duration_ms, name)?,
            cost_usd: self.cost_usd,
            started_at: UnixMs(self.started_at),
            ended_at: self.ended_at.map(UnixMs),
            agent: self.agent,
        };
        Ok((PhaseId::new(self.phase_id), usage))
    }
}
