use serde_json::{Value, json};

use super::*;

fn limits() -> Limits<'static> {
    Limits {
        workspace: Some("/home/u/project"),
        max_timeout_seconds: 3600,
        unscoped_allowed: false,
    }
}

fn fix(spec: Value) -> Repair {
    autofix(&RawSpec(spec), None, &limits())
}

#[test]
fn the_worked_example_comes_out_byte_for_byte() {
    let repair = fix(
        json!({"phase_id":"frontend-build","category":"frontend","complexity":"medium",
        "deliverables":["src\\components\\App.tsx (main component)","src\\components\\Header.tsx",
            "src\\components\\Header.tsx","tests\\components\\App.test.tsx (20+ tests)"],"scope":{}}),
    );
    let mut spec = repair.spec;
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
    // Nothing of the author's is lost.
    assert_eq!(
        criteria,
        Some(json!([
            "src\\components\\App.tsx (main component)",
            "tests\\components\\App.test.tsx (20+ tests)"
        ]))
    );
}
