//! Queries: runs with their counts, phases, and a phase with its history. Nothing here writes.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use sqlx::FromRow;

use crate::phase::budget::BudgetUsage;
use crate::phase::{PhaseId, PhaseState, RawSpec, RunId, Tokens, UnixMs};
use crate::store::backend::{Connection, query_as, query_scalar};

use super::run_facts::{RunFacts, RunRecord};
use crate::store::columns::{json, number, parse, to_json};
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::queue::clean_tests::{self, CleanTest};
use crate::store::queue::dependencies::edges;
use crate::store::queue::last_drain::LastDrain;
use crate::store::rows::{
    AttemptRecord, AttemptRow, PhaseRecord, PhaseRow, select_attempts, select_phases,
};
use crate::store::state_counts::StateCounts;
use crate::store::token_columns::TokenColumns;

/// A run with counts and sums over its phases.
#[derive(Clone, Debug, PartialEq)]
pub struct RunSummary {
    /// Id of the run.
    pub run_id: RunId,
    /// Source of the plan.
    pub source: String,
    /// Time of the import.
    pub created_at: UnixMs,
    /// Repository, branch and base, once recorded by a drain.
    pub facts: Option<RunFacts>,
    /// Number of phases per state.
    pub counts: StateCounts,
    /// QUEUED phases behind a FAILED phase.
    pub blocked: u64,
    /// QUEUED phases stopped by the operator, and phases behind them; none of them are in `blocked`.
    pub held: u64,
    /// Time of the operator's pause.
    pub paused_at: Option<UnixMs>,
    /// Sums of the known values; `None` if nothing is known.
    pub tokens: Tokens,
    /// Sum of the known costs in US dollars.
    pub cost_usd: Option<f64>,
    /// Memory backend of the last drain.
    pub memory_backend: Option<String>,
    /// Latest test of the tip in a clean clone.
    pub clean_test: Option<CleanTest>,
    /// Whether the branch has changed since the clean test, as far as known here: something has landed, or was undone.
    pub is_untested: bool,
    /// Whether an update has merged commits of others into the branch.
    pub is_updated: bool,
    /// Usage of the ended attempts, as budgets count it: unknown tokens as estimated.
    pub spent: BudgetUsage,
    /// Time of the last look at the run, see [`Store::record_look`].
    pub looked_at: Option<UnixMs>,
    /// End of the last drain.
    pub last_drain: Option<LastDrain>,
}

impl RunSummary {
    /// Whether the branch has changed since the latest test in a clean clone; `None` without a test.
    pub fn has_changed_since_test(&self) -> Option<bool> {
        self.clean_test.as_ref().map(|_| self.is_untested)
    }

    /// Checks whether a phase is executing or could run; phases behind a failed or held phase wait for the operator.
    pub fn has_work(&self) -> bool {
        self.counts.queued > self.blocked + self.held || self.counts.executing > 0
    }
}

/// One phase with everything known.
#[derive(Clone, Debug, PartialEq)]
pub struct PhaseDetail {
    /// The phase.
    pub row: PhaseRow,
    /// Spec as written.
    pub raw: RawSpec,
    /// Fixes made by the auto-fixer.
    pub fixes: Vec<String>,
    /// Decisions of the import.
    pub note: Option<String>,
    /// All attempts, oldest first.
    pub attempt_log: Vec<AttemptRow>,
}

/// Remaining work of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Phases in state QUEUED.
    pub queued: u64,
    /// Phases in state EXECUTING.
    pub executing: u64,
    /// QUEUED phases behind a FAILED phase.
    pub blocked: u64,
}

#[derive(FromRow)]
struct UsageRecord {
    run: i64,
    #[sqlx(flatten)]
    tokens: TokenColumns,
    cost_usd: Option<f64>,
}

/// Returns the counts of a query for (run, count).
async fn rows_by_run(
    tx: &mut Connection,
    query: &'static str,
) -> Result<HashMap<i64, i64>, StoreError> {
    let rows: Vec<(i64, i64)> = query_as(query).fetch_all(tx).await?;
    Ok(rows.into_iter().collect())
}

