//! A plan becomes runs and phases: all of it or nothing, and nothing that has moved on is overwritten.

use std::collections::{BTreeSet, HashMap};

use sqlx::{FromRow, SqliteConnection};

use crate::phase::plan::{Plan, PlanPhase, PlanRun};
use crate::phase::{PhaseId, PhaseState, RawSpec, RunId, UnixMs};

use super::error::StoreError;
use super::open::Store;
use super::rows::{json, parse, to_json};
use super::samples::import_sample;

/// What an import did, counted in phases but for `runs` (new ones) and `samples`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    pub runs: u64,
    pub added: u64,
    pub updated: u64,
    /// Here already, exactly so.
    pub unchanged: u64,
    /// Here with another spec, which only `--update` replaces.
    pub differing: u64,
    /// Here with another spec, and moved on: COMPLETE or EXECUTING, which nothing replaces.
    pub kept: u64,
    pub samples: u64,
}

impl Store {
    /// With `update`, specs of phases that are neither COMPLETE nor EXECUTING are replaced; states never are.
    pub async fn import(
        &self,
        plan: &Plan,
        update: bool,
        now: UnixMs,
    ) -> Result<ImportReport, StoreError> {
        let mut total = ImportReport::default();
        for report in self.import_by_run(plan, update, now).await? {
            total.add(&report);
        }
        Ok(total)
    }

