//! Every case of a comparison with the baseline.

use std::collections::BTreeMap;

use super::*;
use crate::ci::merged_runs::merge_rerun;
use crate::ci::results::TestStatus::{Failed, Passed, Skipped};

/// Test `a` is in `a.py`.
fn results(outcome: CiOutcome, tests: &[(&str, TestStatus)]) -> TestResults {
    let case = |id: &str, status| TestCase {
        message: if status == Failed { format!("{id} is wrong") } else { String::new() },
        ..TestCase::new(status, Some(format!("{id}.py")))
    };
    let tests: BTreeMap<_, _> =
        tests.iter().map(|(id, status)| ((*id).to_owned(), case(id, *status))).collect();
    TestResults { tests: Some(tests), ..TestResults::of(outcome) }
}

fn failed(tests: &[(&str, TestStatus)]) -> CiRun {
    CiRun::of(results(CiOutcome::Failed, tests))
}

fn passed(tests: &[(&str, TestStatus)]) -> CiRun {
    CiRun::of(results(CiOutcome::Passed, tests))
}

fn judge(now: &CiRun, base: &TestResults) -> Comparison {
    compare(now, Some(base), &|file| file == "mine.py")
}

fn names(comparison: &Comparison) -> Vec<&str> {
    comparison.blocking.iter().map(|test| test.name.as_str()).collect()
}

#[test]
fn only_what_was_not_red_before_blocks() {
    let base = results(CiOutcome::Failed, &[("old", Failed), ("broken", Passed)]);
    let now = failed(&[("old", Failed), ("broken", Failed), ("new", Failed)]);
    let comparison = judge(&now, &base);
    assert_eq!(comparison.decision, Decision::Fail);
    assert_eq!(names(&comparison), ["broken", "new"]);
    assert_eq!(comparison.excused, ["old"]);
    assert_eq!(comparison.passed_before.into_iter().collect::<Vec<_>>(), ["broken"]);
    assert_eq!(comparison.blocking[0].message, "broken is wrong");
}

#[test]
fn old_failures_alone_are_excused_by_name() {
    let base = results(CiOutcome::Failed, &[("old", Failed)]);
    let comparison = judge(&failed(&[("old", Failed), ("new", Passed)]), &base);
    assert_eq!(comparison.decision, Decision::Pass);
    assert_eq!(comparison.notes, ["failing without this change, too, and excused: old"]);
}

#[test]
fn without_a_baseline_everything_red_blocks() {
    let comparison = compare(&failed(&[("a", Failed), ("b", Passed)]), None, &|_| false);
    assert_eq!((comparison.decision.clone(), names(&comparison)), (Decision::Fail, vec!["a"]));
}

#[test]
fn a_run_that_stopped_halfway_excuses_nothing() {
    let base = results(CiOutcome::Failed, &[("old", Failed), ("later", Passed)]);
    let mut now = failed(&[("old", Failed)]);
    now.results.complete = false;
    let comparison = judge(&now, &base);
    assert_eq!((names(&comparison), comparison.gone.len()), (vec!["old"], 0));
}

#[test]
fn a_test_that_passed_and_is_gone_or_skipped_blocks() {
    let base = results(CiOutcome::Passed, &[("gone", Passed), ("off", Passed), ("stays", Passed)]);
    let comparison = judge(&passed(&[("off", Skipped), ("stays", Passed)]), &base);
    assert_eq!(comparison.decision, Decision::Fail);
    assert_eq!(comparison.gone, ["gone", "off"]);
}

#[test]
fn a_test_may_go_with_a_deliverable_or_if_it_was_not_green() {
    let base = results(CiOutcome::Failed, &[("mine", Passed), ("red", Failed), ("off", Skipped)]);
    assert_eq!(judge(&passed(&[("new", Passed)]), &base).decision, Decision::Pass);
}

#[test]
fn tests_hidden_by_what_blocks_are_not_named_again() {
    let base = results(CiOutcome::Passed, &[("m::a", Passed), ("m::b", Passed), ("n::c", Passed)]);
    let mut now = failed(&[("m", Failed)]);
    let module = now.results.tests.as_mut().unwrap().get_mut("m").unwrap();
    module.hides = Some("m::".to_owned());
    let comparison = judge(&now, &base);
    assert_eq!((names(&comparison), comparison.gone.clone()), (vec!["m"], vec!["n::c".to_owned()]));
}

#[test]
fn no_runner_any_more_means_that_its_tests_are_gone() {
    let base = results(CiOutcome::Passed, &[("a", Passed)]);
    let now = CiRun::of(TestResults::of(CiOutcome::NotConfigured));
    assert_eq!(judge(&now, &base).gone, ["a"]);
    let never = TestResults::of(CiOutcome::NotConfigured);
    assert_eq!(judge(&now, &never).decision, Decision::Pass);
}

