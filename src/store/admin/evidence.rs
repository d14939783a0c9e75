//! Evidence: the recorded reason for a settled state. A COMPLETE or SKIPPED phase without evidence was changed by
//! someone else, such as an agent that found the database.
//!
//! Evidence detects accidents and does not protect: anyone able to write the database can forge evidence. Only the
//! database is consulted; a deleted or rewritten branch does not cast doubt on landed phases.

use crate::phase::{PhaseId, PhaseState, RunId};
use crate::store::backend::{Connection, query, query_as};

use crate::store::columns::{parse, to_json};
use crate::store::error::StoreError;
use crate::store::open::Store;

/// Evidence of a phase settled before the import, in the source of the plan.
pub(crate) const IMPORT: &str = "import";
/// Evidence of a phase skipped or accepted as done by the operator.
pub(crate) const OPERATOR: &str = "operator";

/// A COMPLETE or SKIPPED phase without evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnprovenPhase {
    /// Run of the phase.
    pub run_id: RunId,
    /// Id of the phase.
    pub phase_id: PhaseId,
    /// Stored state.
    pub state: PhaseState,
}

/// Selects settled phases without evidence, with two look-ups by key per phase: the recorded evidence and the attempts.
/// Valid evidence: the import or the operator settled the phase in the present state and after the present number of
/// attempts; or the latest counted attempt (after the last `--redo`) landed the recorded commit, or was allowed to
/// change nothing, and was not undone.
const UNPROVEN: &str = "SELECT r.run_id, p.phase_id, p.state
       FROM runs r JOIN phases p ON p.run = r.id AND p.state IN ('COMPLETE', 'SKIPPED')
      WHERE r.run_id IN (SELECT value FROM json_each(?))
        AND NOT EXISTS (
            SELECT 1 FROM settlements s
             WHERE s.phase = p.id AND s.kind = p.evidence AND s.state = p.state AND s.executions = p.executions)
        AND NOT EXISTS (
            SELECT 1 FROM attempts a
             WHERE p.state = 'COMPLETE' AND a.phase = p.id AND a.attempt = p.executions AND a.attempt > p.redone
               AND ((a.outcome = 'landed' AND a.landing_commit = p.commit_id)
                 OR (a.outcome = 'no_change_needed' AND p.commit_id IS NULL))
               AND NOT EXISTS (
                   SELECT 1 FROM undone_attempts u WHERE u.phase = p.id AND u.attempt = a.attempt))
      ORDER BY r.id, p.position";

impl Store {
    /// Returns the settled phases of these runs without evidence, in plan order.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn unproven_phases(&self, runs: &[RunId]) -> Result<Vec<UnprovenPhase>, StoreError> {
        self.named(|| async move {
            let runs = to_json(&runs.iter().map(RunId::as_str).collect::<Vec<_>>());
            let rows: Vec<(String, String, String)> =
                query_as(UNPROVEN).bind(runs).fetch_all(&self.reader).await?;
            rows.into_iter()
                .map(|(run, phase, state)| {
                    let state = parse(&state, || format!("phase {phase} of run {run}"))?;
                    let (run_id, phase_id) = (RunId::new(run), PhaseId::new(phase));
                    Ok(UnprovenPhase { run_id, phase_id, state })
                })
                .collect()
        })
        .await
    }
}

/// Records the evidence for a settled phase; call after the state has changed.
pub(crate) async fn record_evidence(
    tx: &mut Connection,
    phase: i64,
    evidence: &str,
) -> Result<(), StoreError> {
    query("UPDATE phases SET evidence = ? WHERE id = ?")
        .bind(evidence)
        .bind(phase)
        .execute(&mut *tx)
        .await?;
    query(
        "INSERT INTO settlements (phase, kind, state, executions)
         SELECT id, evidence, state, executions FROM phases WHERE id = ?
         ON CONFLICT (phase) DO UPDATE SET kind = excluded.kind, state = excluded.state,
                executions = excluded.executions",
    )
    .bind(phase)
    .execute(tx)
    .await?;
    Ok(())
}

/// Records the evidence of the phases just inserted: those of `run` with a position above `after`.
pub(super) async fn record_inserted_evidence(
    tx: &mut Connection,
    run: i64,
    after: i64,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO settlements (phase, kind, state, executions)
         SELECT id, evidence, state, executions FROM phases
          WHERE run = ? AND position > ? AND evidence IS NOT NULL",
    )
    .bind(run)
    .bind(after)
    .execute(tx)
    .await?;
    Ok(())
}

/// Invalidates all evidence of a phase, including earlier attempts (`redone`), because the phase will be executed
/// again.
pub(super) async fn withdraw_evidence(tx: &mut Connection, phase: i64) -> Result<(), StoreError> {
    query("DELETE FROM settlements WHERE phase = ?").bind(phase).execute(&mut *tx).await?;
    query("UPDATE phases SET evidence = NULL, redone = executions WHERE id = ?")
        .bind(phase)
        .execute(tx)
        .await?;
    Ok(())
}
