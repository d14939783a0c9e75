//! `import` through the real program: what it says, what it leaves, and what it refuses untouched.

use crate::support::{Project, shared_file};
use serde_json::{Value, json};

const PLAN: &str = "\
run_id: demo
defaults: {complexity: low}
phases:
- id: setup
  name: Set up
  deliverables: [src/a.py]
- id: api
  depends_on: [setup]
  deliverables: [src/api.py]
  owner: somebody
";

fn phases(project: &Project, run: &str) -> Value {
    project.json(["phases", "list", "--run-id", run, "--json"])
}

#[test]
fn importing_twice_adds_nothing_and_update_replaces() {
    let project = Project::without_commits().file("plan.yaml", PLAN);
    insta::assert_snapshot!(project.autopack(["import", "plan.yaml"]).shown(), @r"
    exit 0
    --- stdout
    run demo: 2 added
    2 phases of 1 run in [REPO]/.autopack/autopack.db
    ");
    let before = phases(&project, "demo");
    insta::assert_snapshot!(project.autopack(["import", "plan.yaml"]).shown(), @r"
    exit 0
    --- stdout
    run demo: 2 unchanged
    2 phases of 1 run in [REPO]/.autopack/autopack.db
    ");
    project.write("plan.yaml", &format!("{}- id: docs\n", PLAN.replace("src/a.py", "src/b.py")));
    let ran = project.autopack(["import", "plan.yaml"]);
    assert!(
        ran.stdout.contains("1 added, 1 unchanged, 1 kept as before (--update replaces"),
        "{ran:?}"
    );
    assert_eq!(phases(&project, "demo")[0], before[0]);
    let ran = project.json(["import", "plan.yaml", "--update", "--json"]);
    let run = json!({"run_id": "demo", "added": 0, "updated": 1, "unchanged": 2, "differing": 0,
        "kept": 0, "samples": 0, "notes": []});
    let database = project.path(".autopack/autopack.db");
    assert_eq!(ran, json!({"database": database, "runs": [run]}));
    let phases = phases(&project, "demo");
    assert_eq!(phases[0]["deliverables"], json!(["src/b.py"]));
    let order: Vec<&str> =
        phases.as_array().unwrap().iter().map(|p| p["phase_id"].as_str().unwrap()).collect();
    assert_eq!(order, ["setup", "api", "docs"]);
    assert_eq!(project.git(["status", "--short"]), "?? plan.yaml\n");
}

#[test]
fn a_plan_from_standard_input_may_depend_on_what_is_there() {
    let project = Project::without_commits().file("plan.yaml", PLAN);
    project.autopack(["import", "plan.yaml"]).succeeded();
    let more =
        "{\"id\": \"ui\", \"depends_on\": [\"api\"]}\n{\"id\": \"qa\", \"depends_on\": \"ui\"}\n";
    let ran = project.autopack_reading(["import", "-", "--run-id", "demo"], more);
    assert_eq!(ran.succeeded().stderr, "");
    assert_eq!(phases(&project, "demo")[2]["depends_on"], json!(["api"]));
    let ran = project.autopack_reading(["import", "-"], more).exited(1);
    assert!(
        ran.stderr.contains("phase `ui` depends on `api`, which run `stdin` does not have"),
        "{ran:?}"
    );
    let circle = "{\"id\": \"api\", \"depends_on\": [\"ui\"]}";
    let ran = project.autopack_reading(["import", "-", "--run-id", "demo", "--update"], circle);
    assert!(ran.stderr.contains("wait for each other: api -> ui -> api"), "{ran:?}");
}

#[test]
fn bad_input_changes_nothing() {
    let project = Project::without_commits()
        .file("bad.yaml", "phases:\n- id: a\n  name: b: c\n")
        .file("unknown.json", r#"[{"id": "a", "depends_on": ["b"]}]"#);
    insta::assert_snapshot!(project.autopack(["import", "bad.yaml"]).shown(), @r"
    exit 1
    --- stderr
    error: bad.yaml:3:10: not valid YAML: mapping values are not allowed in this context
    ");
    insta::assert_snapshot!(project.autopack(["import", "unknown.json"]).shown(), @r"
    exit 1
    --- stderr
    error: unknown.json, phase 1: phase `a` depends on `b`, which run `unknown` does not have; `depends_on` takes ids of phases of the same run
    ");
    insta::assert_snapshot!(project.autopack(["import", "missing.yaml"]).shown(), @r"
    exit 1
    --- stderr
    error: cannot read missing.yaml: No such file or directory (os error 2)
    ");
    assert!(!project.path(".autopack").exists());
}

#[test]
fn a_slip_beside_phases_is_a_warning() {
    let project = Project::without_commits()
        .file("plan.json", r#"{"default": {"agent": "x"}, "phases": [{"id": "a"}]}"#);
    let ran = project.autopack(["import", "plan.json"]).succeeded();
    assert!(ran.stderr.contains("`default` beside `phases` is not used; did you mean `defaults`?"));
}

#[test]
fn the_python_autopacks_database_comes_over_once() {
    let Some(database) = shared_file("python-autopack.db") else { return };
    let database = database.canonicalize().unwrap().display().to_string();
    let project = Project::without_commits();
    let shown = project.autopack(["import", &database]).succeeded().shown();
    for line in [
        "run build129-p3-week1-telemetry: 12 added, 2 telemetry samples\n",
        "  fileorg-p2-country-australia: was GATE in the Python Autopack; queued again\n",
        "456 phases of 70 runs in [REPO]/.autopack/autopack.db\n",
    ] {
        assert!(shown.contains(line), "{line}");
    }
    let again = project.autopack(["import", &database]).stdout;
    assert!(!again.contains("added") && !again.contains("samples") && !again.contains("GATE"));
    let run = "autopack-followups-v1";
    let one = Project::without_commits();
    let ran = one.autopack(["import", &database, "--run-id", run]);
    assert_eq!(ran.stdout.lines().next(), Some("run autopack-followups-v1: 6 added"));
    assert_eq!(phases(&one, run), phases(&project, run));
}

#[test]
fn a_dependency_that_is_none_is_said() {
    let phases = json!([{"id": "a"}, {"id": "b", "depends_on": "needs network, see README"},
        {"id": "c", "depends_on": [{"phase_id": "a"}, null]}, {"id": "d", "depends_on": ["a", {"pkg": "x"}]}]);
    let project = Project::new().file("run.json", &phases.to_string());
    let said = project.autopack(["import", "run.json"]).succeeded().stdout;
    assert!(
        said.contains("b: `depends_on` waits for no phase with needs network, see README\n"),
        "{said}"
    );
    assert!(said.contains("d: `depends_on` waits for no phase with {\"pkg\":\"x\"}\n"), "{said}");
    assert!(!said.contains("c: "), "{said}");
    assert_eq!(project.phase("c")["depends_on"], json!(["a"]));
    assert_eq!(project.phase("d")["depends_on"], json!(["a"]));
}
