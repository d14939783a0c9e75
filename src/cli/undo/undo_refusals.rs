//! Refusals of an undo: what, why, and what to do next.

use crate::attempt::UndoEnd;
use crate::cli::branch_change_setup::explain_busy;
use crate::cli::update::describe_red;
use crate::failure::Failure;
use crate::phase::undo::UndoRefusal;
use crate::phase::words::{first_few, quoted};
use crate::phase::{Failure as PhaseFailure, PhaseId, PhaseState, RunId};
use crate::progress::shown_id;
use crate::store::BeginRefusal;

/// Phases and files named in a message; the rest are counted.
const NAMED: usize = 5;

/// Run and phase of the command.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    /// Run of the phase.
    pub run: &'a RunId,
    /// Phase to undo.
    pub phase: &'a PhaseId,
}

impl Names<'_> {
    fn command(&self, words: &str, phases: &[&str]) -> String {
        let run = quoted(self.run.as_str());
        let phases: Vec<_> = phases.iter().map(|phase| quoted(phase)).collect();
        format!("autopack {words} --run-id {run} {}", phases.join(" "))
    }

    pub fn explain_refusal(&self, refusal: BeginRefusal) -> Failure {
        let refusal = match refusal {
            BeginRefusal::Phase(refusal) => refusal,
            BeginRefusal::RunIsBusy => return explain_busy(self.run, &[]),
        };
        let (phase, id) = (shown_id(self.phase.as_str()), self.phase.as_str());
        match refusal {
            UndoRefusal::NotComplete(state) => {
                let hint = match state {
                    PhaseState::Queued => {
                        let skip = self.command("phases skip", &[id]);
                        format!("it has no landing to undo; to leave it out: {skip}")
                    }
                    _ => "only complete phases can be undone".to_owned(),
                };
                Failure::new(format!("phase {phase} is {state}")).hint(hint)
            }
            UndoRefusal::NothingLanded => {
                Failure::new(format!("phase {phase} is complete without a commit"))
                    .hint(format!("queue it again: {}", self.command("phases retry --redo", &[id])))
            }
            UndoRefusal::NeededBy(ids) => {
                Failure::new(format!("complete phases depend on {phase}: {}", list(&ids))).hint(
                    format!("undo them, too: {}", self.command("undo --with-dependents", &[id])),
                )
            }
            UndoRefusal::CompletedElsewhere(ids) => {
                let named: Vec<&str> = ids.iter().map(PhaseId::as_str).collect();
                Failure::new(format!(
                    "{} depends on {phase}, and was not completed by an attempt",
                    list(&ids)
                ))
                .hint(format!(
                    "queue it again first: {}",
                    self.command("phases retry --redo", &named)
                ))
            }
        }
    }

    pub fn explain_end(&self, end: UndoEnd) -> Failure {
        let redo = |phase: &PhaseId| self.command("phases retry --redo", &[phase.as_str()]);
        match end {
            UndoEnd::Red(failure) => self.explain_red(&failure),
            UndoEnd::Conflict { phase, paths, changed_by } => {
                let phase = shown_id(phase.as_str());
                let by = match changed_by.as_slice() {
                    [] => String::new(),
                    ids => format!(" (by {})", list(ids)),
                };
                let text = format!(
                    "cannot revert {phase}: later commits changed the same places in {}{by}",
                    first_few(&paths, NAMED)
                );
                let hint = match changed_by.first() {
                    Some(later) => {
                        format!("undo that first: {}", self.command("undo", &[later.as_str()]))
                    }
                    None => format!(
                        "revert it by hand on the run's branch, then {}",
                        self.command("phases retry --redo", &[self.phase.as_str()])
                    ),
                };
                Failure::new(text).hint(hint)
            }
            UndoEnd::NotOnBranch(phase) => Failure::new(format!(
                "the landing of {} is not on the run's branch: the branch was rewritten",
                shown_id(phase.as_str())
            ))
            .hint(format!("revert its change by hand, then {}", redo(&phase))),
            UndoEnd::Absent(phase) => Failure::new(format!(
                "the change of {} is no longer on the run's branch",
                shown_id(phase.as_str())
            ))
            .hint(format!("queue it again: {}", redo(&phase))),
            UndoEnd::TipMoved => {
                Failure::new("the run's branch moved during the test").hint("undo again")
            }
            UndoEnd::Landed { .. } | UndoEnd::Stopped => Failure::new("the undo was stopped"),
        }
    }

    fn explain_red(&self, failure: &PhaseFailure) -> Failure {
        let phase = shown_id(self.phase.as_str());
        let why = describe_red(failure);
        Failure::new(format!("CI is red without {phase}: {why}")).hint(
            "nothing was undone; undo the phases that need it first, or repair them in another phase",
        )
    }
}

fn list(ids: &[PhaseId]) -> String {
    let shown: Vec<String> = ids.iter().map(|id| shown_id(id.as_str())).collect();
    first_few(&shown, NAMED)
}
