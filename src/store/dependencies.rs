//! What phases wait for: the dependencies of a run, the counters that claims go by, and that nothing waits for itself.

use std::collections::{BTreeSet, HashMap};

use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::phase::plan::PlanPhase;
use crate::phase::{PhaseId, RunId};

use super::error::StoreError;

/// Rows of one INSERT.
const ROWS: usize = 500;

/// Wires phases that depend on nothing yet; `ids` has the rows of all that they may name. The counters are settled
/// afterwards.
pub(super) async fn rewire(
    tx: &mut SqliteConnection,
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
                return Err(StoreError::Cycle { run: run_id.clone(), phases: vec![need.clone()] });
            }
            edges.insert((id, row));
        }
    }
    let edges: Vec<(i64, i64)> = edges.into_iter().collect();
    for some in edges.chunks(ROWS) {
        let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO dependencies (phase, needs) ");
        insert.push_values(some, |mut row, (phase, need)| {
            row.push_bind(phase).push_bind(need);
        });
        insert.build().execute(&mut *tx).await?;
    }
    Ok(())
}

/// Counts anew what each phase of the run waits for, and refuses a cycle.
pub(super) async fn settle_dependencies(
    tx: &mut SqliteConnection,
    run: i64,
    run_id: &RunId,
) -> Result<(), StoreError> {
    sqlx::query(
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
    let names: HashMap<i64, String> =
        sqlx::query_as("SELECT id, phase_id FROM phases WHERE run = ?")
            .bind(run)
            .fetch_all(&mut *tx)
            .await?
            .into_iter()
            .collect();
    let edges: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT d.phase, d.needs FROM phases n JOIN dependencies d ON d.needs = n.id WHERE n.run = ?",
    )
    .bind(run)
    .fetch_all(tx)
    .await?;
    let stuck = in_cycles(&edges);
    if stuck.is_empty() {
        return Ok(());
    }
    let phases = stuck.iter().filter_map(|id| names.get(id)).map(PhaseId::new).collect();
    Err(StoreError::Cycle { run: run_id.clone(), phases })
}

/// The phases that are left when all that wait for nothing are taken away, again and again, from both ends. Each edge
/// is looked at twice, however long the chains are.
fn in_cycles(edges: &[(i64, i64)]) -> BTreeSet<i64> {
    let needs = beyond(edges.iter().copied());
    let needed_by = beyond(edges.iter().map(|(phase, need)| (*need, *phase)));
    let mut left: BTreeSet<i64> = edges.iter().flat_map(|(phase, need)| [*phase, *need]).collect();
    // Taking the phases away that wait for none left, then those that none left waits for.
    for (ahead, behind) in [(&needs, &needed_by), (&needed_by, &needs)] {
        let mut open: HashMap<i64, usize> = HashMap::new();
        for phase in &left {
            let ahead = ahead.get(phase).map(Vec::as_slice).unwrap_or_default();
            open.insert(*phase, ahead.iter().filter(|other| left.contains(other)).count());
        }
        let mut free: Vec<i64> = left.iter().copied().filter(|phase| open[phase] == 0).collect();
        while let Some(phase) = free.pop() {
            left.remove(&phase);
            for other in behind.get(&phase).into_iter().flatten() {
                let Some(count) = open.get_mut(other).filter(|_| left.contains(other)) else {
                    continue;
                };
                *count -= 1;
                if *count == 0 {
                    free.push(*other);
                }
            }
        }
    }
    left
}

fn beyond(edges: impl Iterator<Item = (i64, i64)>) -> HashMap<i64, Vec<i64>> {
    let mut beyond: HashMap<i64, Vec<i64>> = HashMap::new();
    for (from, to) in edges {
        beyond.entry(from).or_default().push(to);
    }
    beyond
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_on_or_between_circles_is_left() {
        assert_eq!(in_cycles(&[(1, 2), (2, 3), (1, 3)]), BTreeSet::new());
        // 0 waits for the circle and 5 is waited for by it; 4 lies between two circles.
        let edges = [(0, 1), (1, 2), (2, 1), (2, 5), (2, 4), (4, 6), (6, 7), (7, 6)];
        assert_eq!(in_cycles(&edges), BTreeSet::from([1, 2, 4, 6, 7]));
        let chain: Vec<(i64, i64)> = (0..50_000).map(|n| (n, n + 1)).collect();
        assert_eq!(in_cycles(&chain), BTreeSet::new());
    }
}
