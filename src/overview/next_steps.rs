//! Next step after a failure: what to change, and the command.

use super::failure_groups::FailureGroup;
use crate::phase::words::quoted;
use crate::phase::{FailureKind, PhaseId, RunId};
use crate::progress::{shown_id, shown_phase, width};

/// Widest list of phases in a command. With more phases, the command names the run.
const WIDEST_COMMAND: usize = 70;

impl FailureGroup {
    /// Returns the next step for these phases: a change, then a command; or the command alone.
    pub fn next_step(&self) -> String {
        if self.has_common_cause {
            return format!("fix the cause; then {}", retry_all(&self.run_id));
        }
        let retry = retry_command(&self.run_id, &self.phases);
        let agent = self.agent.as_deref().unwrap_or("NAME");
        match self.kind.map(remedy) {
            Some(Remedy::Edit(change)) => {
                let first = self.phases.first().map(|phase| address(&self.run_id, phase));
                let edit = format!("autopack phases edit {}", first.unwrap_or_default());
                format!("{change}: {edit}; then {retry}")
            }
            Some(Remedy::RaiseKey(key)) => {
                format!("raise {}, then {retry}", key.replace("NAME", agent))
            }
            Some(Remedy::Check(command)) => format!("{command}; then {retry}"),
            Some(Remedy::Retry) | None => retry,
        }
    }
}

/// What to do about a kind of failure.
enum Remedy {
    /// Change the spec in this respect.
    Edit(&'static str),
    /// Raise this key of the configuration; `NAME` is the agent.
    RaiseKey(&'static str),
    /// Run this command first.
    Check(&'static str),
    /// Try again.
    Retry,
}

fn remedy(kind: FailureKind) -> Remedy {
    use FailureKind as K;
    match kind {
        K::ScopeBreach => Remedy::Edit("widen scope.paths"),
        K::ProtectedPath => Remedy::Edit("set allow_protected"),
        K::SecretInDiff => Remedy::Edit("keep the secret out"),
        K::MissingDeliverable => Remedy::Edit("check the deliverables"),
        K::NoChange => Remedy::Edit("say more, or allow_no_change"),
        K::AgentLooped => Remedy::Edit("split or explain the phase"),
        K::Unfixable => Remedy::Edit("repair the spec"),
        K::CiTimeout => Remedy::RaiseKey("ci.max_timeout_seconds"),
        K::AgentTimeout => Remedy::RaiseKey("agents.NAME.timeout_seconds"),
        K::AgentStalled => Remedy::RaiseKey("agents.NAME.idle_timeout_seconds"),
        K::OverBudget => Remedy::RaiseKey("executor.budgets.phase"),
        K::CiCannotStart => Remedy::Check("autopack health"),
        K::CiFailed
        | K::CiNoTests
        | K::CiCollectionError
        | K::AgentFailed
        | K::GaveUp
        | K::Imported => Remedy::Retry,
    }
}

/// Returns the command to retry these phases. Names all failed phases of the run if the list is too long.
fn retry_command(run: &RunId, phases: &[PhaseId]) -> String {
    let names: Vec<String> = phases.iter().map(|phase| address(run, phase)).collect();
    let command = format!("autopack phases retry {}", names.join(" "));
    match width(&command) > WIDEST_COMMAND && phases.len() > 1 {
        true => retry_all(run),
        false => command,
    }
}

/// Returns the command to retry all failed phases of the run.
fn retry_all(run: &RunId) -> String {
    format!("autopack phases retry --failed {}", run_argument(run))
}

/// Returns `RUN/PHASE` as a word of the shell.
fn address(run: &RunId, phase: &PhaseId) -> String {
    quoted(&shown_phase(run, phase, true)).into_owned()
}

/// Returns the run as a word of the shell.
pub(super) fn run_argument(run: &RunId) -> String {
    quoted(&shown_id(run.as_str())).into_owned()
}
