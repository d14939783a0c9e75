//! Invariants for arbitrary output of test runners, for property tests and the fuzzer.

use super::ci_plan::{CiPlan, Reporting, check_plan};
use super::compare::{Decision, compare};
use super::results::{CiRun, TestResults, TestStatus};
use super::run_outcome::{self, Said};
use super::runners::test_report::Report;
use super::runners::{cargo_test, go_test, pytest_junit};
use crate::phase::PhaseCi;

/// Exit codes with a meaning for some runner, and some without any.
const CODES: [i32; 9] = [0, 1, 2, 4, 5, 101, 126, 127, 143];

/// Reads the same output as the output of each runner.
pub fn bytes(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    // Every second file exists, so that ids are built with and without a file.
    let find = |path: &str, _: Option<&str>| path.len().is_multiple_of(2).then(|| path.to_owned());
    let mut cargo = cargo_test::Reader::default();
    let mut go = go_test::Reader::default();
    text.lines().for_each(|line| {
        cargo.line(line);
        go.line(line);
    });
    judged(cargo.finish(&find), Reporting::Libtest, &text);
    let (report, tail) = go.finish(&|package, _| find(package, None));
    assert!(tail.lines().count() <= 80);
    judged(report, Reporting::GoJson, &text);
    if let Ok(report) = pytest_junit::parse(&text, &find) {
        judged(report, Reporting::JunitArgument, &text);
    }
}

fn some_plan() -> CiPlan {
    let phase = PhaseCi { test_cmd: Some("make test".to_owned()), ..PhaseCi::default() };
    check_plan(&phase).expect("it has a command")
}

fn judged(report: Report, reporting: Reporting, output: &str) {
    let report = report.tidy(&str::to_owned);
    for (id, test) in &report.tests {
        assert!(test.message.chars().count() < 2_100, "{id}");
        assert!(test.message.is_empty() || test.is_red(), "{id}");
    }
    let plan = CiPlan { reporting, ..some_plan() };
    for code in CODES {
        let said = Said {
            plan: &plan,
            code,
            report: Some(report.clone()),
            output,
            nothing_to_test: false,
        };
        let results = run_outcome::of(said);
        let kept = serde_json::to_string(&results).expect("results are plain data");
        assert_eq!(serde_json::from_str::<TestResults>(&kept).ok().as_ref(), Some(&results));
        against_itself(results);
    }
}

/// Checks the comparison of a run with itself: failures on both sides are excused, unless the run was interrupted; a
/// green run lands.
fn against_itself(results: TestResults) {
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
