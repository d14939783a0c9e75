//! Every outcome on the base, for the run's CI and for a phase's own check.

use super::*;
use crate::ci::check_plan;
use crate::ci::results::{TestCase, TestResults, TestStatus};
use crate::phase::PhaseCi;

fn plan(is_own: bool) -> CiPlan {
    let phase = PhaseCi { test_cmd: Some("make test".to_owned()), ..PhaseCi::default() };
    CiPlan { is_own, ..check_plan(&phase).unwrap() }
}

fn run(outcome: CiOutcome, tail: &str) -> CiRun {
    let results = TestResults { exit_code: Some(1), ..TestResults::of(outcome) };
    CiRun { log_tail: tail.to_owned(), ..CiRun::of(results) }
}

fn with_tests(outcome: CiOutcome, complete: bool) -> CiRun {
    let mut run = run(outcome, "");
    let tests = [("a", TestStatus::Failed), ("b", TestStatus::Passed)];
    let tests = tests.map(|(id, status)| (id.to_owned(), TestCase::new(status, None)));
    run.results.tests = Some(tests.into_iter().collect());
    run.results.complete = complete;
    run
}

fn cannot_start() -> CiOutcome {
    CiOutcome::CouldNotStart { why: "`make` is not there".to_owned() }
}

fn stopped(run: &CiRun) -> String {
    match judge_base(&plan(false), run, true, false) {
        BaseState::Stop { why } => why,
        other => panic!("{other:?}"),
    }
}

fn notes(plan: &CiPlan, run: &CiRun, allow: bool) -> String {
    match judge_base(plan, run, true, allow) {
        BaseState::Ready { notes } => notes.join("\n"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_no_phase_could_pass_ends_the_drain() {
    let why = stopped(&run(CiOutcome::Failed, "one\n\nboom\n"));
    assert_eq!(
        why,
        "ci is red without any change: `make test` failed with exit code 1; last output: one | boom; no agent was \
         asked. Set ci.red_base: allow to start anyway, for runs that fix CI"
    );
    assert!(stopped(&run(CiOutcome::CollectionError, "")).contains("there was no output"));
    assert!(
        stopped(&run(cannot_start(), "x")).starts_with("ci cannot start: `make` is not there; no")
    );
    let late = run(CiOutcome::TimedOut { ran_out_seconds: 9 }, "waiting");
    assert!(
        stopped(&late)
            .contains("9 s for `make test`; last output: waiting; if the command watches")
    );
    let module = run(CiOutcome::Failed, "ModuleNotFoundError: No module named 'flask'");
    assert!(stopped(&module).contains("the Python module flask is not installed"));
    assert!(stopped(&with_tests(CiOutcome::Failed, false)).contains("failed with exit code 1 (a)"));
}

#[test]
fn it_goes_on_where_that_is_allowed() {
    for outcome in [CiOutcome::Failed, cannot_start(), CiOutcome::TimedOut { ran_out_seconds: 9 }] {
        let text = notes(&plan(false), &run(outcome, "boom"), true);
        assert!(text.contains("ci.red_base is allow"), "{text}");
    }
}

#[test]
fn single_red_tests_are_excused_and_named() {
    let red = with_tests(CiOutcome::Failed, true);
    let text = notes(&plan(false), &red, false);
    assert_eq!(text, "1 test of `make test` fails without any change and will be excused: a");
    let strict = judge_base(&plan(false), &red, false, false);
    assert!(matches!(strict, BaseState::Stop { .. }), "ci.baseline: false excuses nothing");
}

#[test]
fn nothing_to_test_yet_is_said_and_no_hindrance() {
    assert!(notes(&plan(false), &run(CiOutcome::NoTests, ""), false).starts_with("no tests yet"));
    assert_eq!(notes(&plan(false), &run(CiOutcome::Passed, ""), false), "");
}

#[test]
fn a_phases_own_check_may_be_red_before_its_work() {
    for outcome in
        [CiOutcome::Failed, CiOutcome::CollectionError, CiOutcome::TimedOut { ran_out_seconds: 9 }]
    {
        assert_eq!(notes(&plan(true), &run(outcome, "file not found: tests/new.py"), false), "");
    }
    assert_eq!(notes(&plan(true), &run(cannot_start(), "sh: 1: ./check.sh: not found"), false), "");
    let missing = run(cannot_start(), "sh: 1: jq: not found");
    let BaseState::Block { why } = judge_base(&plan(true), &missing, true, true) else { panic!() };
    assert!(why.contains("jq is not installed"), "{why}");
}
