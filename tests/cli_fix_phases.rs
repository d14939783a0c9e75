//! `fix-phases` through the real program, and a phase as scripts see it before and after.

use crate::support::{Project, shared_file};
use serde_json::{Value, json};

const WORKED_EXAMPLE: &str = r#"{"phase_id":"frontend-build","category":"frontend","complexity":"medium",
 "deliverables":["src\\components\\App.tsx (main component)","src\\components\\Header.tsx",
                 "src\\components\\Header.tsx","tests\\components\\App.test.tsx (20+ tests)"],"scope":{}}"#;

/// The fields of the example's phase, as text: order counts.
fn fields(phase: &Value) -> String {
    let keys = ["phase_id", "category", "complexity", "deliverables", "scope"];
    let field = |key| format!("\"{key}\":{}", phase[key]);
    format!("{{{}}}", keys.map(field).join(","))
}

#[test]
fn the_worked_example_comes_out_byte_for_byte() {
    for file in ["demo.json", "demo.jsonl", "demo.yaml"] {
        let project = Project::without_commits().file(file, &WORKED_EXAMPLE.replace('\n', ""));
        project.autopack(["import", file]).succeeded();
        let show = || project.json(["phases", "show", "frontend-build", "--json"]);
        let written: Value = serde_json::from_str(WORKED_EXAMPLE).unwrap();
        assert_eq!(fields(&show()), written.to_string(), "import repairs nothing");
        project.autopack(["fix-phases", "--run-id", "demo"]).succeeded();
        assert_eq!(
            fields(&show()),
            concat!(
                r#"{"phase_id":"frontend-build","category":"frontend","complexity":"medium","#,
                r#""deliverables":["src/components/App.tsx","src/components/Header.tsx","tests/components/App.test.tsx"],"#,
                r#""scope":{"paths":["src/components","tests/components"],"#,
                r#""ci":{"pytest":{"timeout_seconds":1200,"per_test_timeout":60}},"_autofix_v1_applied":true}}"#,
            )
        );
        assert_eq!(show()["spec_as_written"], written);
    }
}

fn backlog() -> Project {
    let project = Project::without_commits()
        .file("b.yaml", "phases:\n- {id: good, deliverables: {code: ['src\\a.py (new)']}}\n- {id: bad, deliverables: [../x.py]}\n");
    project.autopack(["import", "b.yaml"]).succeeded();
    project
}

#[test]
fn a_dry_run_shows_the_difference_and_changes_nothing() {
    let project = backlog();
    let before = project.autopack(["phases", "list", "--json"]).stdout;
    let ran = project.autopack(["fix-phases", "--dry-run"]);
    insta::assert_snapshot!(ran.shown());
    let each = project.autopack(["fix-phases", "--dry-run", "-v"]).succeeded().stdout;
    assert!(each.contains("+++ b/good after\n") && each.contains("-    \"code\": [\n"), "{each}");
    assert_eq!(project.autopack(["phases", "list", "--json"]).stdout, before);
    let ran = project.autopack(["fix-phases"]);
    insta::assert_snapshot!(ran.shown());
    assert_ne!(project.autopack(["phases", "list", "--json"]).stdout, before);
}

#[test]
fn a_perfect_phase_is_not_called_repaired() {
    let project = Project::new()
        .agent("write_deliverables()")
        .file("p.yaml", "phases:\n- {phase_id: one, deliverables: [src/a.py]}\n");
    project.autopack(["import", "p.yaml"]).succeeded();
    let ran = project.autopack(["fix-phases", "--dry-run"]).succeeded();
    assert_eq!(ran.stdout, "examined 1 queued phase, would change 0, 0 cannot be repaired\n");
    let planned = project.json(["drain", "--dry-run", "--json"]);
    assert_eq!(planned[0]["fixes"], json!([]));
    let output = project.json(["fix-phases", "--json"]);
    assert_eq!((&output["changed"], &output["phases"][0]["fixes"]), (&json!(0), &json!([])));
    assert_eq!(output["phases"][0]["defaults"].as_array().unwrap().len(), 4);
    let stored = project.json(["phases", "show", "one", "--json"]);
    assert_eq!(stored["scope"]["ci"]["pytest"]["timeout_seconds"], 900, "filled in all the same");
    let ran = project.autopack(["drain", "p"]).succeeded();
    assert!(!ran.stdout.contains("repaired"), "{ran:#?}");
}

#[test]
fn json_names_what_changed_and_what_cannot_be_repaired() {
    let project = backlog();
    let output = project.json(["fix-phases", "--json"]);
    assert_eq!(output["examined"], 2);
    assert_eq!(output["unfixable"], 1);
    assert_eq!(output["phases"][0]["phase_id"], "good");
    assert_eq!(output["phases"][0]["unfixable"], Value::Null);
    assert!(output["phases"][1]["unfixable"].as_str().unwrap().contains("../x.py"), "{output}");
    let list = project.json(["phases", "list", "--json"]);
    assert_eq!(list[1]["state"], "QUEUED");
    let again = project.json(["fix-phases", "--json"]);
    assert_eq!((&again["changed"], &again["unfixable"]), (&json!(0), &json!(1)));
}

#[test]
fn an_unknown_run_is_named_with_the_database_and_its_runs() {
    let project = backlog();
    let ran = project.autopack(["fix-phases", "--run-id", "nope"]);
    insta::assert_snapshot!(ran.shown(), @r#"
    exit 1
    --- stderr
    error: no run is called "nope" in the database [REPO]/.autopack/autopack.db; existing runs: b
    "#);
    let none = Project::without_commits();
    insta::assert_snapshot!(none.autopack(["fix-phases"]).shown(), @r"
    exit 1
    --- stderr
    error: there is no database at [REPO]/.autopack/autopack.db; import and drain a plan with `autopack drain plan.yaml`
    ");
}

/// 158 queued phases of a real database (hshk99/Autopack, MIT): all examined, and nothing left to do the second time.
#[test]
fn real_phases_are_repaired_once() {
    let Some(database) = shared_file("python-autopack.db") else { return };
    let project = Project::without_commits().config("executor: {unscoped: refuse}\n");
    project.autopack(["import", &database.canonicalize().unwrap().display().to_string()]);
    let first = project.json(["fix-phases", "--json"]);
    assert_eq!(first["examined"], 158);
    let again = project.json(["fix-phases", "--json"]);
    assert_eq!((&again["examined"], &again["changed"]), (&json!(158), &json!(0)));
    assert_eq!(again["unfixable"], first["unfixable"]);
    for run in project.json(["runs", "list", "--json"]).as_array().unwrap() {
        let id = run["run_id"].as_str().unwrap();
        for phase in project.json(["phases", "list", "--run-id", id, "--json"]).as_array().unwrap()
        {
            assert!(phase["scope"].is_object(), "{phase}");
            let deliverables = phase["deliverables"].as_array().unwrap();
            assert!(deliverables.iter().all(Value::is_string), "{phase}");
            if phase["state"] == "QUEUED" && phase["unfixable"].is_null() {
                assert!(!phase["scope"]["paths"].as_array().unwrap().is_empty(), "{phase}");
            }
        }
    }
}
