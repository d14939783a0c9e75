//! Invariants of parsing arbitrary bytes as a plan, for property tests and the fuzzer.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::{ImportError, parse_whole};
use crate::phase::plan::{Plan, PlanPhase, PlanRun};

/// Parses the bytes as each format, and as standard input.
pub fn bytes(input: &[u8]) {
    for file in ["plan.yaml", "plan.json", "plan.jsonl", "plan.md", "plan.csv", "-"] {
        match parse_whole(Path::new(file), input, None) {
            Ok(plan) => is_whole(&plan),
            Err(error) => names_source(&error),
        }
    }
}

fn names_source(error: &ImportError) {
    let message = error.to_string();
    assert!(
        message.contains("plan.")
            || message.contains("standard input")
            || message.contains("run `"),
        "{message}"
    );
}

/// Checks a plan: no empty runs, no duplicate ids, each spec has its id, and the written plan is read back unchanged.
fn is_whole(plan: &Plan) {
    let mut runs = BTreeSet::new();
    for run in &plan.runs {
        assert!(!run.phases.is_empty() && runs.insert(&run.run_id), "{:?}", run.run_id);
        let mut ids = BTreeSet::new();
        for phase in &run.phases {
            assert!(!phase.phase_id.as_str().trim().is_empty() && ids.insert(&phase.phase_id));
            assert_eq!(phase.spec.0["phase_id"], phase.phase_id.as_str());
            assert!(!phase.name.is_empty());
        }
        for phase in &run.phases {
            assert!(phase.depends_on.iter().all(|id| ids.contains(id) && *id != phase.phase_id));
        }
        // Items of other tools may name items that are not there, which a plan may not.
        if run.counts.format == "plan" {
            comes_back(run);
        }
    }
}

fn comes_back(run: &PlanRun) {
    let phases: Vec<&Value> = run.phases.iter().map(|phase| &phase.spec.0).collect();
    let file = json!({"phases": phases}).to_string();
    let again = parse_whole(Path::new("again.json"), file.as_bytes(), Some(&run.run_id))
        .unwrap_or_else(|error| panic!("{error}: {file}"));
    let facts = |phase: &PlanPhase| {
        let phase = phase.clone();
        (phase.phase_id, phase.name, phase.depends_on, phase.max_attempts, rounded(phase.spec.0))
    };
    let [again] = again.runs.as_slice() else { panic!("{file}") };
    assert!(again.phases.iter().map(facts).eq(run.phases.iter().map(facts)), "{file}");
}

/// Removes the last digits of fractions, which JSON parsing here does not promise to keep.
fn rounded(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            format!("{:.9e}", number.as_f64().unwrap_or_default()).into()
        }
        Value::Array(items) => items.into_iter().map(rounded).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(key, value)| (key, rounded(value))).collect()
        }
        other => other,
    }
}
