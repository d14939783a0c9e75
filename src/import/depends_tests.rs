//! Keys of a plan that become dependencies, and notes on those that do not.

use std::path::Path;

use serde_json::json;

use super::*;

fn draft(phases: Value) -> super::super::PlanDraft {
    let plan = json!({"run_id": "r", "phases": phases}).to_string();
    super::super::parse(Path::new("p.json"), plan.as_bytes(), None).unwrap()
}

fn depends_on(phases: Value) -> Result<Vec<Vec<String>>, String> {
    let plan = draft(phases).resolve(&Existing::default()).map_err(|e| e.to_string())?;
    let ids = |ids: &[PhaseId]| ids.iter().map(ToString::to_string).collect();
    Ok(plan.runs[0].phases.iter().map(|phase| ids(&phase.depends_on)).collect())
}

#[test]
fn lists_of_strings_and_one_string_gate() {
    let phases = json!([{"id": "a"}, {"id": "b", "depends_on": "a"},
        {"id": "c", "depends_on": ["b", "a", "b"]}, {"id": 1.5, "depends_on": []},
        {"id": "d", "depends_on": [1.5]}]);
    assert_eq!(
        depends_on(phases).unwrap(),
        [vec![], vec!["a"], vec!["b", "a"], vec![], vec!["1.5"]]
    );
}

#[test]
fn other_names_for_it_gate_too() {
    for key in [
        "dependsOn",
        "depends-on",
        "blocked_by",
        "blockedBy",
        "after",
        "requires",
        "needs",
        "prerequisites",
        "dependencies",
        "waits_for",
        "waitsFor",
        "wait for",
        "predecessors",
        "blocked_on",
        "Blocked By",
        "DependsOn",
        "depends on",
        "DEPENDS-ON",
        "PreRequisites",
    ] {
        for given in [json!(["a"]), json!("a"), json!([{"id": "a"}])] {
            assert_eq!(
                depends_on(json!([{"id": "a"}, {"id": "b", key: given}])).unwrap()[1],
                ["a"],
                "{key}"
            );
        }
    }
    let nested = json!([{"id": "a"}, {"id": "b", "scope": {"depends_on": ["a"]}}, {"id": 12}, {"id": "c", "blockedBy": ["#12"]}]);
    assert_eq!(depends_on(nested).unwrap(), [vec![], vec!["a"], vec![], vec!["12"]]);
    for key in ["dependsOn", "blockedBy", "after"] {
        let error = depends_on(json!([{"id": "b", key: ["nope-nope"]}])).unwrap_err();
        assert!(
            error.contains(&format!(
                "depends on `nope-nope`, which run `r` does not have; `{key}` takes ids"
            )),
            "{error}"
        );
    }
    // Beside phases, or similar to a phase id: meant as a phase.
    for requires in [json!(["a", "postgres"]), json!(["first-phasse"])] {
        let phases = json!([{"id": "a"}, {"id": "first-phase"}, {"id": "b", "requires": requires}]);
        assert!(depends_on(phases).is_err());
    }
}

#[test]
fn a_possible_package_name_is_reported_and_not_refused() {
    let phases = json!([{"id": "a"}, {"id": "b", "requires": ["docker", "node >= 20"], "dependencies": ["a", "postgres"]},
        {"id": "c", "dependencies": {"python": ["requests"]}}, {"id": "d", "status": "done", "depends_on": ["archived"]}]);
    let plan = draft(phases).resolve(&Existing::default()).unwrap();
    let notes: Vec<&str> =
        plan.runs[0].phases.iter().map(|phase| phase.note.as_deref().unwrap_or_default()).collect();
    assert_eq!(
        notes,
        [
            "",
            "`requires` has entries that are not phases: docker, node >= 20; `dependencies` has entries that are not phases: postgres",
            r#"`dependencies` has entries that are not phases: {"python":["requests"]}"#,
            "done in p.json; `depends_on` has entries that are not phases: archived",
        ]
    );
}

