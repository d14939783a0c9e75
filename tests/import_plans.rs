//! Plan files of every form, through the library: the imported phases, and the messages of refusals.

use std::path::Path;

use autopack::import::{self, PlanDraft};
use autopack::phase::plan::Plan;
use autopack::phase::{PhaseState, RunId};
use proptest::prelude::*;
use serde_json::Value;

fn plan(file: &str, text: &str) -> Plan {
    import::parse_whole(Path::new(file), text.as_bytes(), None).unwrap()
}

fn refused(file: &str, text: impl AsRef<[u8]>) -> String {
    import::parse_whole(Path::new(file), text.as_ref(), None).unwrap_err().to_string()
}

/// `run/phase` of everything, in order.
fn ids(plan: &Plan) -> Vec<String> {
    let of_run = |run: &autopack::phase::plan::PlanRun| -> Vec<String> {
        run.phases.iter().map(|phase| format!("{}/{}", run.run_id, phase.phase_id)).collect()
    };
    plan.runs.iter().flat_map(of_run).collect()
}

fn specs(plan: &Plan) -> Vec<&Value> {
    plan.runs.iter().flat_map(|run| &run.phases).map(|phase| &phase.spec.0).collect()
}

const WORKED_EXAMPLE: &str = r#"{"phase_id":"frontend-build","category":"frontend","complexity":"medium",
 "deliverables":["src\\components\\App.tsx (main component)","src\\components\\Header.tsx",
                 "src\\components\\Header.tsx","tests\\components\\App.test.tsx (20+ tests)"],"scope":{}}"#;

#[test]
fn one_object_a_list_and_lines_are_the_same_plan() {
    let yaml = "run_id: r\nphases:\n- id: a\n  name: A\n- id: b\n  depends_on: [a]\n";
    let json = r#"{"run_id": "r", "phases": [{"id": "a", "name": "A"}, {"id": "b", "depends_on": ["a"]}]}"#;
    let list = r#"[{"id": "a", "name": "A", "run_id": "r"}, {"id": "b", "depends_on": ["a"], "run_id": "r"}]"#;
    let lines = "{\"run_id\": \"r\"}\n{\"id\": \"a\", \"name\": \"A\"}\n\n{\"id\": \"b\", \"depends_on\": [\"a\"]}\n";
    for (file, text) in [
        ("p.yaml", yaml),
        ("-", yaml),
        ("p.json", json),
        ("-", json),
        ("p.yml", json),
        ("p.json", list),
        ("-", list),
        ("p.jsonl", lines),
        ("p.json", lines),
        ("-", lines),
    ] {
        let plan = plan(file, text);
        assert_eq!(ids(&plan), ["r/a", "r/b"], "{file}: {text}");
        let [a, b] = plan.runs[0].phases.as_slice() else { panic!() };
        assert_eq!((a.name.as_str(), b.name.as_str()), ("A", "b"));
        assert_eq!(b.depends_on, std::slice::from_ref(&a.phase_id));
        assert_eq!((a.state, a.attempts), (PhaseState::Queued, 0));
    }
}

