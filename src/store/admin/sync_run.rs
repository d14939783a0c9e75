//! Synchronization of a run with its tracker, in one transaction: new issues, changed texts, closed and reopened issues.

use std::collections::BTreeMap;

use sqlx::FromRow;

use crate::phase::plan::PlanRun;
use crate::phase::state::Event;
use crate::phase::{PhaseId, PhaseState, RunId, UnixMs};
use crate::store::backend::{Connection, query, query_as};

use super::evidence::{IMPORT, record_evidence};
use super::import_plan::{ImportMode, import_run};
use super::import_report::ImportReport;
use super::operator_actions::{reset_counters, take_steps};
use super::synced_issues::keep_changed;
use crate::store::columns::parse;
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::queue::dependencies::recount_dependencies;

/// Current state of a tracker.
#[derive(Clone, Debug, Default)]
pub struct SyncRequest {
    /// Name of the tracker.
    pub tracker: String,
    /// Open issues, with their phases.
    pub plan: Option<PlanRun>,
    /// Phases whose issues are closed, or no longer count.
    pub closed: Vec<ClosedIssue>,
    /// Phases whose issues are open.
    pub open: Vec<PhaseId>,
    /// Mark of the last change.
    pub seen: Option<String>,
}

/// A closed issue of a phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedIssue {
    /// Id of the phase.
    pub phase_id: PhaseId,
    /// COMPLETE or SKIPPED.
    pub state: PhaseState,
    /// Reason, for people.
    pub note: String,
}

/// Whether a synchronization is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMode {
    /// The changes are stored.
    Write,
    /// The changes are only reported.
    DryRun,
}

/// Changes of a synchronization, by phase.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncReport {
    /// New phases.
    pub added: Vec<PhaseId>,
    /// Phases with a new text.
    pub updated: Vec<PhaseId>,
    /// Phases that became COMPLETE.
    pub completed: Vec<PhaseId>,
    /// Phases that became SKIPPED.
    pub skipped: Vec<PhaseId>,
    /// Running phases to be stopped.
    pub stopped: Vec<PhaseId>,
    /// Phases QUEUED again.
    pub requeued: Vec<PhaseId>,
    /// Issues left out, because the id belongs to a phase that is no issue of the tracker.
    pub taken: Vec<PhaseId>,
}

/// Facts for the decision about a phase of the run.
#[derive(Clone, Debug, FromRow)]
struct SyncedRecord {
    id: i64,
    phase_id: String,
    state: String,
    spec_version: i64,
    closed_as: Option<String>,
    settle_as: Option<String>,
    /// Whether the state comes from the source, not from a landing or the operator.
    is_of_source: bool,
}

type SyncedPhases = BTreeMap<String, SyncedRecord>;

impl Store {
    /// Updates a run to the state of the tracker. Phases landed or settled by the operator do not change.
    ///
    /// # Errors
    /// The run is unknown, dependencies form a cycle, or the database cannot be written; nothing is changed then.
    pub async fn sync_run(
        &self,
        run: &RunId,
        request: &SyncRequest,
        mode: SyncMode,
        now: UnixMs,
    ) -> Result<SyncReport, StoreError> {
        self.named(|| async move {
            let mut tx = self.begin().await?;
            let row = self.run_row(&mut tx, run).await?;
            let before = synced_phases(&mut tx, row).await?;
            for phase in &request.open {
                if let Some(record) = before.get(phase.as_str()) {
                    self.reopen(&mut tx, run, phase, record).await?;
                }
            }
            let mut taken = Vec::new();
            if let Some(mut plan) = request.plan.clone() {
                taken = keep_changed(&mut tx, row, &request.tracker, &mut plan).await?;
                let mut counts = ImportReport::default();
                import_run(&mut tx, &plan, ImportMode::Update, now, &mut counts).await?;
            }
            for closed in &request.closed {
                if let Some(record) = before.get(closed.phase_id.as_str()) {
                    close(&mut tx, record, closed).await?;
                }
            }
            recount_dependencies(&mut tx, row, run).await?;
            query("UPDATE run_sources SET seen = ?, synced_at = ? WHERE run = ?")
                .bind(&request.seen)
                .bind(now.0)
                .bind(row)
                .execute(&mut *tx)
                .await?;
            let report = changes(&before, &synced_phases(&mut tx, row).await?)?;
            let report = SyncReport { taken, ..report };
            match mode {
                SyncMode::Write => tx.commit().await?,
                SyncMode::DryRun => tx.rollback().await?,
            }
            Ok(report)
        })
        .await
    }