#[test]
fn without_single_results_the_exit_code_decides() {
    let red = TestResults { exit_code: Some(2), ..TestResults::of(CiOutcome::Failed) };
    let now = CiRun::of(red.clone());
    let comparison = judge(&now, &red);
    assert_eq!(comparison.decision, Decision::Fail);
    assert!(comparison.notes[0].contains("CI fails without this change, too"), "{comparison:?}");
    let green = TestResults::of(CiOutcome::Passed);
    assert_eq!(judge(&now, &green).notes, [""; 0]);
    assert_eq!(judge(&CiRun::of(green), &red).decision, Decision::Pass);
}

#[test]
fn red_without_a_red_test_blocks() {
    let base = results(CiOutcome::Failed, &[("a", Passed)]);
    assert_eq!(judge(&failed(&[("a", Passed)]), &base).decision, Decision::Fail);
}

#[test]
fn more_failures_in_a_summary_block_whatever_the_exit_code() {
    let with = |failed: u64| TestResults {
        exit_code: Some(0),
        counts: [("pytest".to_owned(), 2)].into(),
        failed: [("pytest".to_owned(), failed)].into(),
        ..TestResults::of(CiOutcome::Passed)
    };
    let decision = |now: u64, base: u64| judge(&CiRun::of(with(now)), &with(base)).decision;
    assert_eq!((decision(1, 0), decision(2, 1)), (Decision::Fail, Decision::Fail));
    assert_eq!((decision(1, 1), decision(0, 1)), (Decision::Pass, Decision::Pass));
    assert_eq!(compare(&CiRun::of(with(1)), None, &|_| false).decision, Decision::Pass);
}

#[test]
fn no_tests_blocks_unless_there_were_none_before() {
    let now = CiRun::of(TestResults::of(CiOutcome::NoTests));
    for before in [CiOutcome::NoTests, CiOutcome::NotConfigured] {
        assert_eq!(judge(&now, &TestResults::of(before)).decision, Decision::Pass);
    }
    let base = results(CiOutcome::Passed, &[("a", Passed)]);
    assert_eq!(judge(&now, &base).gone, ["a"]);
    assert_eq!(compare(&now, None, &|_| false).decision, Decision::Fail);
}

#[test]
fn what_cannot_start_at_the_base_either_is_systemic() {
    let outcome = CiOutcome::CouldNotStart { why: "no pytest".to_owned() };
    let now = CiRun::of(TestResults::of(outcome));
    let systemic = Decision::Systemic { why: "no pytest".to_owned() };
    assert_eq!(judge(&now, &now.results).decision, systemic);
    assert_eq!(judge(&now, &TestResults::of(CiOutcome::Passed)).decision, Decision::Fail);
}

#[test]
fn a_stop_says_nothing_about_the_phase() {
    let now = CiRun::of(TestResults::of(CiOutcome::Stopped));
    assert_eq!(judge(&now, &TestResults::of(CiOutcome::Passed)).decision, Decision::Stopped);
    assert!(!needs_baseline(&now));
}

#[test]
fn what_passes_the_second_time_is_flaky_and_said() {
    let base = results(CiOutcome::Passed, &[("shaky", Passed)]);
    let first = failed(&[("shaky", Failed), ("ok", Passed)]);
    let failing = judge(&first, &base).to_rerun();
    assert_eq!(failing, ["shaky"]);
    let merged = merge_rerun(first, &passed(&[("shaky", Passed)]), &failing);
    assert_eq!(merged.outcome(), &CiOutcome::Passed);
    let comparison = judge(&merged, &base);
    assert_eq!(comparison.decision, Decision::Pass);
    assert_eq!(comparison.notes, ["flaky, passed when rerun: shaky"]);
}

#[test]
fn what_fails_again_stays_red_whatever_else_passes() {
    let first = failed(&[("a", Failed), ("b", Failed), ("old", Failed)]);
    let again = failed(&[("a", Passed), ("b", Failed), ("old", Passed)]);
    let merged = merge_rerun(first, &again, &["a".to_owned(), "b".to_owned()]);
    assert_eq!(merged.outcome(), &CiOutcome::Failed);
    assert_eq!(merged.flaky, ["a"]);
    assert!(merged.results.is_red("b") && merged.results.is_red("old"));
}

#[test]
fn a_second_run_that_came_to_nothing_changes_nothing() {
    let first = failed(&[("a", Failed)]);
    let timed_out = CiRun::of(TestResults::of(CiOutcome::TimedOut { ran_out_seconds: 1 }));
    assert_eq!(merge_rerun(first.clone(), &timed_out, &["a".to_owned()]), first);
}

#[test]
fn a_second_run_that_was_stopped_leaves_it_open() {
    let stopped = CiRun::of(TestResults::of(CiOutcome::Stopped));
    let merged = merge_rerun(failed(&[("a", Failed)]), &stopped, &["a".to_owned()]);
    assert_eq!(judge(&merged, &TestResults::of(CiOutcome::Passed)).decision, Decision::Stopped);
}

#[test]
fn a_baseline_outlives_the_store() {
    let base = results(CiOutcome::TimedOut { ran_out_seconds: 9 }, &[("a", Failed), ("b", Passed)]);
    let json = serde_json::to_string(&base).unwrap();
    assert_eq!(serde_json::from_str::<TestResults>(&json).unwrap(), base);
}
