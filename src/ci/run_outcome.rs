//! Derives the outcome from exit code, report and output. Pure.

use super::ci_plan::{CiPlan, Reporting};
use super::results::{CiOutcome, TestResults};
use super::runners::test_report::Report;

/// Exit codes of a shell for a missing program, and for a file that cannot be executed.
const NOT_FOUND: i32 = 127;
const NOT_EXECUTABLE: i32 = 126;

/// Evidence of a run that ended by itself.
pub struct Said<'a> {
    pub plan: &'a CiPlan,
    /// Exit code as a shell reports it.
    pub code: i32,
    pub report: Option<Report>,
    /// The end of the output.
    pub output: &'a str,
    /// Whether pytest would collect no test in the project.
    pub nothing_to_test: bool,
}

pub fn of(said: Said<'_>) -> TestResults {
    let said_nothing = said.report.as_ref().is_none_or(Report::is_empty);
    let outcome = match said.code {
        NOT_FOUND | NOT_EXECUTABLE if said_nothing => could_not_start(&said),
        _ => match said.plan.reporting {
            Reporting::ExitCode if has_no_tests(&said) => CiOutcome::NoTests,
            Reporting::ExitCode => by_code(said.code),
            Reporting::JunitArgument | Reporting::JunitEnvironment => pytest(&said),
            Reporting::Libtest | Reporting::GoJson => lines(&said),
        },
    };
    let summary = said.report.clone().filter(|_| said.plan.reporting == Reporting::ExitCode);
    let Report { counts, failed, printed, .. } = summary.unwrap_or_default();
    let trusted = said.report.filter(|_| reports_at(said.plan.reporting, said.code));
    let complete = trusted.as_ref().is_none_or(|report| !report.partial)
        && !(is_junit(said.plan.reporting) && said.code == 2);
    let tests = trusted.map(|report| report.tests).filter(|tests| !tests.is_empty());
    TestResults {
        exit_code: Some(said.code),
        tests,
        complete,
        counts,
        failed,
        printed,
        ..TestResults::of(outcome)
    }
}

/// Whether the report can be trusted. With any other exit code the tests did not decide, and the report may be
/// incomplete.
fn reports_at(reporting: Reporting, code: i32) -> bool {
    match reporting {
        Reporting::ExitCode => false,
        Reporting::JunitArgument | Reporting::JunitEnvironment => matches!(code, 0..=2),
        Reporting::Libtest => matches!(code, 0 | 101),
        Reporting::GoJson => matches!(code, 0 | 1),
    }
}

fn is_junit(reporting: Reporting) -> bool {
    matches!(reporting, Reporting::JunitArgument | Reporting::JunitEnvironment)
}

/// Messages of runners without any test to run, in one of their last lines.
const FOUND_NOTHING: [&str; 9] = [
    "No tests found, exiting with code 1",
    "No test files found, exiting with code 1",
    "No test files found, exiting with code 1.",
    "Error: No test files found",
    "NO TESTS RAN",
    "npm error Missing script: \"test\"",
    // Go and cargo, with a manifest and no source yet.
    "no packages to test",
    "go: no packages to test",
    "no targets specified in the manifest",
];
const LAST_LINES: usize = 15;

/// Whether a red command merely reports that there are no tests yet.
fn has_no_tests(said: &Said<'_>) -> bool {
    if said.code == 0 || said.report.as_ref().is_some_and(|report| report.unnamed_ran) {
        return false;
    }
    let lines: Vec<&str> =
        said.output.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
    let found_nothing = |line: &&str| {
        let line = line.trim_start_matches("npm ERR! ");
        FOUND_NOTHING.iter().any(|sign| line.starts_with(sign))
            || line.starts_with("Missing script: \"test\"")
    };
    last.iter().any(found_nothing) || is_placeholder(&lines)
}

/// Whether only the script from `npm init` failed: other workspace packages may have failed for a real reason.
fn is_placeholder(lines: &[&str]) -> bool {
    const SIGN: &str = "Error: no test specified";
    let around =
        ["> ", "npm ", "$ echo", "error Command failed", "info Visit", "ELIFECYCLE", "yarn run"];
    lines.contains(&SIGN)
        && lines.iter().all(|line| {
            *line == SIGN || around.iter().any(|start| line.trim_start().starts_with(start))
        })
}

fn by_code(code: i32) -> CiOutcome {
    if code == 0 { CiOutcome::Passed } else { CiOutcome::Failed }
}

/// Source: <https://docs.pytest.org/en/stable/reference/exit-codes.html>
fn pytest(said: &Said<'_>) -> CiOutcome {
    let report = said.report.as_ref();
    let not_collected = report.is_some_and(|report| report.collection_error);
    match said.code {
        0 if report.is_some_and(Report::has_red) => CiOutcome::Failed,
        0 => CiOutcome::Passed,
        1 if report.is_none() && lacks_pytest(said.output) => could_not_start(said),
        1 | 2 if not_collected => CiOutcome::CollectionError,
        // A wrong option concerns the command; other causes, such as a conftest.py that cannot be imported, concern the
        // tests.
        4 if said.output.contains("unrecognized arguments") || said.output.contains("usage:") => {
            could_not_start(said)
        }
        4 if said.nothing_to_test && said.output.contains("file or directory not found: ") => {
            CiOutcome::NoTests
        }
        4 => CiOutcome::CollectionError,
        5 => CiOutcome::NoTests,
        _ => CiOutcome::Failed,
    }
}

fn lacks_pytest(output: &str) -> bool {
    output.lines().any(|line| line.trim_end().ends_with("No module named pytest"))
}

fn lines(said: &Said<'_>) -> CiOutcome {
    let Some(report) = &said.report else { return by_code(said.code) };
    match said.code {
        0 if report.is_empty() => CiOutcome::NoTests,
        0 if report.has_red() => CiOutcome::Failed,
        0 => CiOutcome::Passed,
        _ if report.collection_error => CiOutcome::CollectionError,
        _ if report.is_empty() && has_no_tests(said) => CiOutcome::NoTests,
        _ if report.is_empty() && lacks_network(said.output) => could_not_start(said),
        _ => CiOutcome::Failed,
    }
}

/// Whether dependencies could not be fetched: the tests are not to blame.
fn lacks_network(output: &str) -> bool {
    [
        "Could not resolve host",
        "failed to download",
        "network failure",
        "dial tcp",
        "spurious network error",
    ]
    .iter()
    .any(|sign| output.contains(sign))
}

fn could_not_start(said: &Said<'_>) -> CiOutcome {
    let telling = |line: &&str| {
        [
            "not found",
            "No module named",
            "ermission denied",
            "unrecognized",
            "resolve host",
            "failed to",
        ]
        .iter()
        .any(|sign| line.contains(sign))
    };
    let mut lines = said.output.lines().map(str::trim).filter(|line| !line.is_empty());
    let why = lines.clone().find(telling).or_else(|| lines.next_back());
    let why = why.unwrap_or("no output");
    CiOutcome::CouldNotStart {
        why: format!("`{}` ended with exit code {}: {why}", said.plan.display(), said.code),
    }
}

#[cfg(test)]
#[path = "run_outcome_tests.rs"]
mod tests;
