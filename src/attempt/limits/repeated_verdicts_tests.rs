//! Tests of the circuit breaker: equal failures and limits.

use super::*;

fn failure(kind: FailureKind, message: &str, log: &str) -> Failure {
    let mut failure = Failure::new(kind, message);
    failure.detail.log_tail = log.to_owned();
    failure
}

fn signature(failure: &Failure) -> Option<Signature> {
    Signature::of(failure, Idle::No, &BTreeSet::new())
}

fn red(lines: &str) -> Signature {
    signature(&failure(FailureKind::CiFailed, "red", lines)).unwrap()
}

fn breach(paths: &[&str]) -> Signature {
    let paths: BTreeSet<String> = paths.iter().map(|path| (*path).to_owned()).collect();
    let failure = failure(FailureKind::ScopeBreach, "changed", "");
    Signature::of(&failure, Idle::No, &paths).unwrap()
}

fn met(repeats: &Repeats, phase: &str, signature: &Signature) -> Option<usize> {
    repeats.met(&PhaseId::new(phase), signature).map(|phases| phases.len())
}

#[test]
fn equal_failures_of_different_phases_are_counted_until_one_lands() {
    let repeats = Repeats::new(3, 4);
    let met = |phase: &str, lines: &str| met(&repeats, phase, &red(lines));
    assert_eq!(met("a", "boom\n"), None);
    assert_eq!(met("a", "boom"), None, "one phase counts once");
    assert_eq!(met("b", "boom"), None);
    assert_eq!(met("c", "bang"), None, "another failure is counted by itself");
    assert_eq!(met("d", "\nboom\n\n"), Some(3), "and nothing landed in between");
    repeats.reset();
    assert_eq!(met("e", "boom"), None, "a landing starts over");
    assert_eq!(met("f", "boom"), None);
    repeats.forget(&red("boom"));
    assert_eq!(met("g", "boom"), None, "failures of single phases restart the count");
}

#[test]
fn errors_are_equal_despite_variable_parts() {
    let repeats = Repeats::new(3, 4);
    let met = |phase: &str, error: &str| repeats.count_error(&PhaseId::new(phase), error);
    assert_eq!(met("a", "502 at 10:00:01"), None);
    assert_eq!(met("b", "502 at 10:00:02"), None);
    assert_eq!(met("b", "502 at 10:00:03"), None);
    let why = met("c", "502 at 10:00:04").unwrap();
    assert_eq!(why, "3 phases in a row (a, b, c) met the same error: 502 at 10:00:04");
}

#[test]
fn breaches_are_equal_if_their_paths_are_equal() {
    let repeats = Repeats::new(3, 4);
    let met = |phase: &str, paths: &[&str]| met(&repeats, phase, &breach(paths));
    assert!(["a", "b", "c"].iter().all(|phase| met(phase, &["log", "x/1.txt"]).is_none()));
    assert_eq!(met("d", &["log", "x/2.txt"]), None, "numbers in paths are no noise");
    assert_eq!(met("e", &["x/1.txt", "log"]), Some(4), "breaches have a limit of their own");
}

#[test]
fn zero_limit_and_sampling_count_nothing() {
    let never = Repeats::new(0, 0);
    assert!((0..9).all(|n| met(&never, &n.to_string(), &red("x")).is_none()));
    let sampling = Repeats::new(1, 1);
    sampling.set_sampling(true);
    assert_eq!(met(&sampling, "a", &red("x")), None);
    sampling.set_sampling(false);
    assert_eq!(met(&sampling, "a", &red("x")), Some(1));
}

#[test]
fn failures_of_a_single_phase_have_no_signature() {
    let none = BTreeSet::new();
    let of = |kind| Signature::of(&Failure::new(kind, "x"), Idle::Yes, &none);
    assert_eq!(of(FailureKind::NoChange), Some(Signature::NoChange));
    assert_eq!(signature(&Failure::new(FailureKind::NoChange, "x")), None);
    assert_eq!([of(FailureKind::MissingDeliverable), of(FailureKind::Unfixable)], [None, None]);
    let silent = failure(FailureKind::CiFailed, "red", "  \n");
    assert_eq!(signature(&silent), None, "no output, no signature");
}

#[test]
fn last_line_of_an_unstarted_agent_is_part_of_the_error() {
    let mut ended = failure(FailureKind::AgentFailed, "changed nothing", "a\nnot found\n");
    assert_eq!(error_of(&ended), "changed nothing");
    ended.exit_code = Some(127);
    assert_eq!(error_of(&ended), "changed nothing: not found");
}

#[test]
fn equal_output_counts_without_other_signs_of_work() {
    let none = BTreeSet::new();
    let of = |log: &str| {
        let failure = failure(FailureKind::NoChange, "the agent changed nothing", log);
        Signature::of(&failure, Idle::Perhaps, &none).unwrap()
    };
    assert_eq!(of("nothing at 10:00:01\n"), of("nothing at 10:00:02"));
    assert_eq!(of(""), of("\n"));
    assert_ne!(of("the parser is done"), of("the printer is done"));
}