    /// As [`Store::import`], with a report for each run of the plan, in its order.
    pub async fn import_by_run(
        &self,
        plan: &Plan,
        update: bool,
        now: UnixMs,
    ) -> Result<Vec<ImportReport>, StoreError> {
        self.named(async {
            let mut reports = Vec::with_capacity(plan.runs.len());
            let mut tx = self.begin().await?;
            for run in &plan.runs {
                let mut report = ImportReport::default();
                if !run.phases.is_empty() {
                    import_run(&mut tx, run, update, now, &mut report).await?;
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

impl ImportReport {
    fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.added += other.added;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.differing += other.differing;
        self.kept += other.kept;
        self.samples += other.samples;
    }
}

/// A phase that the run has already.
struct Known {
    id: i64,
    state: PhaseState,
    spec: RawSpec,
    name: String,
    max_attempts: Option<i64>,
    needs: BTreeSet<PhaseId>,
}

async fn import_run(
    tx: &mut SqliteConnection,
    run: &PlanRun,
    update: bool,
    now: UnixMs,
    report: &mut ImportReport,
) -> Result<(), StoreError> {
    let row = run_row(tx, run, now, report).await?;
    let known = known_phases(tx, row, &run.run_id).await?;
    let mut position: i64 =
        sqlx::query_scalar("SELECT COALESCE(MAX(position), -1) FROM phases WHERE run = ?")
            .bind(row)
            .fetch_one(&mut *tx)
            .await?;
    let mut ids: HashMap<&PhaseId, i64> = known.iter().map(|(id, phase)| (id, phase.id)).collect();
    let mut rewired = Vec::new();
    for phase in &run.phases {
        let Some(before) = known.get(&phase.phase_id) else {
            position += 1;
            let id = insert_phase(tx, row, position, &run.run_id, phase).await?;
            ids.insert(&phase.phase_id, id);
            rewired.push((id, phase));
            report.added += 1;
            continue;
        };
        match before.compare(phase, update) {
            Against::Same => report.unchanged += 1,
            Against::Differs => report.differing += 1,
            Against::MovedOn => report.kept += 1,
            Against::Replace => {
                replace_spec(tx, before.id, phase).await?;
                rewired.push((before.id, phase));
                report.updated += 1;
            }
        }
    }
    for (id, phase) in rewired {
        rewire(tx, &run.run_id, id, phase, |need| ids.get(need).copied()).await?;
    }
    settle_dependencies(tx, row, &run.run_id).await
}

async fn run_row(
    tx: &mut SqliteConnection,
    run: &PlanRun,
    now: UnixMs,
    report: &mut ImportReport,
) -> Result<i64, StoreError> {
    let added = sqlx::query(
        "INSERT INTO runs (run_id, source, created_at) VALUES (?, ?, ?) ON CONFLICT (run_id) DO NOTHING",
    )
    .bind(run.run_id.as_str())
    .bind(&run.source)
    .bind(now.0)
    .execute(&mut *tx)
    .await?;
    report.runs += added.rows_affected();
    Ok(sqlx::query_scalar("SELECT id FROM runs WHERE run_id = ?")
        .bind(run.run_id.as_str())
        .fetch_one(tx)
        .await?)
}

#[derive(FromRow)]
struct KnownRecord {
    id: i64,
    phase_id: String,
    state: String,
    raw_spec: String,
    name: String,
    max_attempts: Option<i64>,
}

async fn known_phases(
    tx: &mut SqliteConnection,
    run: i64,
    run_id: &RunId,
) -> Result<HashMap<PhaseId, Known>, StoreError> {
    let rows: Vec<KnownRecord> = sqlx::query_as(
        "SELECT id, phase_id, state, raw_spec, name, max_attempts FROM phases WHERE run = ?",
    )
    .bind(run)
    .fetch_all(&mut *tx)
    .await?;
    let mut needs: HashMap<i64, BTreeSet<PhaseId>> = HashMap::new();
    for (phase, need) in edges(tx, run).await? {
        needs.entry(phase).or_default().insert(need);
    }
    rows.into_iter()
        .map(|row| {
            let name = || format!("phase {} of run {run_id}", row.phase_id);
            let known = Known {
                id: row.id,
                state: parse(&row.state, name)?,
                spec: json(&row.raw_spec, name)?,
                needs: needs.remove(&row.id).unwrap_or_default(),
                max_attempts: row.max_attempts,
                name: row.name,
            };
            Ok((PhaseId::new(row.phase_id), known))
        })
        .collect()
}

async fn edges(tx: &mut SqliteConnection, run: i64) -> Result<Vec<(i64, PhaseId)>, StoreError> {
    let rows: Vec<(i64, String)> = sqlx::query_as(
        "SELECT d.phase, n.phase_id FROM phases n JOIN dependencies d ON d.needs = n.id WHERE n.run = ?",
    )
    .bind(run)
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|(phase, need)| (phase, PhaseId::new(need))).collect())
}

/// What to do with a phase that is here already.
enum Against {
    Same,
    Differs,
    MovedOn,
    Replace,
}

impl Known {
    fn compare(&self, phase: &PlanPhase, update: bool) -> Against {
        let same = self.spec == phase.spec
            && self.name == phase.name
            && self.max_attempts == phase.max_attempts.map(i64::from)
            && self.needs.iter().eq(phase.depends_on.iter().collect::<BTreeSet<_>>());
        match self.state {
            _ if same => Against::Same,
            PhaseState::Complete | PhaseState::Executing => Against::MovedOn,
            _ if update => Against::Replace,
            _ => Against::Differs,
        }
    }
}

async fn insert_phase(
    tx: &mut SqliteConnection,
    run: i64,
    position: i64,
    run_id: &RunId,
    phase: &PlanPhase,
) -> Result<i64, StoreError> {
    if phase.state == PhaseState::Executing {
        return Err(StoreError::WrongState {
            run: run_id.clone(),
            phase: phase.phase_id.clone(),
            state: phase.state,
            cannot: "cannot be imported: nothing of ours executes it",
        });
    }
    let id = sqlx::query_scalar(
        "INSERT INTO phases (run, phase_id, position, state, attempts, max_attempts, name, note, last_failure, raw_spec)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
    )
    .bind(run)
    .bind(phase.phase_id.as_str())
    .bind(position)
    .bind(phase.state.as_str())
    .bind(phase.attempts)
    .bind(phase.max_attempts)
    .bind(&phase.name)
    .bind(&phase.note)
    .bind(phase.last_failure.as_ref().map(to_json))
    .bind(to_json(&phase.spec))
    .fetch_one(tx)
    .await?;
    Ok(id)
}

/// The spec as written is another one now; what was repaired of the old one is void.
pub(super) async fn replace_spec(
    tx: &mut SqliteConnection,
    id: i64,
    phase: &PlanPhase,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE phases SET name = ?, max_attempts = ?, raw_spec = ?, spec = NULL, fixes = '[]', unfixable = NULL,
                spec_version = spec_version + 1
          WHERE id = ? AND state NOT IN ('COMPLETE', 'EXECUTING')",
    )
    .bind(&phase.name)
    .bind(phase.max_attempts)
    .bind(to_json(&phase.spec))
    .bind(id)
    .execute(tx)
    .await?;
    Ok(())
}

/// Replaces what a phase depends on. The counters are settled afterwards.
pub(super) async fn rewire(
    tx: &mut SqliteConnection,
    run_id: &RunId,
    id: i64,
    phase: &PlanPhase,
    row_of: impl Fn(&PhaseId) -> Option<i64>,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM dependencies WHERE phase = ?").bind(id).execute(&mut *tx).await?;
    for need in &phase.depends_on {
        let row =
            row_of(need).filter(|row| *row != id).ok_or_else(|| StoreError::UnknownDependency {
                run: run_id.clone(),
                phase: phase.phase_id.clone(),
                needs: need.clone(),
            })?;
        sqlx::query("INSERT INTO dependencies (phase, needs) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(id)
            .bind(row)
            .execute(&mut *tx)
            .await?;
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
