//! Runs that come from a tracker: the source of a run, its import, and its phases with their issues.

use serde_json::Value;
use sqlx::FromRow;

use crate::phase::plan::PlanRun;
use crate::phase::{PhaseId, PhaseState, RunId, UnixMs};
use crate::store::backend::{Connection, query, query_as};

use super::import_plan::{ImportMode, import_run};
use super::import_report::ImportReport;
use crate::store::columns::{json, parse, to_json};
use crate::store::error::StoreError;
use crate::store::open::Store;

/// The tracker of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunSource {
    /// Name of the repository, such as `github:owner/repo`.
    pub tracker: String,
    /// Choice of issues, as JSON.
    pub choice: Value,
    /// Mark of the last change that was synchronized.
    pub seen: Option<String>,
    /// Time of the last comparison with all issues.
    pub compared_at: Option<UnixMs>,
}

/// A phase of a run that is an issue of the run's tracker.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackedPhase {
    /// Id of the phase.
    pub phase_id: PhaseId,
    /// Number of the issue.
    pub issue: u64,
    /// State of the phase.
    pub state: PhaseState,
    /// Whether the last synchronization saw the issue closed.
    pub is_closed: bool,
}

#[derive(FromRow)]
struct SourceRecord {
    tracker: String,
    choice: String,
    seen: Option<String>,
    synced_at: Option<i64>,
}

#[derive(FromRow)]
struct TrackedRecord {
    phase_id: String,
    issue: i64,
    state: String,
    is_closed: bool,
}

impl Store {
    /// Returns the tracker of a run; `None` for runs of files, and for unknown runs.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn run_source(&self, run: &RunId) -> Result<Option<RunSource>, StoreError> {
        self.named(|| async move {
            let row: Option<SourceRecord> = query_as(
                "SELECT s.tracker, s.choice, s.seen, s.synced_at
                   FROM runs r JOIN run_sources s ON s.run = r.id WHERE r.run_id = ?",
            )
            .bind(run.as_str())
            .fetch_optional(&self.reader)
            .await?;
            row.map(|row| {
                let choice = json(&row.choice, || format!("source of run {run}"))?;
                let compared_at = row.synced_at.map(UnixMs);
                Ok(RunSource { tracker: row.tracker, choice, seen: row.seen, compared_at })
            })
            .transpose()
        })
        .await
    }

    /// Imports issues as a run, or as more phases of a run of the same tracker, and records the source. `update` as in
    /// [`Store::import_by_run`].
    ///
    /// # Errors
    /// The plan contradicts the stored run, or the database cannot be written; nothing is imported then.
    pub async fn import_from_tracker(
        &self,
        plan: &PlanRun,
        update: bool,
        source: &RunSource,
        now: UnixMs,
    ) -> Result<ImportReport, StoreError> {
        self.named(|| async move {
            let mut report = ImportReport::default();
            let mode = if update { ImportMode::Update } else { ImportMode::Add };
            let mut tx = self.begin().await?;
            import_run(&mut tx, plan, mode, now, &mut report).await?;
            let run = self.run_row(&mut tx, &plan.run_id).await?;
            save_source(&mut tx, run, source).await?;
            mark_closed(&mut tx, run).await?;
            tx.commit().await?;
            Ok(report)
        })
        .await
    }

    /// Returns the phases of a run that are issues of this tracker, in plan order.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn tracked_phases(
        &self,
        run: &RunId,
        tracker: &str,
    ) -> Result<Vec<TrackedPhase>, StoreError> {
        self.named(|| async move {
            let rows: Vec<TrackedRecord> = query_as(
                "SELECT p.phase_id, CAST(json_extract(p.raw_spec, '$.tracker.issue') AS BIGINT) AS issue, p.state,
                        p.closed_as IS NOT NULL AS is_closed
                   FROM runs r JOIN phases p ON p.run = r.id
                  WHERE r.run_id = ? AND json_extract(p.raw_spec, '$.tracker.name') = ?
                    AND json_type(p.raw_spec, '$.tracker.issue') = 'integer'
                  ORDER BY p.position",
            )
            .bind(run.as_str())
            .bind(tracker)
            .fetch_all(&self.reader)
            .await?;
            rows.into_iter()
                .map(|row| {
                    let name = || format!("phase {} of run {run}", row.phase_id);
                    Ok(TrackedPhase {
                        issue: u64::try_from(row.issue).unwrap_or_default(),
                        state: parse(&row.state, name)?,
                        is_closed: row.is_closed,
                        phase_id: PhaseId::new(&row.phase_id),
                    })
                })
                .collect()
        })
        .await
    }
}

/// Records which issues were closed at the import: they are queued if they are opened again.
async fn mark_closed(tx: &mut Connection, run: i64) -> Result<(), StoreError> {
    query(
        "UPDATE phases SET closed_as = state
          WHERE run = ? AND state IN ('COMPLETE', 'SKIPPED') AND evidence = 'import' AND closed_as IS NULL",
    )
    .bind(run)
    .execute(tx)
    .await?;
    Ok(())
}

async fn save_source(tx: &mut Connection, run: i64, source: &RunSource) -> Result<(), StoreError> {
    query(
        "INSERT INTO run_sources (run, tracker, choice, seen, synced_at) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (run) DO UPDATE SET tracker = excluded.tracker, choice = excluded.choice,
                                         seen = excluded.seen, synced_at = excluded.synced_at",
    )
    .bind(run)
    .bind(&source.tracker)
    .bind(to_json(&source.choice))
    .bind(&source.seen)
    .bind(source.compared_at.map(|at| at.0))
    .execute(tx)
    .await?;
    Ok(())
}
