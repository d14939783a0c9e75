//! Commands of a plan and of the configuration, in every form: if CI is red, the phase does not land.

use serde_json::{Value, json};

use crate::support::Project;

const MORE: &str = "ci: {command: [\"true\"]}\nexecutor: {max_attempts: 1, circuit_breaker: 0}\n";

fn phase(id: &str, more: Value) -> Value {
    let mut phase = json!({"phase_id": id, "deliverables": [format!("src/{id}.txt")]});
    phase.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    phase
}

fn drained(more: &str, phases: Vec<Value>) -> Project {
    let plan = json!({"run_id": "run", "phases": phases});
    let project = Project::new().agent_with("write_deliverables()", more).plan(plan);
    project.drain();
    project
}

/// Result of each phase: its state, the kind of its failure, and the message.
fn came_to(project: &Project, id: &str) -> (String, String, String) {
    let phase = project.phase(id);
    let failure = &phase["last_failure"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&phase["state"]), text(&failure["kind"]), text(&failure["message"]))
}

#[test]
fn a_red_check_does_not_land_however_it_is_written() {
    let red = [
        json!(["python3 -c \"raise SystemExit(1)\"", "echo done"]),
        json!(["false", "true"]),
        json!([false, true]),
        json!(["grep", "-q", "nothere", "src/p3.txt"]),
        json!("false\ntrue"),
        json!("! true\necho done"),
        json!({"cmd": false}),
        json!({"commands": ["false", "true"]}),
    ];
    let name = |at: usize| format!("p{at}");
    let mut phases: Vec<Value> = red
        .iter()
        .enumerate()
        .map(|(at, cmd)| phase(&name(at), json!({"test_cmd": cmd})))
        .collect();
    phases.push(phase("other", json!({"test_command": ["false", "true"]})));
    phases.push(phase("in-ci", json!({"scope": {"ci": {"test_cmd": ["false", "true"]}}})));
    phases.push(phase("green", json!({"test_cmd": ["grep", "-q", "made by", "src/green.txt"]})));
    phases.push(phase("lines", json!({"test_cmd": ["cd src", "test -e lines.txt"]})));
    let project = drained(MORE, phases);
    let names = (0..red.len()).map(name).chain(["other".to_owned(), "in-ci".to_owned()]);
    for id in names {
        let (state, kind, message) = came_to(&project, &id);
        assert_eq!((state.as_str(), kind.as_str()), ("FAILED", "ci_failed"), "{id}: {message}");
        assert!(!message.contains('\n'), "{message}");
    }
    assert_eq!(project.landed(), ["green", "lines"]);
}

#[test]
fn an_invalid_command_starts_no_agent() {
    let project = drained(
        MORE,
        vec![
            phase("one", json!({"test_cmd": 1})),
            phase("two", json!({"ci": {"command": {"x": 1}}})),
        ],
    );
    for (id, expected) in [
        ("one", "test_cmd: expected a shell command or a list of shell commands, found a number"),
        (
            "two",
            "ci.command: expected a shell command or a list of shell commands, found an object without a command",
        ),
    ] {
        let (state, kind, message) = came_to(&project, id);
        assert_eq!((state.as_str(), kind.as_str()), ("FAILED", "unfixable"));
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn each_line_of_a_configured_command_must_pass() {
    let several = "ci:\n  red_base: allow\n  command: |\n    false\n    true\nexecutor: {max_attempts: 1, circuit_breaker: 0}\n";
    let project = drained(several, vec![phase("p", json!({}))]);
    assert_eq!(came_to(&project, "p").1, "ci_failed");
    let project = drained(MORE, vec![phase("p", json!({"ci": {"command": "false\ntrue"}}))]);
    assert_eq!(came_to(&project, "p").1, "ci_failed");
}

#[test]
fn fix_phases_says_what_it_made_of_a_command() {
    let phases = [
        phase("a", json!({"test_cmd": ["grep", "-q", "x y", "src/x"]})),
        phase("b", json!({"test_cmd": ["make lint", "make test"]})),
    ];
    let project = Project::new().plan(json!({"run_id": "run", "phases": phases}));
    let output = project.json(["fix-phases", "--json"]).to_string();
    for fix in ["test_cmd: one command of 4 words", "test_cmd: 2 command lines, all must pass"] {
        assert!(output.contains(fix), "{output}");
    }
    let shown = project.autopack(["phases", "show", "--run-id", "run", "b"]).succeeded().stdout;
    assert!(shown.contains("test_cmd make lint; make test\n"), "{shown}");
    assert_eq!(project.phase("a")["spec"]["test_cmd"], "grep -q 'x y' src/x");
    assert_eq!(project.phase("b")["spec"]["test_cmd"], "make lint\nmake test");
}

#[test]
fn an_aliased_check_is_used_and_an_unknown_check_is_reported() {
    let red = [
        json!({"cmd": "false"}),
        json!({"commands": ["false", "true"]}),
        json!({"test_command": "false"}),
    ];
    let name = |at: usize| format!("p{at}");
    let phases =
        red.iter().enumerate().map(|(at, ci)| phase(&name(at), json!({"ci": ci}))).collect();
    let project = drained(MORE, phases);
    for (at, ci) in red.iter().enumerate() {
        assert_eq!(came_to(&project, &name(at)).1, "ci_failed", "{ci}");
    }
    let misspelt = phase(
        "m",
        json!({"ci": {"comand": "pytest -q"}, "scope": {"ci": {"pytest": {"args": "-x"}}}}),
    );
    let project = Project::new().plan(json!({"run_id": "run", "phases": [misspelt]}));
    let output = project.autopack(["fix-phases", "--dry-run"]).succeeded().stdout;
    for fix in [
        "ci: `comand` is not a known setting and has no effect; did you mean `command`?",
        "scope.ci.pytest: `args` is not a known setting and has no effect",
    ] {
        assert!(output.contains(fix), "{output}");
    }
    project.autopack(["fix-phases"]).succeeded();
    let criteria = project.phase("m")["spec"]["acceptance_criteria"].to_string();
    assert!(criteria.contains("ci: comand: pytest -q"), "{criteria}");
}
