//! Meaning of a CI run on the base, before any agent is asked: start the drain, stop it, or block one phase. Pure.

use super::ci_plan::CiPlan;
use super::likely_cause::{likely_cause, missing_program};
use super::merged_runs::merge_rerun;
use super::name_list::list_names;
use super::results::{CiOutcome, CiRun};
use crate::phase::shell;
use crate::phase::words::counted;

/// Number of trailing output lines in a message, and the most characters of each.
const LAST_LINES: usize = 5;
const LINE_CHARS: usize = 160;

/// Advice after a run out of time.
const MAY_WATCH: &str = "if the command watches for changes, set ci.command to a command that ends, else raise ci.max_timeout_seconds";

/// Consequence of a CI run on the base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BaseState {
    /// The drain starts.
    Ready {
        /// Lines for the operator.
        notes: Vec<String>,
    },
    /// Every phase would fail for this reason: the drain ends before money is spent.
    Stop {
        /// The reason, and how to start anyway.
        why: String,
    },
    /// The phase's own command cannot start here, with or without the phase's work: only this phase fails.
    Block {
        /// The reason, for people.
        why: String,
    },
}

/// Judges a run on the base. `excuses`: individual failing tests are excused (`ci.baseline`); `allow`: `ci.red_base:
/// allow`.
pub fn judge_base(plan: &CiPlan, run: &CiRun, excuses: bool, allow: bool) -> BaseState {
    let mut notes = flaky_notes(run);
    let single = run.results.complete && run.results.red().next().is_some();
    match run.outcome() {
        CiOutcome::Passed | CiOutcome::Stopped => {}
        CiOutcome::NotConfigured => notes.extend(plan.note.as_ref().map(|note| {
            format!("{note}; without CI, scope and deliverables alone decide what lands")
        })),
        CiOutcome::NoTests => notes.push(format!(
            "no tests yet: {} found none; until tests exist, scope and deliverables decide what lands",
            command(plan)
        )),
        _ if plan.is_own => return judge_own_check(plan, run, single, notes),
        CiOutcome::Failed | CiOutcome::CollectionError if single && excuses => {
            notes.push(excused_note(plan, run));
        }
        _ => {
            let what = describe_red_run(plan, run);
            match allow {
                true => notes.push(format!(
                    "{what}; ci.red_base is allow, so the drain starts; CI must be green after every phase"
                )),
                false => return BaseState::Stop { why: stop_message(&what, run) },
            }
        }
    }
    BaseState::Ready { notes }
}

/// Returns the plan to repeat before a red run on the base is believed, so that a flaky test does not end a drain.
/// `None`: no repetition is needed.
pub fn plan_base_rerun(plan: &CiPlan, run: &CiRun) -> Option<CiPlan> {
    let red = red_ids(run);
    let is_red = match run.outcome() {
        CiOutcome::Failed | CiOutcome::CollectionError => true,
        CiOutcome::CouldNotStart { .. } => !plan.is_own,
        _ => false,
    };
    // The phase's own check, if it reports no tests, may fail until the phase's work is done.
    if !is_red || plan.is_own && red.is_empty() {
        return None;
    }
    match !red.is_empty() && run.results.complete {
        true => Some(plan.rerun_plan(&red)),
        false => Some(plan.clone()),
    }
}

/// Merges a run on the base with the rerun planned by [`plan_base_rerun`].
pub fn merge_base_rerun(plan: &CiPlan, run: CiRun, again: CiRun) -> CiRun {
    let red = red_ids(&run);
    if !red.is_empty() && run.results.complete {
        return merge_rerun(run, &again, &red);
    }
    let flaky = match again.outcome() {
        CiOutcome::Passed | CiOutcome::NoTests => vec![format!("`{}`", plan.display())],
        _ => Vec::new(),
    };
    CiRun { flaky, ..again }
}

fn red_ids(run: &CiRun) -> Vec<String> {
    run.results.red().map(|(id, _)| id.clone()).collect()
}

/// Judges the phase's own check, which may test files created by the phase itself: the check may fail on the base, but
/// blocks the phase if a program is missing on this machine.
fn judge_own_check(plan: &CiPlan, run: &CiRun, single: bool, mut notes: Vec<String>) -> BaseState {
    match run.outcome() {
        CiOutcome::CouldNotStart { why } => {
            let program = missing_program(&run.log_tail).or(plan.program());
            let is_made_here = program.is_some_and(|program| program.contains('/'));
            if !is_made_here {
                let cause = cause(run);
                let why = format!(
                    "the phase's own check cannot start, with or without its work: {why}{cause}"
                );
                return BaseState::Block { why };
            }
        }
        _ if single => notes.push(excused_note(plan, run)),
        _ => {}
    }
    BaseState::Ready { notes }
}

fn flaky_notes(run: &CiRun) -> Vec<String> {
    match run.flaky.as_slice() {
        [] => Vec::new(),
        ids => vec![format!(
            "flaky without any change, passed when rerun: {}",
            list_names(ids.iter().map(String::as_str))
        )],
    }
}

fn excused_note(plan: &CiPlan, run: &CiRun) -> String {
    let red: Vec<&str> = run.results.red().map(|(id, _)| id.as_str()).collect();
    let tests = counted(red.len() as u64, "test");
    let fail = if red.len() == 1 { "fails" } else { "fail" };
    format!(
        "{tests} of {} {fail} without any change and will be excused: {}",
        command(plan),
        list_names(red.into_iter())
    )
}

fn describe_red_run(plan: &CiPlan, run: &CiRun) -> String {
    match run.outcome() {
        CiOutcome::CouldNotStart { why } => format!("ci cannot start: {why}"),
        CiOutcome::TimedOut { ran_out_seconds } => {
            format!(
                "ci ran out of time without any change: {ran_out_seconds} s for {}",
                command(plan)
            )
        }
        _ => {
            let red: Vec<&str> = run.results.red().map(|(id, _)| id.as_str()).collect();
            let tests = match red.is_empty() {
                true => String::new(),
                false => format!(" ({})", list_names(red.into_iter())),
            };
            let code = run
                .results
                .exit_code
                .map_or(String::new(), |code| format!(" with exit code {code}"));
            format!("ci is red without any change: {} failed{code}{tests}", command(plan))
        }
    }
}

fn stop_message(what: &str, run: &CiRun) -> String {
    // A command that could not start already has its reason in the text.
    let last = match run.outcome() {
        CiOutcome::CouldNotStart { .. } => String::new(),
        _ => match last_lines(&run.log_tail) {
            lines if lines.is_empty() => "; there was no output".to_owned(),
            lines => format!("; last output: {lines}"),
        },
    };
    format!(
        "{what}{last}{}; no agent was asked. Set ci.red_base: allow to start anyway, for runs that fix CI",
        cause(run)
    )
}

fn cause(run: &CiRun) -> String {
    let late = matches!(run.outcome(), CiOutcome::TimedOut { .. }).then(|| MAY_WATCH.to_owned());
    likely_cause(&run.log_tail).or(late).map_or(String::new(), |cause| format!("; {cause}"))
}

fn command(plan: &CiPlan) -> String {
    format!("`{}`", shell::in_one_line(&plan.display()))
}

fn last_lines(output: &str) -> String {
    let lines: Vec<String> = output
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| line.chars().take(LINE_CHARS).collect())
        .collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join(" | ")
}

#[cfg(test)]
#[path = "base_state_tests.rs"]
mod tests;
