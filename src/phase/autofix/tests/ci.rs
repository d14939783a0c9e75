//! The CI part of a spec: its shape, its timeouts, and when timeouts are raised.

use super::*;
use crate::phase::FailureKind;

fn timeouts(spec: &Value) -> (u64, u64) {
    let pytest = &spec["scope"]["ci"]["pytest"];
    (pytest["timeout_seconds"].as_u64().unwrap(), pytest["per_test_timeout"].as_u64().unwrap())
}

fn ci_failure(kind: FailureKind, exit_code: Option<i32>, ran_out: Option<u64>) -> Failure {
    let mut failure = Failure::new(kind, "CI");
    failure.exit_code = exit_code;
    failure.detail.timeout_seconds = ran_out;
    failure
}

#[test]
fn test_auto_fix_adds_ci_and_marks_applied() {
    let spec =
        fix(json!({"category": "docs", "complexity": "low", "deliverables": ["docs/a.md"]})).spec;
    assert_eq!(
        spec["scope"],
        json!({"paths": ["docs"], "ci": {"pytest": {"timeout_seconds": 600, "per_test_timeout": 60}},
            "_autofix_v1_applied": true})
    );
}

#[test]
fn test_auto_fix_escalates_ci_on_prior_timeout() {
    let raw = RawSpec(json!({"complexity": "medium", "deliverables": ["src/a.py"]}));
    let first = autofix(&raw, None, &limits());
    assert_eq!(timeouts(&first.spec), (900, 60));
    let failure = ci_failure(FailureKind::CiTimeout, None, Some(900));
    let raised = autofix(&RawSpec(Value::clone(&first.spec)), Some(&failure), &limits());
    assert_eq!(timeouts(&raised.spec), (1350, 90));
    assert_eq!(raised.result.unwrap().ci().timeout_seconds, 1350);
    // The same failure raises the timeout once; the next failure again, up to the limit.
    let again = autofix(&RawSpec(Value::clone(&raised.spec)), Some(&failure), &limits());
    assert_eq!((again.spec.clone(), again.fixes), (raised.spec, vec![]));
    let next = ci_failure(FailureKind::CiTimeout, None, Some(1350));
    assert_eq!(
        timeouts(&autofix(&RawSpec(Value::clone(&again.spec)), Some(&next), &limits()).spec),
        (2025, 90)
    );
    let last = ci_failure(FailureKind::CiTimeout, None, Some(3000));
    assert_eq!(
        timeouts(&autofix(&RawSpec(Value::clone(&again.spec)), Some(&last), &limits()).spec),
        (3600, 90)
    );
}

#[test]
fn only_a_ci_failure_by_timeout_raises_the_timeout() {
    use FailureKind as K;
    for (kind, exit_code, raised) in [
        (K::CiTimeout, None, true),
        (K::CiFailed, Some(143), true),
        (K::CiFailed, Some(124), true),
        (K::CiFailed, Some(1), false),
        (K::CiFailed, Some(137), false),
        (K::AgentTimeout, Some(143), false),
        (K::Imported, Some(124), false),
    ] {
        let raw = RawSpec(json!({"complexity": "low", "deliverables": ["src/a.py"]}));
        let failure = ci_failure(kind, exit_code, Some(600));
        let spec = autofix(&raw, Some(&failure), &limits()).spec;
        let expected = if raised { (1200, 90) } else { (600, 60) };
        assert_eq!(timeouts(&spec), expected, "{kind:?} {exit_code:?}");
    }
}

#[test]
fn escalation_without_a_known_timeout_also_happens_once() {
    let raw = RawSpec(json!({"complexity": "high", "deliverables": ["src/a.py"]}));
    let failure = ci_failure(FailureKind::CiFailed, Some(143), None);
    let once = autofix(&raw, Some(&failure), &limits()).spec;
    assert_eq!(timeouts(&once), (1800, 90));
    assert_eq!(autofix(&RawSpec(Value::clone(&once)), Some(&failure), &limits()).spec, once);
}

#[test]
fn ci_settings_of_the_author_are_kept_and_never_lowered() {
    let spec = json!({"deliverables": ["src/a.py"],
        "scope": {"ci": {"pytest": {"timeout_seconds": 5000}, "log_on_success": true}}});
    let failure = ci_failure(FailureKind::CiTimeout, None, Some(5000));
    let spec = autofix(&RawSpec(spec), Some(&failure), &limits()).spec;
    assert_eq!(timeouts(&spec), (5000, 90));
    // Unknown settings go to the author's text.
    assert_eq!(spec["acceptance_criteria"], json!(["scope.ci: log_on_success: true"]));
}

