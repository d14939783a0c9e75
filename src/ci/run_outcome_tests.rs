//! Outcomes of exit codes and reports.

use std::path::Path;

use super::*;
use crate::ci::check_plan;
use crate::ci::results::{CiOutcome, TestCase, TestStatus};
use crate::phase::PhaseCi;

fn plan(line: &str) -> CiPlan {
    let phase = PhaseCi { test_cmd: Some(line.to_owned()), ..PhaseCi::default() };
    check_plan(&phase).unwrap()
}

fn result(line: &str, code: i32, report: Option<TestReport>, output: &str) -> TestResults {
    let (report, dir) = (report.as_ref(), Path::new(""));
    derive_results(&plan(line), &EndedRun { command: line, code, report, output, dir })
}

fn outcome(line: &str, code: i32, report: Option<TestReport>, output: &str) -> CiOutcome {
    result(line, code, report, output).outcome
}

fn report(tests: &[(&str, TestStatus)]) -> TestReport {
    let mut report = TestReport::default();
    for (id, status) in tests {
        report.add((*id).to_owned(), TestCase::new(*status, None));
    }
    report
}

fn red() -> TestReport {
    report(&[("a", TestStatus::Failed), ("b", TestStatus::Passed)])
}

fn why(outcome: CiOutcome) -> String {
    match outcome {
        CiOutcome::CouldNotStart { why } => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_command_is_judged_by_its_exit_code() {
    assert_eq!(outcome("make", 0, None, ""), CiOutcome::Passed);
    for code in [1, 2, 5, 124, 137, 143] {
        let result = result("make", code, None, "");
        assert_eq!((result.outcome, result.exit_code), (CiOutcome::Failed, Some(code)));
    }
}

#[test]
fn a_program_that_is_not_there_could_not_start() {
    let why = why(outcome("mkae", 127, None, "preparing\nsh: 1: mkae: not found\n"));
    assert_eq!(why, "`mkae` ended with exit code 127: sh: 1: mkae: not found");
    assert!(matches!(outcome("./ci", 126, None, ""), CiOutcome::CouldNotStart { .. }));
}

#[test]
fn pytest_exit_codes_are_told_apart() {
    assert_eq!(
        outcome("pytest", 0, Some(report(&[("a", TestStatus::Passed)])), ""),
        CiOutcome::Passed
    );
    assert_eq!(outcome("pytest", 1, Some(red()), ""), CiOutcome::Failed);
    let broken = || TestReport { collection_error: true, ..red() };
    assert_eq!(outcome("pytest", 1, Some(broken()), ""), CiOutcome::CollectionError);
    let interrupted = result("pytest", 2, Some(broken()), "");
    assert_eq!((interrupted.outcome, interrupted.complete), (CiOutcome::CollectionError, false));
    assert_eq!(outcome("pytest", 2, Some(red()), ""), CiOutcome::Failed);
    assert_eq!(outcome("pytest", 3, None, "INTERNALERROR>"), CiOutcome::Failed);
    assert_eq!(
        outcome("pytest", 4, None, "ImportError while loading conftest"),
        CiOutcome::CollectionError
    );
    assert_eq!(outcome("pytest", 5, Some(TestReport::default()), ""), CiOutcome::NoTests);
}

#[test]
fn a_pytest_that_is_missing_or_misused_could_not_start() {
    let missing = "/usr/bin/python3: No module named pytest";
    assert!(why(outcome("python3 -m pytest", 1, None, missing)).contains(missing));
    let misused = "ERROR: usage: pytest [options]\npytest: error: unrecognized arguments: --bogus";
    assert!(why(outcome("pytest --bogus", 4, None, misused)).contains("--bogus"));
}

#[test]
fn a_report_is_not_trusted_when_something_else_decided() {
    assert_eq!(result("pytest", 143, Some(red()), "").tests, None);
    assert_eq!(result("cargo test", 1, Some(red()), "").tests, None);
    assert_eq!(result("cargo test", 101, Some(red()), "").tests.unwrap().len(), 2);
}

#[test]
fn a_green_exit_does_not_hide_a_red_test() {
    assert_eq!(outcome("pytest", 0, Some(red()), ""), CiOutcome::Failed);
    assert_eq!(outcome("cargo test", 0, Some(red()), ""), CiOutcome::Failed);
}

#[test]
fn a_manifest_without_source_has_no_tests_yet() {
    let go = "go: warning: \"./...\" matched no packages\nno packages to test\n";
    let cargo = "error: failed to parse manifest at `/x/Cargo.toml`\n\nCaused by:\n  no targets specified in the manifest\n  \
        either src/lib.rs, src/main.rs, a [lib] section, or [[bin]] section must be present\n";
    for (line, code, output) in
        [("go test ./...", 1, go), ("cargo test", 101, cargo), ("make test", 2, go)]
    {
        let outcome = outcome(line, code, Some(TestReport::default()), output);
        assert_eq!(outcome, CiOutcome::NoTests, "{line}");
    }
    assert_eq!(outcome("go test ./...", 1, Some(red()), go), CiOutcome::Failed);
}

#[test]
fn cargo_outcomes_are_told_apart() {
    assert_eq!(outcome("cargo test", 0, Some(TestReport::default()), ""), CiOutcome::NoTests);
    let broken = TestReport { collection_error: true, ..TestReport::default() };
    let result = result("cargo test", 101, Some(broken), "");
    assert_eq!((result.outcome, result.tests), (CiOutcome::CollectionError, None));
    let offline = "error: failed to download from `x`\nCould not resolve host: index.crates.io";
    let offline = outcome("cargo test", 101, Some(TestReport::default()), offline);
    assert!(matches!(offline, CiOutcome::CouldNotStart { .. }));
}
