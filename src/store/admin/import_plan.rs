//! Import of a plan as runs and phases: all or nothing; phases with progress are never overwritten.

use std::collections::HashMap;

use crate::phase::plan::{Plan, PlanPhase, PlanRun};
use crate::phase::{PhaseState, RunId, UnixMs};
use crate::store::backend::{Connection, QueryBuilder, query, query_scalar};

use super::evidence::{IMPORT, record_inserted_evidence};
use super::import_report::ImportReport;
use super::source_parts::record_part;
use super::source_removals::{find_removed, prune, record_source};
use super::source_settlement::{
    reopen, settle_left_out, settle_open_phase, stop_and_settle, withdraw_settlement,
};
use super::stored_comparison::{StoredComparison, existing_phases, settled_by_source};
use crate::store::columns::to_json;
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::queue::dependencies::{insert_dependencies, recount_dependencies};
use crate::store::queue::scope_requests::drop_requests;
use crate::store::telemetry::samples::import_sample;

/// Changes of stored phases by an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportMode {
    /// New phases are added; stored phases stay.
    Add,
    /// Specs are replaced, and open phases done or given up in the plan's source are settled.
    Update,
    /// As [`ImportMode::Update`]; open phases that the source no longer has are skipped.
    UpdateAndPrune,
}

impl Store {
    /// Imports a plan and returns a report per run, in plan order. An update replaces the specs of phases that are neither
    /// COMPLETE nor EXECUTING. Open phases done or given up in the plan's source become COMPLETE or SKIPPED, executing
    /// ones after their attempts, which are stopped. Phases that the same source settled before, and has open again, are
    /// queued. No other state of a stored phase changes.
    ///
    /// # Errors
    /// The plan contradicts the stored run, or the database cannot be written; nothing is imported then.
    pub async fn import_by_run(
        &self,
        plan: &Plan,
        mode: ImportMode,
        now: UnixMs,
    ) -> Result<Vec<ImportReport>, StoreError> {
        self.named(|| async move {
            let mut reports = Vec::with_capacity(plan.runs.len());
            let mut tx = self.begin().await?;
            for run in &plan.runs {
                let mut report = ImportReport::default();
                if !run.phases.is_empty() || is_update(mode) {
                    import_run(&mut tx, run, mode, now, &mut report).await?;
                }
                for sample in &run.samples {
                    report.samples += u64::from(import_sample(&mut tx, &run.run_id, sample).await?);
                }
                reports.push(report);
            }
            tx.commit().await?;
            Ok(reports)
        })
        .await
    }
}

/// Imports a run. Within a transaction of the caller.
pub(super) async fn import_run(
    tx: &mut Connection,
    run: &PlanRun,
    mode: ImportMode,
    now: UnixMs,
    report: &mut ImportReport,
) -> Result<(), StoreError> {
    let row = run_row(tx, run, now, report).await?;
    let existing = existing_phases(tx, row, run).await?;
    let last: i64 = query_scalar("SELECT COALESCE(MAX(position), -1) FROM phases WHERE run = ?")
        .bind(row)
        .fetch_one(&mut *tx)
        .await?;
    let (mut new, mut with_new_dependencies) = (Vec::new(), Vec::new());
    for phase in &run.phases {
        let Some(before) = existing.get(&phase.phase_id) else {
            refuse_executing(&run.run_id, phase)?;
            if let Some(state) = settled_by_source(phase) {
                report.count_settled(state);
            }
            new.push(phase);
            continue;
        };
        match before.compare(phase, is_update(mode)) {
            StoredComparison::Settled => {
                replace_spec(tx, before.id, phase).await?;
                settle_open_phase(tx, before.id, phase.state, phase.note.as_deref()).await?;
                with_new_dependencies.push(phase);
                report.count_settled(phase.state);
                report.updated += 1;
            }
            StoredComparison::Stop => {
                stop_and_settle(tx, before.id, phase.state, phase.note.as_deref()).await?;
                report.stopped += 1;
            }
            StoredComparison::Reopened => {
                reopen(tx, before.id, phase).await?;
                replace_spec(tx, before.id, phase).await?;
                with_new_dependencies.push(phase);
                report.reopened += 1;
            }
            StoredComparison::Resumed => {
                withdraw_settlement(tx, before.id).await?;
                report.reopened += 1;
            }
            StoredComparison::Same => report.unchanged += 1,
            StoredComparison::Differs => report.differing += 1,
            StoredComparison::MovedOn => report.kept += 1,
            StoredComparison::Replace => {
                replace_spec(tx, before.id, phase).await?;
                with_new_dependencies.push(phase);
                report.updated += 1;
            }
        }
    }
    report.added += new.len() as u64;
    let mut ids: HashMap<String, i64> =
        existing.iter().map(|(id, phase)| (id.as_str().to_owned(), phase.id)).collect();
    let inserted = insert_phases(tx, (row, run), last, &new).await?;
    ids.extend(inserted.into_iter().map(|(id, name)| (name, id)));
    with_new_dependencies.append(&mut new);
    insert_dependencies(tx, &run.run_id, &with_new_dependencies, &ids).await?;
    if !existing.is_empty() {
        record_source(tx, row, run).await?;
    }
    record_part(tx, row, run).await?;
    if is_update(mode) {
        settle_left_out(tx, run, &existing, report).await?;
        let gone = find_removed(tx, row, run).await?;
        (report.removed, report.pruned) = match mode {
            ImportMode::UpdateAndPrune => prune(tx, gone, run).await?,
            ImportMode::Update | ImportMode::Add => {
                (gone.into_iter().map(|(_, phase)| phase).collect(), Vec::new())
            }
        };
    }
    recount_dependencies(tx, row, &run.run_id).await
}

