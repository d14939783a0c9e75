//! Invariants for arbitrary output of test runners, for property tests and the fuzzer.

use std::fs;
use std::path::Path;

use tempfile::NamedTempFile;

use super::ci_plan::{CiPlan, check_plan};
use super::compare::{Decision, compare};
use super::results::{CiRun, TestResults, TestStatus};
use super::run_outcome::derive_results;
use super::runners::ended_run::EndedRun;
use super::runners::test_report::TestReport;
use super::runners::{RUNNERS, ReadResults, TestRunner};
use crate::phase::PhaseCi;

/// Exit codes with a meaning for some runner, and some without any.
const CODES: [i32; 9] = [0, 1, 2, 4, 5, 101, 126, 127, 143];
/// Most lines of the end of an output for people.
const MOST_TAIL_LINES: usize = 80;

/// Reads the same output as the output of each runner, and as its file with results.
pub fn check_output(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let results = NamedTempFile::new().expect("a temporary directory is writable");
    fs::write(results.path(), input).expect("a temporary directory is writable");
    for runner in RUNNERS.iter().copied() {
        // Ids are built with files and without: some of the files named in the seeds exist here.
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let project = project.join("tests/fixtures/ci").join(runner.name()).join("project");
        let mut reader = runner.reader();
        text.lines().for_each(|line| reader.line(line));
        let ReadResults { report, tail } = reader.finish(&project, results.path());
        assert!(tail.is_none_or(|tail| tail.lines().count() <= MOST_TAIL_LINES));
        check_report(report, runner, &text);
    }
}

fn some_plan() -> CiPlan {
    let phase = PhaseCi { test_cmd: Some("make test".to_owned()), ..PhaseCi::default() };
    check_plan(&phase).expect("it has a command")
}

fn check_report(report: Option<TestReport>, runner: &'static dyn TestRunner, output: &str) {
    let report = report.map(|report| report.tidy(&str::to_owned));
    for (id, test) in report.iter().flat_map(|report| &report.tests) {
        assert!(test.message.chars().count() < 2_100, "{id}");
        assert!(test.message.is_empty() || test.is_red(), "{id}");
    }
    let plan = CiPlan { runner: Some(runner), ..some_plan() };
    for code in CODES {
        let (command, report, dir) = ("make test", report.as_ref(), Path::new(""));
        let results = derive_results(&plan, &EndedRun { command, code, report, output, dir });
        let kept = serde_json::to_string(&results).expect("results are plain data");
        assert_eq!(serde_json::from_str::<TestResults>(&kept).ok().as_ref(), Some(&results));
        check_against_itself(results);
    }
}

/// Checks the comparison of a run with itself: failures on both sides are excused, unless the run was interrupted; a
/// green run lands.
fn check_against_itself(results: TestResults) {
    let green = results.exit_code == Some(0)
        && results.tests.iter().flatten().all(|(_, test)| test.status != TestStatus::Failed);
    let now = CiRun::of(results);
    let alone = compare(&now, None, &|_| false);
    let same = compare(&now, Some(&now.results), &|_| false);
    assert!(same.blocking.is_empty() || !now.results.complete, "{same:?}");
    assert!(same.gone.is_empty(), "{same:?}");
    assert!(alone.gone.is_empty() && alone.passed_before.is_empty(), "{alone:?}");
    let red = now.results.exit_code != Some(0);
    assert!(!red || alone.decision != Decision::Pass, "{alone:?} of {:?}", now.results);
    assert!(!green || same.decision == Decision::Pass || now.results.tests.is_none(), "{same:?}");
}
