//! What CI says at the base, before an agent is asked: whether a drain may begin, and what has to be said first. Pure.

use super::ci_failure::list;
use super::ci_plan::CiPlan;
use super::compare::merge_rerun;
use super::likely_cause::{likely_cause, missing_program};
use super::results::{CiOutcome, CiRun};
use crate::phase::shell;
use crate::phase::words::counted;

/// Of the end of the output, so many lines stand in the message, and so much of each.
const LAST_LINES: usize = 5;
const LINE_CHARS: usize = 160;

/// What a run at the base means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BaseState {
    /// Agents may be asked. One line for each thing that a person should know before that.
    Ready { notes: Vec<String> },
    /// Every phase would fail for it: the drain ends before anything is spent.
    Stop { why: String },
    /// The phase's own command cannot start here, whatever the phase does: this phase alone fails.
    Block { why: String },
}

/// `excuses`: single red tests at the base are excused (`ci.baseline`); `allow`: `ci.red_base: allow`.
pub fn judge_base(plan: &CiPlan, run: &CiRun, excuses: bool, allow: bool) -> BaseState {
    let mut notes = flaky(run);
    let single = run.results.complete && run.results.red().next().is_some();
    match run.outcome() {
        CiOutcome::Passed | CiOutcome::Stopped => {}
        CiOutcome::NotConfigured => notes.extend(plan.note.as_ref().map(|note| {
            format!("{note}; without CI, scope and deliverables alone decide what lands")
        })),
        CiOutcome::NoTests => notes.push(format!(
            "no tests yet: {} found none; until there are some, scope and deliverables decide what lands",
            command(plan)
        )),
        _ if plan.is_own => return own(plan, run, single, notes),
        CiOutcome::Failed | CiOutcome::CollectionError if single && excuses => {
            notes.push(excused(plan, run));
        }
        _ => {
            let what = what(plan, run);
            match allow {
                true => notes.push(format!(
                    "{what}; ci.red_base is allow, so the drain begins; every phase has to end with CI green"
                )),
                false => return BaseState::Stop { why: stop(&what, run) },
            }
        }
    }
    BaseState::Ready { notes }
}

/// What is run once more before a run at the base is believed: a flaky test is no reason to end a night. `None`: nothing.
pub fn base_rerun(plan: &CiPlan, run: &CiRun) -> Option<CiPlan> {
    let red = red_ids(run);
    let is_red = match run.outcome() {
        CiOutcome::Failed | CiOutcome::CollectionError => true,
        CiOutcome::CouldNotStart { .. } => !plan.is_own,
        _ => false,
    };
    // A phase's own check that reports no tests may be red for as long as its work is not done.
    if !is_red || plan.is_own && red.is_empty() {
        return None;
    }
    match !red.is_empty() && run.results.complete {
        true => Some(plan.rerun_plan(&red)),
        false => Some(plan.clone()),
    }
}

/// A run at the base and what [`base_rerun`] asked for, as one.
pub fn with_base_rerun(plan: &CiPlan, run: CiRun, again: CiRun) -> CiRun {
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

/// What a phase brings with it may test what only the phase makes. It may be red before; it cannot pass where a program of
/// the machine is missing.
fn own(plan: &CiPlan, run: &CiRun, single: bool, mut notes: Vec<String>) -> BaseState {
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
        _ if single => notes.push(excused(plan, run)),
        _ => {}
    }
    BaseState::Ready { notes }
}

fn flaky(run: &CiRun) -> Vec<String> {
    match run.flaky.as_slice() {
        [] => Vec::new(),
        ids => vec![format!(
            "flaky without any change, passed when run once more: {}",
            list(ids.iter().map(String::as_str))
        )],
    }
}

fn excused(plan: &CiPlan, run: &CiRun) -> String {
    let red: Vec<&str> = run.results.red().map(|(id, _)| id.as_str()).collect();
    let tests = counted(red.len() as u64, "test");
    let fail = if red.len() == 1 { "fails" } else { "fail" };
    format!(
        "{tests} of {} {fail} without any change and will be excused: {}",
        command(plan),
        list(red.into_iter())
    )
}

fn what(plan: &CiPlan, run: &CiRun) -> String {
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
                false => format!(" ({})", list(red.into_iter())),
            };
            let code = run
                .results
                .exit_code
                .map_or(String::new(), |code| format!(" with exit code {code}"));
            format!("ci is red without any change: {} failed{code}{tests}", command(plan))
        }
    }
}

fn stop(what: &str, run: &CiRun) -> String {
    // What could not start says so itself.
    let last = match run.outcome() {
        CiOutcome::CouldNotStart { .. } => String::new(),
        _ => match last_lines(&run.log_tail) {
            lines if lines.is_empty() => "; it printed nothing".to_owned(),
            lines => format!("; it ended with: {lines}"),
        },
    };
    format!(
        "{what}{last}{}; no agent was asked. ci.red_base: allow begins all the same, for runs that mend CI",
        cause(run)
    )
}

fn cause(run: &CiRun) -> String {
    likely_cause(&run.log_tail).map_or(String::new(), |cause| format!("; {cause}"))
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
