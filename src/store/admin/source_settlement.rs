//! Phases with a changed state in the source. For executing phases done or abandoned in the source, the attempts are
//! stopped, and the phases are settled after the end of the attempts. Phases settled by an import are queued again if
//! the source has reopened them.

use std::collections::HashMap;

use crate::phase::plan::{PlanPhase, PlanRun};
use crate::phase::{PhaseId, PhaseState};
use crate::store::backend::{Connection, query, query_scalar};
use crate::store::columns::parse;
use crate::store::error::StoreError;
use crate::store::state_step::PhaseSnapshot;

use super::evidence::{IMPORT, record_evidence, withdraw_evidence};
use super::import_report::ImportReport;
use super::stored_comparison::ExistingPhase;

/// Settles a QUEUED or FAILED phase; the import recounts dependencies afterwards.
pub(super) async fn settle_open_phase(
    tx: &mut Connection,
    id: i64,
    state: PhaseState,
    note: Option<&str>,
) -> Result<(), StoreError> {
    query("UPDATE phases SET state = ?, note = ?, last_failure = NULL WHERE id = ? AND state IN ('QUEUED', 'FAILED')")
        .bind(state.as_str())
        .bind(note)
        .bind(id)
        .execute(&mut *tx)
        .await?;
    record_evidence(tx, id, IMPORT).await
}

/// Settles the phases of items deleted or archived in the source, and stops their attempts. Completed work stays, and
/// so do phases of other sources.
pub(super) async fn settle_left_out(
    tx: &mut Connection,
    run: &PlanRun,
    existing: &HashMap<PhaseId, ExistingPhase>,
    report: &mut ImportReport,
) -> Result<(), StoreError> {
    for item in &run.left_out {
        let Some(phase) = existing.get(&item.phase_id).filter(|phase| phase.is_of_source) else {
            continue;
        };
        let note = Some(item.note.as_str());
        match phase.state {
            PhaseState::Queued | PhaseState::Failed => {
                settle_open_phase(tx, phase.id, item.state, note).await?;
                report.count_settled(item.state);
                report.updated += 1;
            }
            PhaseState::Executing => {
                stop_and_settle(tx, phase.id, item.state, note).await?;
                report.stopped += 1;
            }
            PhaseState::Complete | PhaseState::Skipped => {}
        }
    }
    Ok(())
}

/// Asks the drain to end the attempt, and records the later state of the phase.
pub(super) async fn stop_and_settle(
    tx: &mut Connection,
    id: i64,
    state: PhaseState,
    note: Option<&str>,
) -> Result<(), StoreError> {
    query(
        "UPDATE phases SET held = MAX(held, 1), settle_as = ?, settle_note = ?
          WHERE id = ? AND state = 'EXECUTING'",
    )
    .bind(state.as_str())
    .bind(note)
    .bind(id)
    .execute(tx)
    .await?;
    Ok(())
}

/// Withdraws the settlement of an executing phase, and lets the phase run again.
pub(super) async fn withdraw_settlement(tx: &mut Connection, id: i64) -> Result<(), StoreError> {
    query(
        "UPDATE phases SET held = 0, settle_as = NULL, settle_note = NULL, closed_as = NULL
          WHERE id = ? AND state = 'EXECUTING'",
    )
    .bind(id)
    .execute(tx)
    .await?;
    Ok(())
}

/// Queues a phase settled by an earlier import.
pub(super) async fn reopen(
    tx: &mut Connection,
    id: i64,
    phase: &PlanPhase,
) -> Result<(), StoreError> {
    query("UPDATE phases SET state = 'QUEUED', note = ?, closed_as = NULL WHERE id = ? AND state IN ('COMPLETE', 'SKIPPED')")
        .bind(&phase.note)
        .bind(id)
        .execute(&mut *tx)
        .await?;
    withdraw_evidence(tx, id).await
}

/// Settles a phase after an attempt without a landing, if the source has settled the phase meanwhile. Returns the new
/// state. Landed work stays.
pub(crate) async fn settle_after_attempt(
    tx: &mut Connection,
    snapshot: &PhaseSnapshot,
) -> Result<Option<PhaseState>, StoreError> {
    let settled: Option<String> = query_scalar(
        "UPDATE phases SET state = settle_as, note = settle_note, held = 0, last_failure = NULL
          WHERE id = ? AND settle_as IS NOT NULL AND state IN ('QUEUED', 'FAILED') RETURNING state",
    )
    .bind(snapshot.id)
    .fetch_optional(&mut *tx)
    .await?;
    query(
        "UPDATE phases SET settle_as = NULL, settle_note = NULL, held = 0 WHERE id = ? AND settle_as IS NOT NULL",
    )
    .bind(snapshot.id)
    .execute(&mut *tx)
    .await?;
    let Some(settled) = settled else { return Ok(None) };
    snapshot.release_dependents(tx).await?;
    record_evidence(tx, snapshot.id, IMPORT).await?;
    parse(&settled, || format!("phase {}", snapshot.id)).map(Some)
}
