//! Specs from the operator: resolved against the run like plans, and checked by the auto-fixer before they are stored.

use crate::cli::Context;
use crate::cli::autofix_limits::fixer;
use crate::failure::Failure;
use crate::import::{Existing, PlanDraft};
use crate::phase::plan::{Plan, PlanPhase};
use crate::phase::{PhaseState, RunId};
use crate::store::{PhaseDetail, Store};

/// Resolves a draft against the stored phases of the run.
pub(super) async fn resolve(draft: PlanDraft, run: &RunId, store: &Store) -> Result<Plan, Failure> {
    let mut existing = Existing::default();
    let phases = store.phases(run, None).await?;
    existing.runs.insert(
        run.clone(),
        phases.into_iter().map(|row| (row.phase_id, row.depends_on)).collect(),
    );
    Ok(draft.resolve(&existing)?)
}

/// Returns the only phase of a plan; `None` if there are several.
pub(super) fn single_phase(plan: Plan) -> Option<PlanPhase> {
    let mut phases = plan.runs.into_iter().flat_map(|run| run.phases);
    phases.next().filter(|_| phases.next().is_none())
}

/// Refuses a spec that no drain could execute.
pub(super) fn refuse_unfixable(phase: &PlanPhase, context: &Context) -> Result<(), Failure> {
    let fix = fixer(&context.config()?.settings, &context.workspace()?);
    match fix(&phase.spec, None).result {
        Ok(_) => Ok(()),
        Err(why) => {
            Err(Failure::new(format!("phase {} could not be executed: {why}", phase.phase_id)))
        }
    }
}

/// Refuses to change the spec of a complete or running phase.
pub(super) fn refuse_by_state(detail: &PhaseDetail) -> Result<(), Failure> {
    let row = &detail.row;
    let hint = match row.state {
        PhaseState::Complete => "`phases retry --redo` queues it again",
        PhaseState::Executing => "`autopack stop` ends the drain",
        PhaseState::Queued | PhaseState::Failed | PhaseState::Skipped => return Ok(()),
    };
    let (phase, state) = (&row.phase_id, row.state);
    Err(Failure::new(format!("phase {phase} is {state} and cannot be edited")).hint(hint))
}