fn is_update(mode: ImportMode) -> bool {
    mode != ImportMode::Add
}

async fn run_row(
    tx: &mut Connection,
    run: &PlanRun,
    now: UnixMs,
    report: &mut ImportReport,
) -> Result<i64, StoreError> {
    let added = query(
        "INSERT INTO runs (run_id, source, created_at) VALUES (?, ?, ?) ON CONFLICT (run_id) DO NOTHING",
    )
    .bind(run.run_id.as_str())
    .bind(&run.source)
    .bind(now.0)
    .execute(&mut *tx)
    .await?;
    report.runs += added.rows_affected();
    Ok(query_scalar("SELECT id FROM runs WHERE run_id = ?")
        .bind(run.run_id.as_str())
        .fetch_one(tx)
        .await?)
}

/// Rows per INSERT: each statement costs a round trip to SQLite's thread.
const ROWS: usize = 100;

/// Inserts new phases in order, after position `after`. Returns their row ids. While SQLite's thread inserts rows, the next
/// ones are made.
async fn insert_phases(
    tx: &mut Connection,
    (row, run): (i64, &PlanRun),
    after: i64,
    phases: &[&PlanPhase],
) -> Result<Vec<(i64, String)>, StoreError> {
    let mut ids = Vec::with_capacity(phases.len());
    let mut inserts = (after + 1..)
        .step_by(ROWS)
        .zip(phases.chunks(ROWS))
        .map(|chunk| insert_of((row, &run.origin), chunk));
    let mut next = inserts.next();
    while let Some(insert) = next {
        let inserted = insert.build_query_as::<(i64, String)>().fetch_all(&mut *tx);
        let (inserted, following) = tokio::join!(inserted, async { inserts.next() });
        ids.extend(inserted?);
        next = following;
    }
    record_inserted_evidence(tx, row, after).await?;
    Ok(ids)
}

/// Returns the INSERT of phases of a run and its source, from this position on.
fn insert_of((run, source): (i64, &str), (first, phases): (i64, &[&PlanPhase])) -> QueryBuilder {
    let mut insert = QueryBuilder::new(
        "INSERT INTO phases (run, phase_id, position, state, attempts, max_attempts, name, note,
                last_failure, raw_spec, source, evidence) ",
    );
    insert.push_values((first..).zip(phases), |mut row, (position, phase)| {
        row.push_bind(run)
            .push_bind(phase.phase_id.as_str())
            .push_bind(position)
            .push_bind(phase.state.as_str())
            .push_bind(phase.attempts)
            .push_bind(phase.max_attempts)
            .push_bind(&phase.name)
            .push_bind(&phase.note)
            .push_bind(phase.last_failure.as_ref().map(to_json))
            .push_bind(to_json(&phase.spec))
            .push_bind(source)
            // Every phase imported as COMPLETE or SKIPPED gets this evidence, including phases done elsewhere.
            .push_bind(phase.state.satisfies_dependents().then_some(IMPORT));
    });
    insert.push(" RETURNING id, phase_id");
    insert
}

fn refuse_executing(run: &RunId, phase: &PlanPhase) -> Result<(), StoreError> {
    if phase.state != PhaseState::Executing {
        return Ok(());
    }
    Err(StoreError::WrongState {
        run: run.clone(),
        phase: phase.phase_id.clone(),
        state: phase.state,
        cannot: "cannot be imported: no drain is executing it",
    })
}

/// Replaces the spec as written; discards the repaired spec and the dependencies of the old spec.
pub(crate) async fn replace_spec(
    tx: &mut Connection,
    id: i64,
    phase: &PlanPhase,
) -> Result<(), StoreError> {
    query(
        "UPDATE phases SET name = ?, max_attempts = ?, raw_spec = ?, spec = NULL, fixes = '[]', unfixable = NULL,
                footprint = NULL, spec_version = spec_version + 1
          WHERE id = ? AND state NOT IN ('COMPLETE', 'EXECUTING')",
    )
    .bind(&phase.name)
    .bind(phase.max_attempts)
    .bind(to_json(&phase.spec))
    .bind(id)
    .execute(&mut *tx)
    .await?;
    query("DELETE FROM dependencies WHERE phase = ?").bind(id).execute(&mut *tx).await?;
    drop_requests(tx, id).await
}
