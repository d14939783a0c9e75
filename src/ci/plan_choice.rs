//! Chooses the plan of a phase: the phase's own command, `ci.command`, or a runner detected from the project's files.

use super::ci_place::CiPlace;
use super::ci_plan::CiPlan;
use super::detect::Candidate;
use super::projects::{ProjectSearch, find_project, no_runner};
use super::pythons::Pythons;
use super::runners::{RUNNERS, TestRunner, TestedProject};
use crate::config::{CiSettings, CommandLine};
use crate::phase::PhaseCi;

/// Returns the CI plan of a phase in a slot, by the slot's current files.
pub async fn choose_plan(
    place: &CiPlace<'_>,
    settings: &CiSettings,
    phase: &PhaseCi,
    pythons: &Pythons,
) -> CiPlan {
    if let Some(argv) = phase.command.clone() {
        let plan =
            CiPlan::of_command(CommandLine::Argv(argv), phase).for_copy(place.dir, place.workspace);
        return CiPlan { is_own: true, ..plan };
    }
    if let Some(command) = settings.command.clone() {
        return CiPlan::of_command(command, phase).for_copy(place.dir, place.workspace);
    }
    detect_plan(RUNNERS, place, phase, pythons).await
}

/// Returns the plan of a detected runner.
pub(super) async fn detect_plan(
    runners: &[&'static dyn TestRunner],
    place: &CiPlace<'_>,
    phase: &PhaseCi,
    pythons: &Pythons,
) -> CiPlan {
    let plan = match find_project(runners, place.dir) {
        ProjectSearch::Project(dir, candidates) => {
            let here = place.dir.join(&dir);
            // Programs are searched in the directory in which they will start.
            let inside = CiPlace { dir: &here, ..*place };
            plan_of_candidates(&candidates, inside, place, phase, pythons).await.inside(dir)
        }
        ProjectSearch::Make(target) => CiPlan::of_make(target, phase),
        ProjectSearch::Nothing(note) => CiPlan::nothing(note),
    };
    CiPlan { is_own: !phase.args.is_empty(), detected_with: Some(phase.args.clone()), ..plan }
}

/// Returns the plan of the first runner that can test a project, else the first reason why not.
async fn plan_of_candidates(
    candidates: &[Candidate],
    inside: CiPlace<'_>,
    top: &CiPlace<'_>,
    phase: &PhaseCi,
    pythons: &Pythons,
) -> CiPlan {
    let mut first_note = None;
    for Candidate { runner, .. } in candidates {
        let python = match runner.python_modules() {
            [] => None,
            modules => pythons.find_with(modules, &inside, top.dir).await,
        };
        let default_python = pythons.first_python(&inside, top.dir);
        let project = TestedProject { place: inside, python, default_python };
        match runner.invocation(&project, phase) {
            Ok(invocation) => return CiPlan::of_runner(*runner, invocation, phase),
            Err(note) => first_note = first_note.or(Some(note)),
        }
    }
    CiPlan::nothing(first_note.unwrap_or_else(no_runner))
}