#[test]
fn all_errors_are_reported_at_once() {
    let phases = json!([{"id": "a", "depends_on": ["x"]}, {"id": "b", "blockedBy": ["y", "z"]}, 3, {"id": "a"},
        {"id": "c", "depends_on": "d"}, {"id": "d", "depends_on": "c"}]);
    let error = depends_on(phases).unwrap_err();
    for part in [
        "phase 3: expected a phase",
        "`a` appears twice",
        "on `x`",
        "on `y`",
        "on `z`",
        "c -> d -> c",
        "6 errors: nothing was imported",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn other_shapes_stay_text() {
    let phases = json!([{"id": "a"}, {"id": "b", "depends_on": {"python": ["a"]}},
        {"id": "c", "depends_on": [{"phase": "a"}]}, {"id": "d", "dependencies": ["requests>=2", "a"]},
        {"id": "e", "scope": {"dependencies": {"internal": ["a"]}}}]);
    assert_eq!(depends_on(phases).unwrap(), [vec![], vec![], vec![], vec!["a"], vec![]]);
}

#[test]
fn dependencies_without_effect_are_reported() {
    let phases = json!([{"id": "a"}, {"id": "b", "depends_on": "needs network, see README"},
        {"id": "c", "depends_on": [{"phase_id": "a"}, null]}, {"id": "d", "depends_on": ["a", {"pkg": "x"}]},
        {"id": "e f", "depends_on": "a, c"}, {"id": "g", "depends_on": "e f"}]);
    let plan = draft(phases).resolve(&Existing::default()).unwrap();
    let resolved = plan.runs[0].phases.iter().map(|phase| {
        let ids: Vec<&str> = phase.depends_on.iter().map(PhaseId::as_str).collect();
        (ids.join(" "), phase.note.as_deref().unwrap_or_default())
    });
    let expected = [
        ("", ""),
        ("", "`depends_on` has entries that are not phases: needs network, see README"),
        ("a", ""),
        ("a", "`depends_on` has entries that are not phases: {\"pkg\":\"x\"}"),
        ("a c", ""),
        ("e f", ""),
    ];
    assert!(resolved.eq(expected.map(|(ids, note)| (ids.to_owned(), note))));
    let refused = |needs: Value| depends_on(json!([{"id": "b", "depends_on": needs}])).unwrap_err();
    assert!(refused(json!("x, y")).contains("depends on `x`"));
    assert!(refused(json!(5)).contains("depends on `5`"));
    assert!(refused(json!([{"phase_id": "x"}])).contains("depends on `x`"));
}

#[test]
fn an_unknown_name_is_refused_with_both_names_and_the_nearest() {
    let error = depends_on(json!([{"id": "setup"}, {"id": "b", "depends_on": ["setpu"]}]));
    assert_eq!(
        error.unwrap_err(),
        "p.json, phase 2: phase `b` depends on `setpu`, which run `r` does not have; \
         did you mean `setup`?"
    );
}

#[test]
fn a_cycle_is_shown() {
    let phases = json!([{"id": "x", "depends_on": "b"}, {"id": "a", "depends_on": "b"},
        {"id": "b", "depends_on": "c"}, {"id": "c", "depends_on": "a"}]);
    let error = depends_on(phases).unwrap_err();
    assert!(error.contains("b -> c -> a -> b"), "{error}");
    let error = depends_on(json!([{"id": "a", "depends_on": "a"}])).unwrap_err();
    assert!(error.contains("a -> a"), "{error}");
}

#[test]
fn a_diamond_and_a_long_chain_are_no_cycle() {
    let diamond = json!([{"id": "a"}, {"id": "b", "depends_on": "a"},
        {"id": "c", "depends_on": "a"}, {"id": "d", "depends_on": ["b", "c"]}]);
    depends_on(diamond).unwrap();
    let chain = (0..5_000).map(|n| json!({"id": n, "depends_on": (n < 4_999).then_some(n + 1)}));
    depends_on(chain.collect()).unwrap();
}

#[test]
fn stored_phases_may_be_dependencies_and_part_of_a_cycle() {
    let mut existing = Existing::default();
    let stored = HashMap::from([(PhaseId::new("old"), vec![PhaseId::new("new")])]);
    existing.runs.insert(RunId::new("r"), stored);
    let error = draft(json!([{"id": "new", "depends_on": "old"}])).resolve(&existing);
    assert!(error.unwrap_err().to_string().contains("new -> old -> new"));
    draft(json!([{"id": "other", "depends_on": "old"}])).resolve(&existing).unwrap();
}

#[test]
fn keys_in_metadata_and_fields_gate_too() {
    for (object, key) in [("metadata", "waitsFor"), ("fields", "Depends On"), ("Meta", "blockedBy")]
    {
        let phases = json!([{"id": "a"}, {"id": "b", object: {key: ["a"]}}]);
        assert_eq!(depends_on(phases).unwrap()[1], ["a"], "{object}.{key}");
    }
}

#[test]
fn a_key_that_looks_like_a_dependency_and_is_not_read_is_named() {
    let phases = json!([{"id": "a", "blocks": ["b"]}, {"id": "b", "dependsUpon": ["a", "x"]},
        {"id": "c", "requirements": ["docker"], "blocking_reason": "none", "dependency_notes": "two words"}]);
    let plan = draft(phases).resolve(&Existing::default()).unwrap();
    let notes: Vec<&str> =
        plan.runs[0].phases.iter().map(|phase| phase.note.as_deref().unwrap_or_default()).collect();
    assert_eq!(
        notes,
        [
            "`blocks` is not read as dependencies (use `depends_on`): b",
            "`dependsUpon` is not read as dependencies (use `depends_on`): a, x",
            ""
        ]
    );
}
