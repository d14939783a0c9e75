//! Phases missing in the source of an import: naming the phases, and skipping the open phases.

use crate::phase::plan::PlanRun;
use crate::phase::{PhaseId, PhaseState};
use crate::store::backend::{Connection, query, query_as};
use crate::store::columns::{parse, to_json};
use crate::store::error::StoreError;

use super::evidence::{IMPORT, record_evidence};

/// A phase no longer present in the source of the phase's run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovedPhase {
    /// Id of the phase.
    pub phase_id: PhaseId,
    /// State of the phase.
    pub state: PhaseState,
}

/// Records the source of each stored phase of the plan.
pub(super) async fn record_source(
    tx: &mut Connection,
    row: i64,
    run: &PlanRun,
) -> Result<(), StoreError> {
    query(
        "UPDATE phases SET source = ?1
          WHERE run = ?2 AND source IS DISTINCT FROM ?1 AND phase_id IN (SELECT value FROM json_each(?3))",
    )
    .bind(&run.origin)
    .bind(row)
    .bind(to_json(&plan_ids(run)))
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns the phases from the same source now missing there, in the order of the run. Skipped phases are settled and
/// left out. A source without an origin may be a different source, so nothing is missing there.
pub(super) async fn find_removed(
    tx: &mut Connection,
    row: i64,
    run: &PlanRun,
) -> Result<Vec<(i64, RemovedPhase)>, StoreError> {
    if run.origin.is_empty() {
        return Ok(Vec::new());
    }
    let mut known = plan_ids(run);
    known.extend(run.left_out.iter().map(|item| item.phase_id.as_str()));
    let rows: Vec<(i64, String, String)> = query_as(
        "SELECT id, phase_id, state FROM phases
          WHERE run = ? AND source = ? AND state <> 'SKIPPED'
            AND phase_id NOT IN (SELECT value FROM json_each(?))
          ORDER BY position",
    )
    .bind(row)
    .bind(&run.origin)
    .bind(to_json(&known))
    .fetch_all(tx)
    .await?;
    rows.into_iter()
        .map(|(id, phase, state)| {
            let state = parse(&state, || format!("phase {phase} of run {}", run.run_id))?;
            Ok((id, RemovedPhase { phase_id: PhaseId::new(phase), state }))
        })
        .collect()
}

/// Skips the queued and failed phases among them, with a note. Returns the phases left as they are, and the skipped.
pub(super) async fn prune(
    tx: &mut Connection,
    gone: Vec<(i64, RemovedPhase)>,
    run: &PlanRun,
) -> Result<(Vec<RemovedPhase>, Vec<PhaseId>), StoreError> {
    let (mut left, mut pruned) = (Vec::new(), Vec::new());
    for (id, phase) in gone {
        if !matches!(phase.state, PhaseState::Queued | PhaseState::Failed) {
            left.push(phase);
            continue;
        }
        query(
            "UPDATE phases SET state = 'SKIPPED', note = ?, last_failure = NULL, held = 0 WHERE id = ?",
        )
        .bind(format!("no longer in {}", run.source))
        .bind(id)
        .execute(&mut *tx)
        .await?;
        record_evidence(tx, id, IMPORT).await?;
        pruned.push(phase.phase_id);
    }
    Ok((left, pruned))
}

fn plan_ids(run: &PlanRun) -> Vec<&str> {
    run.phases.iter().map(|phase| phase.phase_id.as_str()).collect()
}
