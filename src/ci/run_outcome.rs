//! Derives the results from exit code, report and output.

use super::ci_plan::CiPlan;
use super::results::TestResults;
use super::runners::ended_run::EndedRun;
use super::runners::test_report::TestReport;

/// Exit codes of a shell for a missing program, and for a file that cannot be executed.
const NOT_FOUND: i32 = 127;
const NOT_EXECUTABLE: i32 = 126;

/// Returns the outcome, and the results that can be trusted.
pub fn derive_results(plan: &CiPlan, ended: &EndedRun<'_>) -> TestResults {
    let (code, report) = (ended.code, ended.report);
    let is_silent = report.is_none_or(TestReport::is_empty);
    let outcome = match (code, plan.runner) {
        (NOT_FOUND | NOT_EXECUTABLE, _) if is_silent => ended.could_not_start(),
        (_, Some(runner)) => runner.outcome(ended),
        (_, None) => ended.by_exit_code(),
    };
    let is_trusted = plan.runner.is_some_and(|runner| runner.reports_at(code));
    let complete = report.filter(|_| is_trusted).is_none_or(|report| !report.partial)
        && plan.runner.is_none_or(|runner| runner.is_complete_at(code));
    let TestReport { tests, counts, failed, printed, .. } = report.cloned().unwrap_or_default();
    TestResults {
        exit_code: Some(code),
        tests: (is_trusted && !tests.is_empty()).then_some(tests),
        complete,
        counts,
        failed,
        printed,
        ..TestResults::of(outcome)
    }
}

#[cfg(test)]
#[path = "run_outcome_tests.rs"]
mod tests;