    /// Queues a phase again after the phase was settled because of a closed issue.
    async fn reopen(
        &self,
        tx: &mut Connection,
        run: &RunId,
        phase: &PhaseId,
        record: &SyncedRecord,
    ) -> Result<(), StoreError> {
        if record.closed_as.is_none() {
            return Ok(());
        }
        let is_settled_by_sync =
            record.is_of_source && record.closed_as.as_ref() == Some(&record.state);
        if is_settled_by_sync {
            let row = self.phase_record(tx, run, phase).await?;
            let event = match row.snapshot()?.state {
                PhaseState::Complete => Event::Redo,
                _ => Event::Retry,
            };
            take_steps(tx, &row, &[event]).await?;
            reset_counters(tx, &row).await?;
        }
        // A running attempt was to be stopped, and perhaps has not ended yet.
        let held = if record.settle_as.is_some() { 0 } else { -1 };
        query(
            "UPDATE phases SET closed_as = NULL, settle_as = NULL, settle_note = NULL, note = CASE WHEN ?1 THEN NULL ELSE note END,
                    held = CASE WHEN ?2 = 0 THEN 0 ELSE held END
              WHERE id = ?3",
        )
        .bind(is_settled_by_sync)
        .bind(held)
        .bind(record.id)
        .execute(tx)
        .await?;
        Ok(())
    }
}

/// Settles an open phase, or stops the attempt. If the operator queued a phase again after the issue was closed, the
/// phase stays queued.
async fn close(
    tx: &mut Connection,
    record: &SyncedRecord,
    closed: &ClosedIssue,
) -> Result<(), StoreError> {
    if record.closed_as.is_some() {
        return Ok(());
    }
    let state = parse(&record.state, || format!("phase {}", record.phase_id))?;
    match state {
        PhaseState::Queued | PhaseState::Failed => {
            settle(tx, record.id, closed.state, &closed.note).await
        }
        PhaseState::Executing => {
            query(
                "UPDATE phases SET closed_as = ?1, settle_as = ?1, settle_note = ?2, held = MAX(held, 1) WHERE id = ?3",
            )
            .bind(closed.state.as_str())
            .bind(&closed.note)
            .bind(record.id)
            .execute(tx)
            .await?;
            Ok(())
        }
        PhaseState::Complete | PhaseState::Skipped => Ok(()),
    }
}

/// Settles a QUEUED or FAILED phase with a closed issue. The caller recounts dependencies.
async fn settle(
    tx: &mut Connection,
    id: i64,
    state: PhaseState,
    note: &str,
) -> Result<(), StoreError> {
    query(
        "UPDATE phases SET state = ?1, note = ?2, closed_as = ?1, settle_as = NULL, settle_note = NULL, held = 0, last_failure = NULL
          WHERE id = ?3 AND state IN ('QUEUED', 'FAILED')",
    )
    .bind(state.as_str())
    .bind(note)
    .bind(id)
    .execute(&mut *tx)
    .await?;
    record_evidence(tx, id, IMPORT).await
}

async fn synced_phases(tx: &mut Connection, run: i64) -> Result<SyncedPhases, StoreError> {
    let rows: Vec<SyncedRecord> = query_as(
        "SELECT id, phase_id, state, spec_version, closed_as, settle_as,
                COALESCE(evidence = 'import', FALSE) AS is_of_source
           FROM phases WHERE run = ?",
    )
    .bind(run)
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.phase_id.clone(), row)).collect())
}

/// Compares the phases before and after.
fn changes(before: &SyncedPhases, after: &SyncedPhases) -> Result<SyncReport, StoreError> {
    let mut report = SyncReport::default();
    let mut order: Vec<&SyncedRecord> = after.values().collect();
    order.sort_by_key(|record| record.id);
    for now in order {
        let id = PhaseId::new(&now.phase_id);
        let Some(then) = before.get(&now.phase_id) else {
            report.added.push(id);
            continue;
        };
        if now.spec_version != then.spec_version {
            report.updated.push(id.clone());
        }
        if now.settle_as.is_some() && then.settle_as.is_none() {
            report.stopped.push(id.clone());
        }
        if now.state != then.state {
            let state = parse(&now.state, || format!("phase {}", now.phase_id))?;
            match state {
                PhaseState::Complete => report.completed.push(id),
                PhaseState::Skipped => report.skipped.push(id),
                _ => report.requeued.push(id),
            }
        }
    }
    Ok(report)
}
