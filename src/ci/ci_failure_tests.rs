//! Messages for every outcome.

use super::*;
use crate::ci::results::{TestCase, TestResults};
use crate::ci::{check_plan, compare};
use crate::phase::PhaseCi;

fn plan() -> CiPlan {
    let phase = PhaseCi { test_cmd: Some("make test".to_owned()), ..PhaseCi::default() };
    check_plan(&phase).unwrap()
}

fn results(outcome: CiOutcome, tests: &[(&str, TestStatus)]) -> TestResults {
    let case = |status| TestCase { message: "boom".into(), ..TestCase::new(status, None) };
    let tests = tests.iter().map(|(id, status)| ((*id).to_owned(), case(*status))).collect();
    TestResults { tests: Some(tests), exit_code: Some(1), ..TestResults::of(outcome) }
}

fn of(now: TestResults, base: Option<TestResults>) -> Option<Failure> {
    let run = CiRun { log_tail: "the end".to_owned(), ..CiRun::of(now) };
    describe_failure(&plan(), &run, &compare(&run, base.as_ref(), &|_| false))
}

#[test]
fn failing_tests_come_by_name_and_with_their_messages() {
    use TestStatus::{Failed, Passed};
    let before = results(CiOutcome::Passed, &[("a", Passed), ("b", Passed), ("c", Passed)]);
    let now = results(CiOutcome::Failed, &[("a", Failed), ("b", Failed), ("c", Passed)]);
    let failure = of(now, Some(before)).unwrap();
    assert_eq!(failure.message, "2 tests fail that passed before: a, b");
    assert_eq!((failure.kind, failure.exit_code), (FailureKind::CiFailed, Some(1)));
    assert_eq!(failure.detail.failing_tests[1].message, "boom");
    assert_eq!(failure.detail.log_tail, "the end");
}

#[test]
fn new_tests_are_not_said_to_have_passed_before() {
    let now = results(CiOutcome::Failed, &[("a", TestStatus::Failed)]);
    assert_eq!(of(now, None).unwrap().message, "1 test fails: a");
}

#[test]
fn many_names_are_cut() {
    let names: Vec<String> = (0..300).map(|n| format!("t{n:03}")).collect();
    let tests: Vec<_> = names.iter().map(|name| (name.as_str(), TestStatus::Failed)).collect();
    let failure = of(results(CiOutcome::Failed, &tests), None).unwrap();
    assert_eq!(failure.message, "300 tests fail: t000, t001, t002, t003, t004 and 295 more");
    let kept = failure.detail.failing_tests;
    assert_eq!(kept.len(), MOST_TESTS);
    assert_eq!(kept.iter().filter(|test| !test.message.is_empty()).count(), MOST_MESSAGES);
}

#[test]
fn gone_tests_are_named() {
    let before =
        results(CiOutcome::Passed, &[("a", TestStatus::Passed), ("b", TestStatus::Passed)]);
    let now = results(CiOutcome::Passed, &[("b", TestStatus::Passed)]);
    let failure = of(now, Some(before)).unwrap();
    assert_eq!(failure.message, "1 test that passed before is gone or skipped: a");
    assert_eq!(failure.detail.failing_tests[0].name, "a");
}

#[test]
fn each_outcome_has_its_kind_and_its_words() {
    let mut lines = Vec::new();
    for outcome in [
        CiOutcome::Failed,
        CiOutcome::TimedOut { ran_out_seconds: 900 },
        CiOutcome::NoTests,
        CiOutcome::CollectionError,
        CiOutcome::CouldNotStart { why: "`mkae` ended with exit code 127".to_owned() },
    ] {
        let timed_out = matches!(outcome, CiOutcome::TimedOut { .. });
        let exit_code = (!timed_out).then_some(143);
        let failure = of(TestResults { exit_code, ..TestResults::of(outcome) }, None).unwrap();
        assert_eq!(failure.detail.timeout_seconds, timed_out.then_some(900));
        lines.push(format!("{}: {}", failure.kind.as_str(), failure.message));
    }
    insta::assert_snapshot!(lines.join("\n"), @r"
    ci_failed: `make test` failed with exit code 143 (signal 15)
    ci_timeout: ci ran out of time: 900 s for `make test`
    ci_no_tests: no tests ran: `make test`
    ci_collection_error: `make test` could not load or compile the tests
    ci_cannot_start: ci could not start: `mkae` ended with exit code 127
    ");
}

#[test]
fn what_passes_or_is_not_the_phases_fault_is_no_failure() {
    for outcome in [CiOutcome::Passed, CiOutcome::NotConfigured, CiOutcome::Stopped] {
        assert_eq!(of(TestResults::of(outcome), None), None);
    }
    let cannot = TestResults::of(CiOutcome::CouldNotStart { why: "x".to_owned() });
    assert_eq!(of(cannot.clone(), Some(cannot)), None);
}

#[test]
fn a_module_that_was_broken_before_does_not_name_the_failure() {
    let case = TestCase { hides: Some("m::".into()), ..TestCase::red(None, "") };
    let mut before = results(CiOutcome::CollectionError, &[("a", TestStatus::Passed)]);
    before.tests.as_mut().unwrap().insert("m".into(), case.clone());
    let mut now = results(CiOutcome::CollectionError, &[("a", TestStatus::Failed)]);
    now.tests.as_mut().unwrap().insert("m".into(), case);
    let failed = of(now.clone(), Some(before)).unwrap();
    assert_eq!(failed.kind, FailureKind::CiFailed);
    assert_eq!(of(now, None).unwrap().kind, FailureKind::CiCollectionError);
}