impl Store {
    /// Returns all runs in order of import.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn runs(&self) -> Result<Vec<RunSummary>, StoreError> {
        self.named(|| async move {
            let mut tx = self.reader.begin().await?;
            let runs: Vec<RunRecord> =
                query_as("SELECT * FROM runs ORDER BY id").fetch_all(&mut *tx).await?;
            let mut counts = counts_by_run(&mut tx).await?;
            let blocked =
                rows_by_run(&mut tx, "SELECT run, COUNT(*) FROM blocked GROUP BY run").await?;
            let held =
                rows_by_run(&mut tx, "SELECT run, COUNT(*) FROM held_back GROUP BY run").await?;
            let usage = usage_by_run(&mut tx).await?;
            let mut clean_tests = clean_tests::latest(&mut tx).await?;
            let untested = clean_tests::untested_runs(&mut tx).await?;
            let updated = updated_runs(&mut tx).await?;
            runs.into_iter()
                .map(|run| {
                    let counts = counts.remove(&run.id).unwrap_or_default();
                    let blocked = blocked.get(&run.id).copied().unwrap_or_default();
                    let held = held.get(&run.id).copied().unwrap_or_default();
                    let held = number(held, || format!("run {}", run.run_id))?;
                    let usage = usage.get(&run.id);
                    let clean_test = clean_tests.remove(&run.id);
                    let is_untested = untested.contains(&run.id);
                    let is_updated = updated.contains(&run.id);
                    let summary = run.summary(counts, blocked, usage)?;
                    Ok(RunSummary { held, clean_test, is_untested, is_updated, ..summary })
                })
                .collect()
        })
        .await
    }

    /// Returns one run, see [`Store::runs`].
    ///
    /// # Errors
    /// The run is unknown, or the database cannot be read.
    pub async fn run(&self, run: &RunId) -> Result<RunSummary, StoreError> {
        self.require_runs(std::slice::from_ref(run)).await?;
        let summary = self.runs().await?.into_iter().find(|summary| summary.run_id == *run);
        summary.ok_or_else(|| StoreError::bad_row(format!("run {run}"), "it was just removed"))
    }

    /// Returns the total remaining work of these runs; cheaper than [`Store::runs`].
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn backlog(&self, runs: &[RunId]) -> Result<Backlog, StoreError> {
        self.named(|| async move {
            let (queued, executing, blocked): (i64, i64, i64) =
                query_as(BACKLOG).bind(names(runs)).fetch_one(&self.reader).await?;
            let name = || "the counts of phases".to_owned();
            Ok(Backlog {
                queued: number(queued, name)?,
                executing: number(executing, name)?,
                blocked: number(blocked, name)?,
            })
        })
        .await
    }

    /// Checks whether a phase of these runs is executing, or can run some day without the operator. Costs three
    /// look-ups per run.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn has_work(&self, runs: &[RunId]) -> Result<bool, StoreError> {
        self.named(|| async move {
            Ok(query_scalar(HAS_WORK).bind(names(runs)).fetch_one(&self.reader).await?)
        })
        .await
    }

    /// Returns the phases of a run in order, optionally of a single state.
    ///
    /// # Errors
    /// The run is unknown, or the database cannot be read.
    pub async fn phases(
        &self,
        run: &RunId,
        state: Option<PhaseState>,
    ) -> Result<Vec<PhaseRow>, StoreError> {
        self.named(|| async move {
            let mut tx = self.reader.begin().await?;
            let run = self.run_row(&mut tx, run).await?;
            let rows: Vec<PhaseRecord> = query_as(select_phases!(
                "WHERE p.run = ?1 AND (?2 IS NULL OR p.state = ?2) ORDER BY p.position"
            ))
            .bind(run)
            .bind(state.map(PhaseState::as_str))
            .fetch_all(&mut *tx)
            .await?;
            let mut needs = needs_by_phase(&mut tx, run).await?;
            rows.into_iter()
                .map(|row| {
                    let depends_on = needs.remove(&row.id).unwrap_or_default();
                    Ok(PhaseRow { depends_on, ..PhaseRow::try_from(row)? })
                })
                .collect()
        })
        .await
    }

    /// Returns one phase with everything known.
    ///
    /// # Errors
    /// The run or phase is unknown, or the database cannot be read.
    pub async fn phase(&self, run: &RunId, phase: &PhaseId) -> Result<PhaseDetail, StoreError> {
        self.named(|| async move {
            let mut tx = self.reader.begin().await?;
            let record = self.phase_record(&mut tx, run, phase).await?;
            let attempts: Vec<AttemptRecord> =
                query_as(select_attempts!("WHERE a.phase = ? ORDER BY a.attempt"))
                    .bind(record.id)
                    .fetch_all(&mut *tx)
                    .await?;
            let needs: Vec<String> = query_scalar(
                "SELECT n.phase_id FROM dependencies d JOIN phases n ON n.id = d.needs
                  WHERE d.phase = ? ORDER BY n.position",
            )
            .bind(record.id)
            .fetch_all(&mut *tx)
            .await?;
            let name = || record.name();
            Ok(PhaseDetail {
                raw: json(&record.raw_spec, name)?,
                fixes: json(&record.fixes, name)?,
                note: record.note.clone(),
                attempt_log: attempts
                    .into_iter()
                    .map(AttemptRow::try_from)
                    .collect::<Result<_, _>>()?,
                row: PhaseRow {
                    depends_on: needs.into_iter().map(PhaseId::new).collect(),
                    ..PhaseRow::try_from(record)?
                },
            })
        })
        .await
    }
}

