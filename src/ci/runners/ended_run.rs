//! The outcome of a run by exit code, results and output, as far as runners have it in common.

use std::path::Path;

use super::test_report::TestReport;
use super::{CiOutcome, RUNNERS};

/// Messages of frameworks without any test to run. Those of runners are [`found_nothing`](super::TestRunner::found_nothing).
const FOUND_NOTHING: [&str; 4] = [
    "No tests found, exiting with code 1",
    "No test files found, exiting with code 1",
    "No test files found, exiting with code 1.",
    "Error: No test files found",
];
/// Number of last lines with such a message.
const LAST_LINES: usize = 15;

/// A run that ended by itself.
pub(crate) struct EndedRun<'a> {
    /// The command as a person would type it.
    pub command: &'a str,
    /// Exit code as a shell reports it.
    pub code: i32,
    /// Results, if any could be read.
    pub report: Option<&'a TestReport>,
    /// The end of the output.
    pub output: &'a str,
    /// The tested project.
    pub dir: &'a Path,
}

impl EndedRun<'_> {
    /// The outcome without single results.
    pub fn by_exit_code(&self) -> CiOutcome {
        if self.has_no_tests() { CiOutcome::NoTests } else { plain(self.code) }
    }

    /// The outcome with single results, for a runner that fails exactly if a test fails or cannot be built.
    pub fn by_report(&self) -> CiOutcome {
        let Some(report) = self.report else { return plain(self.code) };
        match self.code {
            0 if report.is_empty() => CiOutcome::NoTests,
            0 if report.has_red() => CiOutcome::Failed,
            0 => CiOutcome::Passed,
            _ if report.collection_error => CiOutcome::CollectionError,
            _ if report.is_empty() && self.has_no_tests() => CiOutcome::NoTests,
            _ if report.is_empty() && self.lacks_network() => self.could_not_start(),
            _ => CiOutcome::Failed,
        }
    }

    /// The outcome if a program or a dependency is missing, or the command is wrong.
    pub fn could_not_start(&self) -> CiOutcome {
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
        let mut lines = self.output.lines().map(str::trim).filter(|line| !line.is_empty());
        let why = lines.clone().find(telling).or_else(|| lines.next_back());
        let why = why.unwrap_or("no output");
        CiOutcome::CouldNotStart {
            why: format!("`{}` ended with exit code {}: {why}", self.command, self.code),
        }
    }

    /// Whether a red command merely reports that there are no tests yet.
    fn has_no_tests(&self) -> bool {
        if self.code == 0 || self.report.is_some_and(|report| report.unnamed_ran) {
            return false;
        }
        let lines: Vec<&str> =
            self.output.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
        let of_runners = RUNNERS.iter().flat_map(|runner| runner.found_nothing());
        let signs: Vec<&str> = FOUND_NOTHING.iter().chain(of_runners).copied().collect();
        let found_nothing = |line: &&str| {
            let line = line.trim_start_matches("npm ERR! ");
            signs.iter().any(|sign| line.starts_with(sign))
        };
        last.iter().any(found_nothing) || is_placeholder(&lines)
    }

    /// Whether dependencies could not be fetched: the tests are not to blame.
    fn lacks_network(&self) -> bool {
        [
            "Could not resolve host",
            "failed to download",
            "network failure",
            "dial tcp",
            "spurious network error",
        ]
        .iter()
        .any(|sign| self.output.contains(sign))
    }
}

fn plain(code: i32) -> CiOutcome {
    if code == 0 { CiOutcome::Passed } else { CiOutcome::Failed }
}

/// Whether only the script from `npm init` failed, in any command: other workspace packages may have failed for a real
/// reason.
fn is_placeholder(lines: &[&str]) -> bool {
    const SIGN: &str = "Error: no test specified";
    let around =
        ["> ", "npm ", "$ echo", "error Command failed", "info Visit", "ELIFECYCLE", "yarn run"];
    lines.contains(&SIGN)
        && lines.iter().all(|line| {
            *line == SIGN || around.iter().any(|start| line.trim_start().starts_with(start))
        })
}
