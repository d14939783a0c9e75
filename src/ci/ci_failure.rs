//! Turns a blocking comparison into the failure shown to people and to the next prompt. Pure.

use super::ci_plan::CiPlan;
use super::compare::{Comparison, Decision, UnreportedFailures};
use super::name_list::list_names;
use super::results::{CiOutcome, CiRun, TestStatus};
use super::unnamed_losses::MissingTestCount;
use crate::phase::shell;
use crate::phase::verdict::FailingTest;
use crate::phase::words::counted;
use crate::phase::{Failure, FailureDetail, FailureKind};

/// Most tests kept in a failure, and most of them with messages.
const MOST_TESTS: usize = 200;
const MOST_MESSAGES: usize = 20;

/// Returns the failure behind a comparison; `None` unless the phase is to blame.
pub fn describe_failure(plan: &CiPlan, run: &CiRun, comparison: &Comparison) -> Option<Failure> {
    if comparison.decision != Decision::Fail {
        return None;
    }
    let (kind, message) = kind_and_message(plan, run, comparison);
    let timeout_seconds = match run.outcome() {
        CiOutcome::TimedOut { ran_out_seconds } => Some(*ran_out_seconds),
        _ => None,
    };
    let detail = FailureDetail {
        failing_tests: failing_tests(comparison),
        log_tail: run.log_tail.clone(),
        timeout_seconds,
        ..FailureDetail::default()
    };
    Some(Failure { exit_code: run.results.exit_code, detail, ..Failure::new(kind, message) })
}

fn kind_and_message(plan: &CiPlan, run: &CiRun, comparison: &Comparison) -> (FailureKind, String) {
    let command = shell::in_one_line(&plan.display());
    match run.outcome() {
        CiOutcome::CouldNotStart { why } => {
            (FailureKind::CiCannotStart, format!("ci could not start: {why}"))
        }
        CiOutcome::TimedOut { ran_out_seconds } => (
            FailureKind::CiTimeout,
            format!("ci ran out of time: {ran_out_seconds} s for `{command}`"),
        ),
        CiOutcome::NoTests => (FailureKind::CiNoTests, format!("no tests ran: `{command}`")),
        CiOutcome::CollectionError if could_not_load_tests(run, comparison) => {
            let what = match list_names(comparison.blocking.iter().map(|test| test.name.as_str())) {
                names if names.is_empty() => String::new(),
                names => format!(": {names}"),
            };
            let message = format!("`{command}` could not load or compile the tests{what}");
            (FailureKind::CiCollectionError, message)
        }
        _ => (
            FailureKind::CiFailed,
            describe_tests(run, comparison).unwrap_or_else(|| describe_exit(&command, run)),
        ),
    }
}

/// Whether the blocking entries are tests that could not be loaded, not just failing tests beside an excused load
/// error.
fn could_not_load_tests(run: &CiRun, comparison: &Comparison) -> bool {
    let hides = |test: &FailingTest| {
        let case = run.results.tests.as_ref().and_then(|tests| tests.get(&test.name));
        case.is_some_and(|case| case.hides.is_some())
    };
    comparison.blocking.is_empty() && comparison.gone.is_empty() && comparison.fewer.is_empty()
        || comparison.blocking.iter().any(hides)
}

fn describe_tests(run: &CiRun, comparison: &Comparison) -> Option<String> {
    let Comparison { blocking, gone, fewer, unreported, .. } = comparison;
    let mut parts = Vec::new();
    if !blocking.is_empty() {
        let all_passed = blocking.iter().all(|test| comparison.passed_before.contains(&test.name));
        let before = if all_passed { " that passed before" } else { "" };
        let names = list_names(blocking.iter().map(|test| test.name.as_str()));
        let fail = if blocking.len() == 1 { "test fails" } else { "tests fail" };
        parts.push(format!("{} {fail}{before}: {names}", blocking.len()));
    }
    if !gone.is_empty() {
        let skipped = gone.iter().all(|id| run.results.status(id) == Some(TestStatus::Skipped));
        let what = if skipped { "skipped" } else { "gone or skipped" };
        let are = if gone.len() == 1 {
            "test that passed before is"
        } else {
            "tests that passed before are"
        };
        let names = list_names(gone.iter().map(String::as_str));
        parts.push(format!("{} {are} {what}: {names}", gone.len()));
    }
    parts.extend(fewer.iter().map(|fewer| {
        let MissingTestCount { runner, before, now } = fewer;
        format!(
            "{} fewer passed than before: {now} of {before} ({runner})",
            counted(before - now, "test")
        )
    }));
    parts.extend(unreported.iter().map(|failures| {
        let UnreportedFailures { runner, before, now } = failures;
        let of_base = if *before == 0 { String::new() } else { format!(", {before} before") };
        let fail = if *now == 1 { "fails" } else { "fail" };
        format!(
            "{} {fail}{of_base} ({runner}), but CI ended with exit code 0",
            counted(*now, "test")
        )
    }));
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn describe_exit(command: &str, run: &CiRun) -> String {
    match run.results.exit_code {
        Some(code) if code > 128 => {
            format!("`{command}` failed with exit code {code} (signal {})", code - 128)
        }
        Some(code) => format!("`{command}` failed with exit code {code}"),
        None => format!("`{command}` failed"),
    }
}

fn failing_tests(comparison: &Comparison) -> Vec<FailingTest> {
    let blocking = comparison.blocking.iter().enumerate().map(|(at, test)| FailingTest {
        name: test.name.clone(),
        message: if at < MOST_MESSAGES { test.message.clone() } else { String::new() },
    });
    let gone = comparison.gone.iter().map(|name| FailingTest {
        name: name.clone(),
        message: "passed before this attempt, now gone or skipped".to_owned(),
    });
    blocking.chain(gone).take(MOST_TESTS).collect()
}

#[cfg(test)]
#[path = "ci_failure_tests.rs"]
mod tests;