#[test]
fn a_phase_is_kept_as_written_with_fields_that_nobody_knows() {
    for file in ["demo.json", "demo.jsonl", "-"] {
        let plan = plan(file, WORKED_EXAMPLE);
        let written: Value = serde_json::from_str(WORKED_EXAMPLE).unwrap();
        assert_eq!(specs(&plan), [&written], "{file}");
    }
    let odd = r#"{"zeta":{"b":[1,{"a":null}],"a":1.5},"name":"Größe ändern","deliverables":{"code":["x"]}}"#;
    let plan = plan("p.json", odd);
    let expected = format!(r#"{{"phase_id":"größe-ändern",{}"#, &odd[1..]);
    assert_eq!(specs(&plan)[0].to_string(), expected, "order and all");
}

#[test]
fn defaults_fill_what_a_phase_lacks_nested_too() {
    let text = "
defaults:
  complexity: low
  scope: {paths: [src], ci: {pytest: {timeout_seconds: 5, per_test_timeout: 6}}}
  agent: x
phases:
- {id: a, complexity: high, scope: {ci: {pytest: {timeout_seconds: 7}}}}
- {id: b, scope: , agent: [y]}
- {id: c, scope: 'a text'}
";
    let plan = plan("p.yaml", text);
    let written: Vec<String> = specs(&plan).iter().map(ToString::to_string).collect();
    assert_eq!(
        written,
        [
            r#"{"phase_id":"a","id":"a","complexity":"high","scope":{"ci":{"pytest":{"timeout_seconds":7,"per_test_timeout":6}},"paths":["src"]},"agent":"x"}"#,
            r#"{"phase_id":"b","id":"b","scope":{"paths":["src"],"ci":{"pytest":{"timeout_seconds":5,"per_test_timeout":6}}},"agent":["y"],"complexity":"low"}"#,
            r#"{"phase_id":"c","id":"c","scope":"a text","complexity":"low","agent":"x"}"#,
        ]
    );
}

#[test]
fn the_run_is_named_by_the_option_the_phase_the_plan_or_the_file() {
    let shown = RunId::new("told");
    let text = r#"{"run_id": "plan", "phases": [{"id": "a"}, {"id": "b", "run_id": "own"}]}"#;
    assert_eq!(ids(&plan("file.json", text)), ["plan/a", "own/b"]);
    let shown = import::parse_whole(Path::new("f.json"), text.as_bytes(), Some(&shown)).unwrap();
    assert_eq!(ids(&shown), ["told/a", "told/b"]);
    assert_eq!(ids(&plan("some/my plan.json", r#"[{"id": "a"}]"#)), ["my plan/a"]);
    assert_eq!(ids(&plan("-", r#"[{"id": "a"}]"#)), ["stdin/a"]);
    assert_eq!(ids(&plan("p.yaml", "{id: from-id, phases: [{id: a}]}")), ["from-id/a"]);
    let several = "{\"id\":\"a\",\"run_id\":\"x\"}\n{\"id\":\"a\",\"run_id\":\"y\"}\n{\"id\":\"b\",\"run_id\":\"x\"}\n";
    assert_eq!(ids(&plan("p.jsonl", several)), ["x/a", "x/b", "y/a"]);
}

#[test]
fn windows_files_are_read() {
    let text =
        "\u{feff}run_id: r\r\nphases:\r\n- id: a\r\n  description: |\r\n    one\r\n    two\r\n";
    let plan = plan("p.yaml", text);
    assert_eq!(specs(&plan)[0]["description"], "one\ntwo\n");
    let utf16: Vec<u8> = [0xFF, 0xFE]
        .into_iter()
        .chain(r#"[{"id": "é"}]"#.encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    assert_eq!(ids(&import::parse_whole(Path::new("p.json"), &utf16, None).unwrap()), ["p/é"]);
}

#[test]
fn yaml_documents_are_one_plan() {
    let text = "run_id: r\ndefaults: {complexity: low}\n---\nid: a\n---\n- id: b\n- id: c\n---\n";
    assert_eq!(ids(&plan("p.yaml", text)), ["r/a", "r/b", "r/c"]);
    assert_eq!(
        refused("p.yaml", "id: a\n---\nid: a\n"),
        "phase `a` appears twice in run `p`: p.yaml, phase 1 and p.yaml, phase 2; \
         give one of them another `phase_id`"
    );
}

#[test]
fn bad_input_is_refused_with_its_position_and_the_expected_value() {
    let broken = "run_id: r\nphases:\n- id: a\n  name: b: c\n";
    let expected: [(&str, &str, &str); 17] = [
        ("p.yaml", broken, "p.yaml:4:10: not valid YAML: mapping values are not allowed"),
        ("p.json", "{\"phases\": [\n{\"id\": 1}", "p.json:2:9: not valid JSON: EOF while parsing"),
        ("p.jsonl", "{\"id\": 1}\n{\"id\": 2\n", "p.jsonl:2:8: not valid JSON: EOF"),
        ("p.yaml", "", "p.yaml holds no phases; expected an object with `phases`"),
        ("p.json", "", "p.json holds no phases"),
        ("p.jsonl", "\n\n", "p.jsonl holds no phases"),
        ("-", "", "standard input holds no phases"),
        ("p.json", "{\"run_id\": \"x\", \"phases\": []}", "p.json holds no phases"),
        (
            "p.json",
            "3",
            "p.json: expected an object with `phases`, a list of phases or a phase, found a number",
        ),
        (
            "p.json",
            "{\"phases\": {\"a\": {}}}",
            "p.json: `phases` must be a list of phases, found an object",
        ),
        (
            "p.json",
            "{\"phases\": [{\"id\": 1}, \"b\"]}",
            "p.json, phase 2: expected a phase (an object), found a text",
        ),
        (
            "p.yaml",
            "phases: [{id: a}, {deliverables: []}]",
            "p.yaml, phase 2: expected a `phase_id`, an `id` or a `name`",
        ),
        ("p.jsonl", "{\"id\":1}\n{\"id\":true}", "p.jsonl:2: `id` must be text, found a boolean"),
        (
            "p.yaml",
            "phases: [{id: a}]\ndefaults: low",
            "p.yaml: `defaults` must be an object, found a text",
        ),
        (
            "p.json",
            "{\"tasks\": [{\"id\": 1}]}",
            "p.json: expected a list `phases`, found `tasks`; rename it",
        ),
        (
            "p.jsonl",
            "{\"id\":\"a\"}\n\n{\"id\":\"a\"}",
            "phase `a` appears twice in run `p`: p.jsonl:1 and p.jsonl:3",
        ),
        (
            "p.jsonl",
            "[{\"id\":\"a\"},{\"id\":\"a\"}]",
            "phase `a` appears twice in run `p`: p.jsonl:1, phase 1 and p.jsonl:1, phase 2",
        ),
    ];
    for (file, text, start) in expected {
        let error = refused(file, text);
        assert!(error.starts_with(start), "{text:?}: {error}");
    }
    assert!(refused("p.yaml", b"a: \xFF").starts_with("p.yaml:1: byte 4 is not UTF-8"));
    assert!(refused("-", b"SQLite format 3\0rest").contains("pass the file name"));
}

#[test]
fn a_misspelled_key_beside_phases_is_reported() {
    let text = "{default: {agent: x}, token_cap: 5, name: n, phases: [{id: a}]}";
    let draft: PlanDraft = import::parse(Path::new("p.yaml"), text.as_bytes(), None).unwrap();
    assert_eq!(
        draft.warnings,
        [
            "p.yaml: `default` beside `phases` is not used; did you mean `defaults`?",
            "p.yaml: `token_cap` beside `phases` is not used; put settings for every phase under `defaults`",
        ]
    );
}

/// `real_phase_specs.jsonl`: 100 specs as written in real projects (hshk99/Autopack, MIT).
#[test]
fn every_real_spec_is_imported_as_written() {
    let Some(file) = crate::support::shared_file("real_phase_specs.jsonl") else { return };
    let text = std::fs::read_to_string(file).unwrap();
    for line in text.lines() {
        let mut written: Value = serde_json::from_str(line).unwrap();
        let plan = plan("-", line);
        let mut spec = specs(&plan)[0].clone();
        if written.get("phase_id").is_none() {
            spec.as_object_mut().unwrap().shift_remove("phase_id").unwrap();
        }
        assert_eq!(spec.to_string(), written.take().to_string());
    }
    let error = refused("real.jsonl", &text);
    assert!(error.starts_with("phase `fileorg-p2-frontend-build` appears twice"), "{error}");
}

/// Fragments that get far into the readers.
fn plan_like() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "phases:",
        "\n",
        "- ",
        "id: a",
        "  ",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"id\"",
        "\"a\"",
        "&x ",
        "*x",
        "<<: ",
        "!t ",
        "|\n",
        "---\n",
        "1",
        "null",
        "depends_on: ",
        "defaults: ",
        "? ",
        "'",
        "\"",
        "#",
        "\t",
        "\r\n",
        "é",
        "\u{feff}",
        ".nan",
        "-",
        "{\"phases\":",
        "%YAML 1.2\n",
        "\u{0}",
    ]);
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn import_is_total(bytes in prop::collection::vec(any::<u8>(), 0..200), text in plan_like()) {
        for file in ["p.yaml", "p.json", "p.jsonl", "p", "-"] {
            for input in [bytes.as_slice(), text.as_bytes()] {
                if let Ok(plan) = import::parse_whole(Path::new(file), input, None) {
                    prop_assert!(plan.runs.iter().all(|run| !run.phases.is_empty()));
                }
            }
        }
    }
}