/// Counts within indexes only.
const BACKLOG: &str = "SELECT
    (SELECT COUNT(*) FROM phases WHERE state = 'QUEUED'
        AND run IN (SELECT id FROM runs WHERE run_id IN (SELECT value FROM json_each(?1)))),
    (SELECT COUNT(*) FROM phases WHERE owner IS NOT NULL
        AND run IN (SELECT id FROM runs WHERE run_id IN (SELECT value FROM json_each(?1)))),
    (SELECT COUNT(*) FROM blocked
      WHERE run IN (SELECT id FROM runs WHERE run_id IN (SELECT value FROM json_each(?1))))";

/// Dependencies have no cycle. So if a queued phase is behind neither a FAILED nor a held phase, then either the phase or some
/// dependency of the phase can run or is executing. The `band` condition selects the index of claimable phases.
const HAS_WORK: &str = "SELECT EXISTS (
    SELECT 1 FROM runs r WHERE r.run_id IN (SELECT value FROM json_each(?1))
       AND (EXISTS (SELECT 1 FROM phases p WHERE p.run = r.id AND p.owner IS NOT NULL)
         OR EXISTS (SELECT 1 FROM phases p
                     WHERE p.run = r.id AND p.state = 'QUEUED' AND p.unmet = 0 AND p.held = 0
                       AND p.band >= 0)))";

fn names(runs: &[RunId]) -> String {
    to_json(&runs.iter().map(RunId::as_str).collect::<Vec<_>>())
}

async fn counts_by_run(
    connection: &mut Connection,
) -> Result<HashMap<i64, StateCounts>, StoreError> {
    let rows: Vec<(i64, String, i64)> =
        query_as("SELECT run, state, COUNT(*) FROM phases GROUP BY run, state")
            .fetch_all(connection)
            .await?;
    let mut counts: HashMap<i64, StateCounts> = HashMap::new();
    for (run, state, count) in rows {
        let name = || "the counts of phases".to_owned();
        counts.entry(run).or_default().set(parse(&state, name)?, number(count, name)?);
    }
    Ok(counts)
}

async fn usage_by_run(
    connection: &mut Connection,
) -> Result<HashMap<i64, UsageRecord>, StoreError> {
    let rows: Vec<UsageRecord> = query_as(
        "SELECT p.run, SUM(a.input_tokens) AS input_tokens, SUM(a.output_tokens) AS output_tokens,
                SUM(a.cache_read_tokens) AS cache_read_tokens, SUM(a.cache_write_tokens) AS cache_write_tokens,
                SUM(a.cost_usd) AS cost_usd
           FROM attempts a JOIN phases p ON p.id = a.phase GROUP BY p.run",
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.run, row)).collect())
}

async fn needs_by_phase(
    connection: &mut Connection,
    run: i64,
) -> Result<HashMap<i64, Vec<PhaseId>>, StoreError> {
    let mut needs: HashMap<i64, Vec<PhaseId>> = HashMap::new();
    for (phase, need) in edges(connection, run).await? {
        needs.entry(phase).or_default().push(need);
    }
    Ok(needs)
}

impl RunRecord {
    fn summary(
        self,
        counts: StateCounts,
        blocked: i64,
        usage: Option<&UsageRecord>,
    ) -> Result<RunSummary, StoreError> {
        let name = || format!("run {}", self.run_id);
        Ok(RunSummary {
            facts: self.facts(),
            counts,
            blocked: number(blocked, name)?,
            held: 0,
            paused_at: self.paused_at.map(UnixMs),
            tokens: usage.map(|usage| usage.tokens).unwrap_or_default().tokens(name)?,
            cost_usd: usage.and_then(|usage| usage.cost_usd),
            memory_backend: self.memory_backend,
            clean_test: None,
            is_untested: false,
            is_updated: false,
            spent: BudgetUsage {
                attempts: number(self.spent_attempts, name)?,
                tokens: number(self.spent_tokens, name)?,
                cost_usd: self.spent_usd,
                wall: Duration::from_millis(number(self.spent_ms, name)?),
                running: 0,
            },
            looked_at: self.looked_at.map(UnixMs),
            last_drain: self.last_drain.as_deref().map(|text| json(text, name)).transpose()?,
            created_at: UnixMs(self.created_at),
            run_id: RunId::new(self.run_id),
            source: self.source,
        })
    }
}

/// Returns the row ids of runs with a merged update.
async fn updated_runs(connection: &mut Connection) -> Result<HashSet<i64>, StoreError> {
    let query = "SELECT DISTINCT run FROM reverts WHERE merged IS NOT NULL AND outcome = 'undone'";
    let rows: Vec<i64> = query_scalar(query).fetch_all(connection).await?;
    Ok(rows.into_iter().collect())
}
