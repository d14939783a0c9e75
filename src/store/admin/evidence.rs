//! Evidence: why a phase counts as settled. A COMPLETE or SKIPPED phase without any was changed by somebody else, such as
//! an agent that found the database.
//!
//! It is a tripwire and no lock: whoever may write the database may forge evidence, too. It asks the database alone; a
//! branch that is gone or was rewritten is no reason to doubt what landed.

use sqlx::SqliteConnection;

use crate::phase::{PhaseId, PhaseState, RunId};

use crate::store::columns::{parse, to_json};
use crate::store::error::StoreError;
use crate::store::open::Store;

/// The phase was settled before it came here: in the plan that it was imported from.
pub(crate) const IMPORT: &str = "import";
/// The operator skipped it, or accepted it as done.
pub(crate) const OPERATOR: &str = "operator";

/// A phase that is COMPLETE or SKIPPED, and nothing says why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unproven {
    pub run_id: RunId,
    pub phase_id: PhaseId,
    pub state: PhaseState,
}

/// Two look-ups a phase that is settled, by their keys: of what settled it, and of its attempts. The import or the operator
/// settled it in the state and after the attempts that it has now; or the latest attempt that counts landed what the phase
/// says, or was allowed to change nothing.
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
                 OR (a.outcome = 'no_change_needed' AND p.commit_id IS NULL)))
      ORDER BY r.id, p.position";

impl Store {
    /// The settled phases of these runs that have no evidence, in the order of their plans.
    pub async fn unproven(&self, runs: &[RunId]) -> Result<Vec<Unproven>, StoreError> {
        self.named(async {
            let runs = to_json(&runs.iter().map(RunId::as_str).collect::<Vec<_>>());
            let rows: Vec<(String, String, String)> =
                sqlx::query_as(UNPROVEN).bind(runs).fetch_all(&self.reader).await?;
            rows.into_iter()
                .map(|(run, phase, state)| {
                    let state = parse(&state, || format!("phase {phase} of run {run}"))?;
                    let (run_id, phase_id) = (RunId::new(run), PhaseId::new(phase));
                    Ok(Unproven { run_id, phase_id, state })
                })
                .collect()
        })
        .await
    }
}

/// Records why a phase is settled. Its state has to be the settled one by then.
pub(crate) async fn mark(
    tx: &mut SqliteConnection,
    phase: i64,
    evidence: &str,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE phases SET evidence = ? WHERE id = ?")
        .bind(evidence)
        .bind(phase)
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        "INSERT OR REPLACE INTO settlements (phase, kind, state, executions)
         SELECT id, evidence, state, executions FROM phases WHERE id = ?",
    )
    .bind(phase)
    .execute(tx)
    .await?;
    Ok(())
}

/// The same for phases that were just inserted with their evidence.
pub(super) async fn mark_inserted(
    tx: &mut SqliteConnection,
    run: i64,
    after: i64,
) -> Result<(), StoreError> {
    sqlx::query(
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

/// Takes back what an import or the operator said of a phase: it is to be done again.
pub(super) async fn withdraw(tx: &mut SqliteConnection, phase: i64) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM settlements WHERE phase = ?").bind(phase).execute(&mut *tx).await?;
    sqlx::query("UPDATE phases SET evidence = NULL, redone = executions WHERE id = ?")
        .bind(phase)
        .execute(tx)
        .await?;
    Ok(())
}
