//! Imports the present and the vanished parts of a source: runs of parts such as tags and directories come and go.

use crate::failure::Failure;
use crate::phase::plan::{Plan, PlanRun, StoredPart};
use crate::store::{ImportMode, ImportReport, Store};

/// Imports a plan and returns a report for each run of the plan. An update also visits the stored runs of vanished
/// parts. If the update names or changes such a run, the run is added to the plan.
///
/// # Errors
/// The plan contradicts the store, or the database cannot be written.
pub(super) async fn import_source(
    store: &Store,
    plan: &mut Plan,
    mode: ImportMode,
) -> Result<Vec<ImportReport>, Failure> {
    if mode == ImportMode::Add {
        plan.runs.retain(PlanRun::has_items);
    } else {
        let known = store.run_ids_by_use().await?;
        plan.runs.extend(vanished_runs(plan, &store.source_parts().await?));
        plan.runs.retain(|run| run.has_items() || known.contains(&run.run_id));
    }
    let reports = store.import_by_run(plan, mode, crate::clock::now()).await?;
    let is_shown = |(run, report): &(PlanRun, ImportReport)| {
        run.has_items() || *report != ImportReport::default()
    };
    let (runs, reports) =
        std::mem::take(&mut plan.runs).into_iter().zip(reports).filter(is_shown).unzip();
    plan.runs = runs;
    Ok(reports)
}

/// Returns the runs of parts from the same source that have the same choice of a run and are missing in the plan.
fn vanished_runs(plan: &Plan, stored: &[StoredPart]) -> Vec<PlanRun> {
    let Some(first) = plan.runs.first() else { return Vec::new() };
    let is_missing = |part: &&StoredPart| {
        part.origin == first.origin
            && part.part.given_run == first.part.given_run
            && plan.runs.iter().all(|run| run.run_id != part.run_id)
    };
    let empty = |part: &StoredPart| {
        PlanRun::empty(part.run_id.clone(), &*first.source, &*first.origin, part.part.clone())
    };
    stored.iter().filter(is_missing).map(empty).collect()
}
