//! `import` through the real program: what it says, what it leaves, and what it refuses untouched.

use crate::support::{Repo, shared_file};
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

fn phases(repo: &Repo, run: &str) -> Value {
    repo.autopack(&["phases", "list", "--run-id", run, "--json"]).json()
}

#[test]
fn importing_twice_adds_nothing_and_update_replaces() {
    let repo = Repo::empty();
    repo.file("plan.yaml", PLAN);
    insta::assert_snapshot!(repo.autopack(&["import", "plan.yaml"]).shown(), @r"
    exit 0
    --- stdout
    run demo: 2 added
    2 phases of 1 run in [REPO]/.autopack/autopack.db
    ");
    let before = phases(&repo, "demo");
    insta::assert_snapshot!(repo.autopack(&["import", "plan.yaml"]).shown(), @r"
    exit 0
    --- stdout
    run demo: 2 unchanged
    2 phases of 1 run in [REPO]/.autopack/autopack.db
    ");
    repo.file("plan.yaml", &format!("{}- id: docs\n", PLAN.replace("src/a.py", "src/b.py")));
    let ran = repo.autopack(&["import", "plan.yaml"]);
    assert!(
        ran.stdout.contains("1 added, 1 unchanged, 1 kept as before (--update replaces"),
        "{ran:?}"
    );
    assert_eq!(phases(&repo, "demo")[0], before[0]);
    let ran = repo.autopack(&["import", "plan.yaml", "--update", "--json"]).json();
    assert_eq!(
        ran,
        json!({"database": "[REPO]/.autopack/autopack.db", "runs": [{"run_id": "demo", "added": 0,
        "updated": 1, "unchanged": 2, "differing": 0, "kept": 0, "samples": 0, "notes": []}]})
    );
    let phases = phases(&repo, "demo");
    assert_eq!(phases[0]["deliverables"], json!(["src/b.py"]));
    let order: Vec<&str> =
        phases.as_array().unwrap().iter().map(|p| p["phase_id"].as_str().unwrap()).collect();
    assert_eq!(order, ["setup", "api", "docs"]);
    assert_eq!(repo.git(&["status", "--short"]), "?? plan.yaml\n");
}

#[test]
fn a_plan_from_standard_input_may_depend_on_what_is_there() {
    let repo = Repo::empty();
    repo.file("plan.yaml", PLAN);
    assert_eq!(repo.autopack(&["import", "plan.yaml"]).code, 0);
    let more =
        "{\"id\": \"ui\", \"depends_on\": [\"api\"]}\n{\"id\": \"qa\", \"depends_on\": \"ui\"}\n";
    let ran = repo.autopack_reading(&["import", "-", "--run-id", "demo"], more);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert_eq!(phases(&repo, "demo")[2]["depends_on"], json!(["api"]));
    let ran = repo.autopack_reading(&["import", "-"], more);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("phase `ui` depends on `api`, which run `stdin` does not have"),
        "{ran:?}"
    );
    let circle = "{\"id\": \"api\", \"depends_on\": [\"ui\"]}";
    let ran = repo.autopack_reading(&["import", "-", "--run-id", "demo", "--update"], circle);
    assert!(ran.stderr.contains("wait for each other: api -> ui -> api"), "{ran:?}");
}

#[test]
fn bad_input_changes_nothing() {
    let repo = Repo::empty();
    repo.file("bad.yaml", "phases:\n- id: a\n  name: b: c\n");
    repo.file("unknown.json", r#"[{"id": "a", "depends_on": ["b"]}]"#);
    insta::assert_snapshot!(repo.autopack(&["import", "bad.yaml"]).shown(), @r"
    exit 1
    --- stderr
    error: bad.yaml:3:10: not valid YAML: mapping values are not allowed in this context
    ");
    insta::assert_snapshot!(repo.autopack(&["import", "unknown.json"]).shown(), @r"
    exit 1
    --- stderr
    error: unknown.json, phase 1: phase `a` depends on `b`, which run `unknown` does not have; `depends_on` takes ids of phases of the same run
    ");
    insta::assert_snapshot!(repo.autopack(&["import", "missing.yaml"]).shown(), @r"
    exit 1
    --- stderr
    error: cannot read missing.yaml: No such file or directory (os error 2)
    ");
    assert!(!repo.path().join(".autopack").exists());
}

#[test]
fn a_slip_beside_phases_is_a_warning() {
    let repo = Repo::empty();
    repo.file("plan.json", r#"{"default": {"agent": "x"}, "phases": [{"id": "a"}]}"#);
    let ran = repo.autopack(&["import", "plan.json"]);
    assert_eq!(ran.code, 0);
    assert!(ran.stderr.contains("`default` beside `phases` is not used; did you mean `defaults`?"));
}

#[test]
fn the_python_autopacks_database_comes_over_once() {
    let Some(database) = shared_file("python-autopack.db") else { return };
    let database = database.canonicalize().unwrap().display().to_string();
    let repo = Repo::empty();
    let ran = repo.autopack(&["import", &database]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for line in [
        "run build129-p3-week1-telemetry: 12 added, 2 telemetry samples\n",
        "  fileorg-p2-country-australia: was GATE in the Python Autopack; queued again\n",
        "456 phases of 70 runs in [REPO]/.autopack/autopack.db\n",
    ] {
        assert!(ran.stdout.contains(line), "{line}");
    }
    let again = repo.autopack(&["import", &database]).stdout;
    assert!(!again.contains("added") && !again.contains("samples") && !again.contains("GATE"));
    let run = "autopack-followups-v1";
    let one = Repo::empty();
    let ran = one.autopack(&["import", &database, "--run-id", run]);
    assert_eq!(ran.stdout.lines().next(), Some("run autopack-followups-v1: 6 added"));
    assert_eq!(phases(&one, run), phases(&repo, run));
}
