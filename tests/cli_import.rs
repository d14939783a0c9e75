//! `import` through the real program: messages, results, and plans that are refused without any change.

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
        ran.stdout.contains("1 added, 1 unchanged, 1 different here and kept (--update replaces"),
        "{ran:?}"
    );
    assert_eq!(phases(&project, "demo")[0], before[0]);
    let ran = project.json(["import", "plan.yaml", "--update", "--json"]);
    let run = json!({"run_id": "demo", "added": 0, "updated": 1, "unchanged": 2, "differing": 0,
        "kept": 0, "samples": 0, "notes": [],
        "summary": {"format": "plan", "queued": 3, "done": 0, "dropped": {}, "dependencies": 1}});
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
fn a_misspelled_key_beside_phases_is_a_warning() {
    let project = Project::without_commits()
        .file("plan.json", r#"{"default": {"agent": "x"}, "phases": [{"id": "a"}]}"#);
    let ran = project.autopack(["import", "plan.json"]).succeeded();
    assert!(ran.stderr.contains("`default` beside `phases` is not used; did you mean `defaults`?"));
}

#[test]
fn the_python_autopacks_database_is_imported_once() {
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
fn an_unknown_dependency_is_reported() {
    let phases = json!([{"id": "a"}, {"id": "b", "depends_on": "needs network, see README"},
        {"id": "c", "depends_on": [{"phase_id": "a"}, null]}, {"id": "d", "depends_on": ["a", {"pkg": "x"}]}]);
    let project = Project::new().file("run.json", &phases.to_string());
    let output = project.autopack(["import", "run.json"]).succeeded().stdout;
    assert!(
        output.contains(
            "b: `depends_on` has entries that are not phases: needs network, see README\n"
        ),
        "{output}"
    );
    assert!(
        output.contains("d: `depends_on` has entries that are not phases: {\"pkg\":\"x\"}\n"),
        "{output}"
    );
    assert!(!output.contains("c: "), "{output}");
    assert_eq!(project.phase("c")["depends_on"], json!(["a"]));
    assert_eq!(project.phase("d")["depends_on"], json!(["a"]));
}

#[test]
fn numbers_that_are_ids_keep_their_text() {
    let plan = "run_id: 3.10\nphases:\n- phase_id: 22.1\n- phase_id: 22.10\n- {phase_id: 1.10, depends_on: [22.10]}\n- {id: 0x1F, priority: 1.10}\n\
                - {id: 007, dependsOn: [0x1F, 1.10]}\n- {id: 1e3}\n";
    let project = Project::without_commits().file("plan.yaml", plan);
    project.autopack(["import", "plan.yaml"]).succeeded();
    let listed = phases(&project, "3.10");
    let shown: Vec<(&str, &Value)> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (p["phase_id"].as_str().unwrap(), &p["depends_on"]))
        .collect();
    let none = json!([]);
    assert_eq!(
        shown,
        [
            ("22.1", &none),
            ("22.10", &none),
            ("1.10", &json!(["22.10"])),
            ("0x1F", &none),
            ("007", &json!(["1.10", "0x1F"])),
            ("1e3", &none)
        ]
    );
    let json_plan = r#"[{"phase_id": 22.1}, {"phase_id": 22.10}, {"id": 1.10, "depends_on": [22.10], "batch": 1.50}]"#;
    project.write("more.json", json_plan);
    project.autopack(["import", "more.json"]).succeeded();
    assert_eq!(phases(&project, "more")[2]["depends_on"], json!(["22.10"]));
}

#[test]
fn several_paths_in_one_entry_are_all_deliverables() {
    let phases = json!([{"id": "a", "deliverables": ["src/r.py, src/s.py (new)", "docs/x.md and docs/y.md", "Improved errors, and messages"]}]);
    let project = Project::new().plan(phases);
    project.autopack(["fix-phases"]).succeeded();
    let a = project.phase("a");
    assert_eq!(a["deliverables"], json!(["src/r.py", "src/s.py", "docs/x.md", "docs/y.md"]));
}

#[test]
fn other_names_of_depends_on_gate_or_are_named() {
    let keys = [
        "dependsOn",
        "blocked_by",
        "blockedBy",
        "requires",
        "after",
        "prerequisites",
        "dependencies",
    ];
    for key in keys {
        let phases = json!([{"id": "a", "deliverables": ["a.txt"]}, {"id": "b", key: ["a"], "deliverables": ["b.txt"]}]);
        let project = Project::new().plan(phases);
        assert_eq!(project.phase("b")["depends_on"], json!(["a"]), "{key}");
        let unknown = json!([{"id": "a"}, {"id": "b", key: ["no-such-phase"]}]);
        project.write("unknown.json", &unknown.to_string());
        let ran = project.autopack(["import", "unknown.json"]);
        assert!(
            format!("{}{}", ran.stdout, ran.stderr).contains("no-such-phase"),
            "{key}: {ran:?}"
        );
    }
}

#[test]
fn phases_done_elsewhere_are_not_repeated() {
    let phases = json!([{"id": "a", "status": "done"}, {"id": "b", "passes": true}, {"id": "c", "state": "CLOSED"},
        {"id": "d", "completed": true}, {"id": "e", "title": "[x] E"}, {"id": "f", "status": "cancelled"}, {"id": "g", "status": "deferred"},
        {"id": "h", "status": "todo", "depends_on": ["a", "f"], "deliverables": ["h.txt"]}, {"id": "i", "status": "frobnicated", "deliverables": ["i.txt"]}]);
    let project =
        Project::new().agent("write_deliverables()").file("plan.json", &phases.to_string());
    let ran = project.autopack(["import", "plan.json", "--run-id", "run"]).succeeded();
    assert!(
        ran.stdout.contains(
            "9 added, 5 complete (done in the source), 2 skipped (dropped in the source)"
        ),
        "{ran:?}"
    );
    assert!(ran.stdout.contains("a: done in plan.json\n"), "{ran:?}");
    assert!(ran.stderr.contains("phase `i` has the unknown status \"frobnicated\""), "{ran:?}");
    project.drain().succeeded();
    assert_eq!(project.landed(), ["h", "i"]);
}

#[test]
fn update_adopts_states_from_the_source_but_keeps_local_results() {
    let phase = |id: &str, status: &str| json!({"id": id, "status": status, "deliverables": [format!("{id}.txt")]});
    let ids = ["landed", "done", "gone", "skipped", "open"];
    let plan = |statuses: [&str; 5]| -> String {
        let phases: Vec<Value> =
            ids.iter().zip(statuses).map(|(id, status)| phase(id, status)).collect();
        json!(phases).to_string()
    };
    let project =
        Project::new().agent("write_deliverables()").file("plan.json", &plan(["todo"; 5]));
    let import = |more: &[&str]| {
        project
            .autopack([&["import", "plan.json", "--run-id", "run"], more].concat())
            .succeeded()
            .stdout
    };
    import(&[]);
    for id in ["done", "gone", "skipped", "open"] {
        project.autopack(["phases", "skip", "--run-id", "run", id]).succeeded();
    }
    project.drain().succeeded();
    project.autopack(["phases", "retry", "--run-id", "run", "done", "gone", "open"]).succeeded();
    project.write("plan.json", &plan(["cancelled", "done", "cancelled", "done", "todo"]));
    assert!(import(&[]).contains("different here and kept (--update replaces them)"));
    assert_eq!(project.states()["done"], "QUEUED");
    let output = import(&["--update"]);
    assert!(
        output.contains("1 complete (done in the source), 1 skipped (dropped in the source)"),
        "{output}"
    );
    let states = project.states();
    let shown: Vec<&str> = ids.iter().map(|id| states[*id].as_str()).collect();
    assert_eq!(shown, ["COMPLETE", "COMPLETE", "SKIPPED", "SKIPPED", "QUEUED"]);
}

#[test]
fn an_export_of_autopack_is_imported_unchanged() {
    let agent = "if phase_id != 'bad': write_deliverables()";
    let plan = json!([{"id": "good", "deliverables": ["g.txt"]}, {"id": "bad", "deliverables": ["b.txt"], "max_attempts": 1},
        {"id": "left", "deliverables": ["l.txt"]}, {"id": "next", "depends_on": ["good", "bad"], "deliverables": ["n.txt"]}]);
    let project = Project::new().agent(agent).plan(plan);
    project.autopack(["phases", "skip", "--run-id", "run", "left"]).succeeded();
    project.drain().exited(3);
    let listed =
        project.autopack(["phases", "list", "--run-id", "run", "--json"]).succeeded().stdout;
    project.autopack_reading(["import", "-", "--run-id", "other"], &listed).succeeded();
    let shown = phases(&project, "other");
    let states: Vec<&str> =
        shown.as_array().unwrap().iter().map(|p| p["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["COMPLETE", "QUEUED", "SKIPPED", "QUEUED"]);
    assert_eq!(shown[3]["depends_on"], json!(["good", "bad"]));
}

#[test]
fn a_fenced_or_commented_plan_is_imported_with_a_note() {
    let project = Project::without_commits()
        .file("fence.md", "Here it is:\n\n```json\n[{\"id\": \"a\"}]\n```\n")
        .file("comments.json", "[\n // the first\n {\"id\": \"a\"},\n]\n");
    let fence = project.autopack(["import", "fence.md"]).succeeded();
    assert!(fence.stderr.contains("fence.md:3: the plan is inside a Markdown fence"), "{fence:?}");
    let comments = project.autopack(["import", "comments.json"]).succeeded();
    assert!(
        comments.stderr.contains("comments.json:2: JSON does not allow comments"),
        "{comments:?}"
    );
}

#[test]
fn all_errors_of_a_plan_are_reported_at_once_with_lines() {
    let plan = "phases:\n- id: a\n  depends_on: [x]\n- deliverables: [b.txt]\n- just a text\n- id: a\n- id: c\n  blockedBy: [y]\n";
    let project = Project::without_commits().file("plan.yaml", plan);
    let output = project.autopack(["import", "plan.yaml"]).exited(1).stderr;
    for part in [
        "plan.yaml:4, phase 2: expected a `phase_id`",
        "plan.yaml:5, phase 3: expected a phase",
        "plan.yaml:6, phase 4",
        "plan.yaml:2, phase 1: phase `a` depends on `x`",
        "plan.yaml:7, phase 5: phase `c` depends on `y`",
        "5 errors: nothing was imported",
    ] {
        assert_eq!(
            output.lines().filter(|line| line.contains(part)).count(),
            1,
            "{part}: {output}"
        );
    }
    assert_eq!(output.lines().count(), 6, "one line each: {output}");
    let json = project.autopack(["--log-format", "json", "import", "plan.yaml"]).exited(1).stderr;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["errors"].as_array().unwrap().len(), 5, "{json}");
    assert!(!project.path(".autopack").exists());
}

#[test]
fn a_status_in_another_spelling_or_place_is_read_or_named() {
    let phases = json!([{"id": "a", "Status": "done"}, {"id": "b", "status": ["done"]}, {"id": "c", "isDone": true},
        {"id": "d", "metadata": {"status": "done"}}, {"id": "e", "fields": {"status": "closed"}}, {"id": "f", "jira": {"status": "Done"}}]);
    let project = Project::new().file("plan.json", &phases.to_string());
    let ran = project.autopack(["import", "plan.json", "--run-id", "run"]).succeeded();
    assert!(ran.stdout.contains("6 added, 5 complete (done in the source)"), "{ran:?}");
    let named = "phase `f` is queued: `jira.status`: \"Done\" looks like a status, but is not read";
    assert!(ran.stderr.contains(named), "{ran:?}");
    assert_eq!(project.states()["f"], "QUEUED");
}

#[test]
fn dependencies_under_other_spellings_gate_or_are_named() {
    for key in ["waits_for", "waitsFor", "predecessors", "blocked_on", "DependsOn", "depends on"] {
        let phases = json!([{"id": "a", "blocks": ["b"]}, {"id": "b", key: ["a"]}]);
        let project = Project::new().file("plan.json", &phases.to_string());
        let ran = project.autopack(["import", "plan.json", "--run-id", "run"]).succeeded();
        assert_eq!(project.phase("b")["depends_on"], json!(["a"]), "{key}");
        assert!(ran.stdout.contains("a: `blocks` is not read as dependencies"), "{ran:?}");
    }
    let plan = "- id: 22.10\n- id: b\n  prerequisites: {phase: 22.10}\n";
    let project = Project::new().file("plan.yaml", plan);
    let ran = project.autopack(["import", "plan.yaml"]).succeeded();
    assert!(ran.stdout.contains(r#"{"phase":"22.10"}"#), "{ran:?}");
}

#[test]
fn a_path_behind_a_note_with_a_dash_is_a_deliverable() {
    let phases = json!([{"id": "a", "deliverables": "src/z.py — the thing, src/q.py"}]);
    let project = Project::new().plan(phases);
    project.autopack(["fix-phases"]).succeeded();
    assert_eq!(project.phase("a")["deliverables"], json!(["src/z.py", "src/q.py"]));
}

#[test]
fn misspelled_fields_and_values_of_another_type_are_named_and_imported_all_the_same() {
    let plan = "phases:\n- id: a\n  descriptoin: Write it\n  deliverables: 7\n- id: b\n  descriptoin: Write more\n  \
                scope: {pats: [src]}\n  cost_center: 12\n";
    let project = Project::without_commits().file("plan.yaml", plan);
    let ran = project.autopack(["import", "plan.yaml"]).succeeded();
    assert!(ran.stdout.contains("run plan: 2 added"), "{ran:#?}");
    for line in [
        "plan.yaml:2, phase 1: phase `a`: `descriptoin` is no field, only text for the agent; did you mean `description`? (so in 1 more phase)",
        "plan.yaml:2, phase 1: phase `a`: `deliverables` must be a list of texts, found 7; `autopack fix-phases --dry-run` shows the repair",
        "plan.yaml:5, phase 2: phase `b`: `scope.pats` is no field, only text for the agent; did you mean `paths`?",
        "plan.yaml: no fields of a phase, only text for the agent: `cost_center`",
    ] {
        assert!(ran.stderr.contains(line), "{line}\n{ran:#?}");
    }
    assert_eq!(ran.stderr.lines().count(), 4, "{ran:#?}");
}

#[test]
fn a_text_in_sentences_is_for_the_verb_plan() {
    let text = "# Payments\n\nCustomers pay with a card, and get a receipt by mail.\n";
    let project = Project::without_commits().file("my prd.md", text).file("prd.txt", text);
    for (name, shown) in [("my prd.md", "'my prd.md'"), ("prd.txt", "prd.txt")] {
        let ran = project.autopack(["import", name]).exited(1);
        assert!(ran.stderr.contains("has no known format"), "{ran:#?}");
        assert!(ran.stderr.contains(&format!("`autopack plan {shown} -o plan.yaml`")), "{ran:#?}");
    }
    let other = project.file("rows.txt", "{\"one\": \"two three four five\"}\n");
    let ran = other.autopack(["import", "rows.txt"]).exited(1);
    assert!(!ran.stderr.contains("autopack plan"), "{ran:#?}");
}