#[test]
fn a_phases_own_ci_goes_before_its_scopes() {
    let value = json!({"deliverables": ["src/a.py"], "test_cmd": "pytest -q", "ci_args": ["-k", "a"],
        "ci": {"pytest": {"timeout_seconds": 300}, "command": "make check"},
        "scope": {"ci": {"pytest": {"timeout_seconds": 700, "per_test_timeout": 5}, "command": ["x"]}}});
    let spec = fixed(value.clone());
    let ci = spec.ci();
    assert_eq!((ci.timeout_seconds, ci.per_test_timeout), (300, 5));
    assert_eq!(
        ci.command.as_deref(),
        Some(["sh", "-c", "make check"].map(str::to_owned).as_slice())
    );
    assert_eq!(
        (ci.test_cmd.as_deref(), ci.args.as_slice()),
        (Some("pytest -q"), ["-k", "a"].map(str::to_owned).as_slice())
    );
    let failure = ci_failure(FailureKind::CiTimeout, None, Some(300));
    let raised = autofix(&RawSpec(value), Some(&failure), &limits()).spec;
    assert_eq!(raised["ci"]["pytest"]["timeout_seconds"], 1200);
    assert_eq!(raised["scope"]["ci"]["pytest"]["timeout_seconds"], 700);
}

#[test]
fn timeouts_follow_complexity_and_category() {
    for (complexity, category, seconds) in [
        ("low", "docs", 600),
        ("SIMPLE", "docs", 600),
        ("medium", "", 900),
        ("maintenance", "", 900),
        ("whatever", "", 900),
        ("HIGH", "", 1200),
        ("MEDIUM-HIGH", "", 1200),
        ("critical", "", 1200),
        ("medium", "integration", 1200),
        ("medium", "frontend_build", 1200),
        ("medium", "Frontend", 1200),
        ("medium", "docker", 1200),
        ("medium", "tests", 1100),
        ("low", "test", 800),
        ("low", "testing", 800),
        ("low", "frontendish", 600),
    ] {
        let spec =
            json!({"complexity": complexity, "category": category, "deliverables": ["a.py"]});
        assert_eq!(timeouts(&fix(spec).spec).0, seconds, "{complexity} {category}");
    }
}

#[test]
fn odd_ci_settings_are_brought_into_shape_and_their_words_kept() {
    for (ci, expected, criterion) in [
        (json!({"pytest": {"timeout_seconds": "450"}}), 450, None),
        (json!({"pytest": {"timeout_seconds": 450.2}}), 451, None),
        (json!({"pytest": 450}), 450, None),
        (
            json!({"pytest": {"timeout_seconds": "ten minutes"}}),
            900,
            Some("scope.ci: timeout_seconds: ten minutes"),
        ),
        (json!({"pytest": {"timeout_seconds": -1}}), 900, Some("scope.ci: timeout_seconds: -1")),
        (json!({"pytest": true}), 900, Some("scope.ci.pytest: true")),
        (json!(false), 900, Some("scope.ci: false")),
        (json!(null), 900, None),
    ] {
        let repair = fix(json!({"deliverables": ["a.py"], "scope": {"ci": ci.clone()}}));
        let spec = repair.result.unwrap();
        assert_eq!(spec.ci().timeout_seconds, expected, "{ci}");
        assert_eq!(spec.acceptance_criteria().first().map(String::as_str), criterion, "{ci}");
    }
}

/// An empty list does not hide a check under another name, and gives the same result when read twice.
#[test]
fn an_empty_list_is_no_check() {
    for (spec, check) in [
        (json!({"test_cmd": [null], "scope": {"test_cmd": [""]}}), None),
        (json!({"test_cmd": [[null]], "scope": {"test_cmd": "make check"}}), Some("make check")),
        (json!({"test_command": [null], "scope": {"test_cmd": "make check"}}), Some("make check")),
        (json!({"ci": {"test_cmd": [""], "test_command": "make check"}}), Some("make check")),
    ] {
        let mut spec = spec;
        spec["deliverables"] = json!(["src/a.py"]);
        let once = fix(spec.clone());
        let found = once.result.as_ref().unwrap().ci().test_cmd.as_deref();
        assert_eq!(found, check, "{spec}");
        let twice = fix(Value::clone(&once.spec));
        assert_eq!((&twice.spec, &twice.fixes), (&once.spec, &Vec::new()), "{spec}");
    }
}
