//! Specs as people write them and the repaired results: a whole spec here, its parts in separate files.

mod ci;
mod deliverables;
mod scope;

use serde_json::{Value, json};

use super::*;
use crate::phase::spec::{Complexity, FixedSpec};

fn limits() -> Limits<'static> {
    Limits {
        workspace: Some("/home/u/project"),
        max_timeout_seconds: 3600,
        unscoped: Unscoped::Refuse,
    }
}

fn fix(spec: Value) -> Repair {
    autofix(&RawSpec(spec), None, &limits())
}

fn fixed(spec: Value) -> FixedSpec {
    fix(spec).result.unwrap()
}

#[test]
fn the_worked_example_comes_out_byte_for_byte() {
    let repair = fix(
        json!({"phase_id":"frontend-build","category":"frontend","complexity":"medium",
        "deliverables":["src\\components\\App.tsx (main component)","src\\components\\Header.tsx",
            "src\\components\\Header.tsx","tests\\components\\App.test.tsx (20+ tests)"],"scope":{}}),
    );
    let mut spec = Value::clone(&repair.spec);
    let criteria = spec.as_object_mut().and_then(|spec| spec.shift_remove("acceptance_criteria"));
    assert_eq!(
        spec.to_string(),
        concat!(
            r#"{"phase_id":"frontend-build","category":"frontend","complexity":"medium","#,
            r#""deliverables":["src/components/App.tsx","src/components/Header.tsx","tests/components/App.test.tsx"],"#,
            r#""scope":{"paths":["src/components","tests/components"],"#,
            r#""ci":{"pytest":{"timeout_seconds":1200,"per_test_timeout":60}},"_autofix_v1_applied":true}}"#,
        )
    );
    // None of the author's text is lost.
    let expected = [
        "src\\components\\App.tsx (main component)",
        "tests\\components\\App.test.tsx (20+ tests)",
    ];
    assert_eq!(criteria, Some(json!(expected)));
}

#[test]
fn a_spec_that_is_no_object_is_unfixable_and_names_its_type() {
    for (value, name) in [
        (json!(null), "null"),
        (json!(7), "a number"),
        (json!(true), "a boolean"),
        (json!("do it"), "a text"),
        (json!(["src/a.py"]), "a list"),
    ] {
        let repair = fix(value.clone());
        assert_eq!(
            repair.result.unwrap_err().0,
            format!("the phase is {name}, not an object with fields")
        );
        assert_eq!((&*repair.spec, repair.fixes), (&value, vec![]));
    }
}

#[test]
fn other_peoples_names_are_mapped_where_they_stand() {
    let spec = fix(json!({"id": "p1", "title": "T", "goal": "G", "task_category": "docs",
        "metadata": {"complexity": "high", "tokens": 3}, "output_file": "a.py", "mine": 1}))
    .spec;
    let keys: Vec<&str> = spec.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "phase_id",
            "name",
            "description",
            "category",
            "metadata",
            "deliverables",
            "mine",
            "complexity",
            "scope"
        ]
    );
    assert_eq!(spec["complexity"], "high");
    assert_eq!(spec["metadata"], json!({"tokens": 3}));
    let both = fix(json!({"description": "D", "goal": "G", "deliverables": ["a.py"]})).spec;
    assert_eq!((&both["description"], &both["goal"]), (&json!("D"), &json!("G")));
}

#[test]
fn the_typed_fields_agree_with_the_json() {
    let spec =
        fixed(json!({"name": "Add Health Check!", "complexity": "SIMPLE", "category": "docs",
        "deliverables": ["a.py"], "depends_on": ["p0"], "max_attempts": "5", "agent": "x",
        "allow_no_change": true, "note": "kept"}));
    assert_eq!((spec.phase_id().as_str(), spec.name()), ("add-health-check", "Add Health Check!"));
    assert_eq!((spec.complexity(), spec.category()), (Complexity::Low, "docs"));
    assert_eq!((spec.depends_on()[0].as_str(), spec.max_attempts()), ("p0", Some(5)));
    assert_eq!((spec.agent(), spec.allow_no_change()), (Some("x"), true));
    assert_eq!((spec.deliverables()[0].as_str(), spec.scope_paths()[0].as_str()), ("a.py", "a.py"));
    assert_eq!(spec.json()["note"], "kept");
    let notes = fixed(json!({"deliverables": ["a.py"], "depends_on": {"packages": ["x"]}}));
    assert!(notes.depends_on().is_empty());
}

#[test]
fn an_invalid_number_of_attempts_is_reported_and_removed() {
    let with = |tries: Value| fix(json!({"deliverables": ["a.py"], "max_attempts": tries}));
    for (tries, shown) in [
        (json!(0), "0"),
        (json!(-3), "-3"),
        (json!(1e30), "1e+30"),
        (json!(2.5), "2.5"),
        (json!("often"), "a text"),
    ] {
        let once = with(tries);
        let expected = format!(
            "max_attempts: {shown} is not a number of attempts; using executor.max_attempts"
        );
        assert!(once.fixes.contains(&expected), "{:?}", once.fixes);
        let again = fix(Value::clone(&once.spec));
        assert_eq!((&again.spec, &again.fixes), (&once.spec, &vec![]));
        assert_eq!(once.result.unwrap().max_attempts(), None);
    }
    assert_eq!(with(json!("often")).spec["acceptance_criteria"], json!(["max_attempts: often"]));
    for tries in [json!(2), json!(" 2 "), json!(null)] {
        let fixes = with(tries).fixes;
        assert!(!fixes.iter().any(|fix| fix.starts_with("max_attempts")), "{fixes:?}");
    }
}

#[test]
fn a_perfect_spec_gets_defaults_and_no_repair() {
    let repair = fix(json!({"phase_id": "p", "deliverables": ["src/a.py"]}));
    assert_eq!(repair.fixes, [""; 0]);
    let defaults = [
        "scope.paths: src from the deliverables",
        "scope.ci.pytest.timeout_seconds: 900",
        "scope.ci.pytest.per_test_timeout: 60",
        "scope: marked as checked",
    ];
    assert_eq!(repair.defaults, defaults);
    let repair = fix(json!({"phase_id": "p", "description": "Clean up src/a.py"}));
    assert_eq!(repair.fixes, ["scope.paths: src/a.py from paths named in the text"]);
}

#[test]
fn a_repaired_spec_needs_no_repair() {
    let once = fix(
        json!({"phase_id": "p", "deliverables": ["src\\a.py (x)", "Nice"], "scope": {"paths": ["."]}}),
    );
    let twice = fix(Value::clone(&once.spec));
    assert_eq!((twice.spec, twice.fixes), (once.spec, Vec::new()));
    assert_eq!(twice.result, once.result);
}
