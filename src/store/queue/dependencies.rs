//! Dependencies of a run: storing them, updating the counters used by claims, refusing cycles.

use std::collections::{BTreeSet, HashMap};

use crate::phase::plan::PlanPhase;
use crate::phase::{PhaseId, RunId, cycle};
use crate::store::backend::{Connection, QueryBuilder, query, query_as};

use crate::store::error::StoreError;

/// Rows per INSERT.
const ROWS: usize = 500;

/// Inserts the dependencies of phases without any; `ids` has the rows of all phases that may be named. The caller
/// updates the counters afterwards.
pub(crate) async fn insert_dependencies(
    tx: &mut Connection,
    run_id: &RunId,
    phases: &[&PlanPhase],
    ids: &HashMap<String, i64>,
) -> Result<(), StoreError> {
    let mut edges = BTreeSet::new();
    for phase in phases {
        let unknown = |needs: &PhaseId| StoreError::UnknownDependency {
            run: run_id.clone(),
            phase: phase.phase_id.clone(),
            needs: needs.clone(),
        };
        let id = *ids.get(phase.phase_id.as_str()).ok_or_else(|| unknown(&phase.phase_id))?;
        for need in &phase.depends_on {
            let row = *ids.get(need.as_str()).ok_or_else(|| unknown(need))?;
            if row == id {
                let cycle = vec![need.clone(), need.clone()];
                return Err(StoreError::Cycle { run: run_id.clone(), cycle });
            }
            edges.insert((id, row));
        }
    }
    let edges: Vec<(i64, i64)> = edges.into_iter().collect();
    for some in edges.chunks(ROWS) {
        let mut insert = QueryBuilder::new("INSERT INTO dependencies (phase, needs) ");
        insert.push_values(some, |mut row, (phase, need)| {
            row.push_bind(phase).push_bind(need);
        });
        insert.build().execute(&mut *tx).await?;
    }
    Ok(())
}

/// Recounts the unsatisfied dependencies of each phase of the run, and refuses a cycle.
pub(crate) async fn recount_dependencies(
    tx: &mut Connection,
    run: i64,
    run_id: &RunId,
) -> Result<(), StoreError> {
    query(
        "UPDATE phases SET unmet = fresh.unmet
           FROM (SELECT p.id, COUNT(n.id) AS unmet
                   FROM phases p
                   LEFT JOIN dependencies d ON d.phase = p.id
                   LEFT JOIN phases n ON n.id = d.needs AND n.state NOT IN ('COMPLETE', 'SKIPPED')
                  WHERE p.run = ?1 GROUP BY p.id) AS fresh
          WHERE phases.id = fresh.id AND phases.unmet <> fresh.unmet",
    )
    .bind(run)
    .execute(&mut *tx)
    .await?;
    let mut edges: Vec<(i64, i64)> = query_as(
        "SELECT d.phase, d.needs FROM phases n JOIN dependencies d ON d.needs = n.id WHERE n.run = ?",
    )
    .bind(run)
    .fetch_all(&mut *tx)
    .await?;
    edges.sort_unstable();
    let mut needs: HashMap<i64, Vec<i64>> = HashMap::new();
    for (phase, need) in &edges {
        needs.entry(*phase).or_default().push(*need);
    }
    let of = |phase: &i64| needs.get(phase).map(Vec::as_slice).unwrap_or_default();
    match cycle::find(edges.iter().map(|(phase, _)| phase), of) {
        None => Ok(()),
        Some(circle) => {
            Err(StoreError::Cycle { run: run_id.clone(), cycle: named(tx, run, &circle).await? })
        }
    }
}

/// Returns the dependencies within a run as pairs of row id and dependency, in the order of the run.
pub(crate) async fn edges(
    tx: &mut Connection,
    run: i64,
) -> Result<Vec<(i64, PhaseId)>, StoreError> {
    let rows: Vec<(i64, String)> = query_as(
        "SELECT d.phase, n.phase_id FROM phases n JOIN dependencies d ON d.needs = n.id
          WHERE n.run = ? ORDER BY n.position",
    )
    .bind(run)
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|(phase, need)| (phase, PhaseId::new(need))).collect())
}

async fn named(tx: &mut Connection, run: i64, rows: &[&i64]) -> Result<Vec<PhaseId>, StoreError> {
    let names: Vec<(i64, String)> =
        query_as("SELECT id, phase_id FROM phases WHERE run = ?").bind(run).fetch_all(tx).await?;
    let names: HashMap<i64, String> = names.into_iter().collect();
    Ok(rows.iter().filter_map(|row| names.get(row)).map(PhaseId::new).collect())
}
