//! `import` of other tools' backlogs in JSON through the real program: recognition, statuses and their summary, cycles,
//! phases that a source no longer has.

use std::path::Path;

use autopack::import;
use autopack::phase::PhaseState;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::control::ended;
use crate::recovery::wait_for_event;
use crate::support::Project;

const GREEN: &str = "ci: {command: [\"true\"]}\n";

/// Issues of beads, a line each.
fn beads(issues: &[Value]) -> String {
    issues.iter().map(|issue| format!("{issue}\n")).collect()
}

fn bead(id: &str, status: &str, needs: &[&str]) -> Value {
    let needs: Vec<Value> = needs
        .iter()
        .map(|need| json!({"issue_id": id, "depends_on_id": need, "type": "blocks"}))
        .collect();
    json!({"id": id, "title": format!("Issue {id}"), "description": format!("Write src/{id}.txt"),
        "status": status, "priority": 2, "issue_type": "task", "dependencies": needs})
}

fn states(project: &Project, run: &str) -> Vec<(String, String)> {
    let phases = project.json(["phases", "list", "--run-id", run, "--json"]);
    let text = |phase: &Value, key: &str| phase[key].as_str().unwrap().to_owned();
    let phases = phases.as_array().unwrap().iter();
    phases.map(|phase| (text(phase, "phase_id"), text(phase, "state"))).collect()
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(id, state)| ((*id).to_owned(), (*state).to_owned())).collect()
}

#[test]
fn the_summary_counts_items_by_status_and_their_dependencies() {
    let issues = [
        bead("b-1", "open", &[]),
        bead("b-2", "blocked", &["b-1", "b-3"]),
        bead("b-3", "closed", &[]),
        bead("b-4", "tombstone", &[]),
        bead("b-5", "deferred", &[]),
        bead("b-6", "thawing", &["b-99"]),
    ];
    let project = Project::without_commits().file("issues.jsonl", &beads(&issues));
    insta::assert_snapshot!(project.autopack(["import", "issues.jsonl", "--run-id", "b"]).shown());
    let ran = project.json(["import", "issues.jsonl", "--run-id", "b2", "--json"]);
    assert_eq!(
        ran["runs"][0]["summary"],
        json!({"format": "beads", "queued": 3, "done": 1, "dropped": {"deferred": 1, "deleted": 1},
            "dependencies": 2})
    );
    let notes = ran["runs"][0]["notes"].as_array().unwrap();
    assert!(notes.contains(&json!("b-3: done in issues.jsonl")), "{notes:?}");
    assert_eq!(states(&project, "b")[2], ("b-3".to_owned(), "COMPLETE".to_owned()));
}

#[test]
fn long_lists_of_notes_and_warnings_are_folded() {
    let issue = |n: usize| bead(&format!("b-{n}"), "thawing", &["gone"]);
    let issues: Vec<Value> = (0..25).map(issue).collect();
    let project = Project::without_commits().file("issues.jsonl", &beads(&issues));
    let ran = project.autopack(["import", "issues.jsonl"]).succeeded();
    assert!(ran.stdout.contains("... and 15 more notes"), "{ran:?}");
    assert!(ran.stderr.contains("... and 15 more warnings"), "{ran:?}");
    assert!(ran.stderr.contains("issues.jsonl:10: phase `b-9` has the unknown status"), "{ran:?}");
    assert_eq!(ran.stderr.lines().count(), 11, "{ran:?}");
}

#[test]
fn the_formats_are_listed_at_80_columns_and_as_json() {
    let project = Project::without_commits();
    let text = project.autopack(["import", "--list-formats"]).succeeded().stdout;
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let listed = project.json(["import", "--list-formats", "--json"]);
    let names: Vec<&str> =
        listed.as_array().unwrap().iter().map(|format| format["name"].as_str().unwrap()).collect();
    for name in
        ["python-autopack", "taskmaster", "prd", "beads", "github-json", "gitlab-json", "plan"]
    {
        assert!(names.contains(&name), "{names:?}");
        assert!(text.lines().any(|line| line == name), "{text}");
    }
    assert!(!project.path(".autopack").exists());
}

#[test]
fn from_forces_a_format() {
    // Without a status, an issue and a plan look alike.
    let list = json!([{"number": 4, "title": "Four", "state": "OPEN"}]).to_string();
    let project = Project::without_commits().file("list.json", &list);
    project.autopack(["import", "list.json", "--run-id", "issues"]).succeeded();
    assert_eq!(states(&project, "issues"), pairs(&[("4", "QUEUED")]));
    project.autopack(["import", "list.json", "--from", "plan", "--run-id", "plan"]).succeeded();
    assert_eq!(states(&project, "plan"), pairs(&[("four", "QUEUED")]));
    let line = r#"{"id": "a", "title": "A", "status": "open", "created_at": "2026-01-02"}"#;
    let waiting = r#"{"id": "b", "title": "B", "status": "open", "depends_on": ["a"], "created_at": "2026-01-02"}"#;
    let summary = |text: String| {
        project.write("lines.jsonl", &text);
        let ran = project.json(["import", "lines.jsonl", "--json", "--update"]);
        ran["runs"][0]["summary"]["format"].clone()
    };
    assert_eq!(summary(format!("{waiting}\n{line}\n")), "plan");
    assert_eq!(summary(format!("{line}\n")), "beads");
    let ran = project.autopack(["import", "list.json", "--from", "taskmaster"]).exited(1);
    assert!(ran.stderr.contains("list.json: has no list `tasks`"), "{ran:?}");
    let ran = project.autopack(["import", "list.json", "--from", "bead"]).exited(2);
    assert!(ran.stderr.contains("'beads'"), "{ran:?}");
}

#[test]
fn a_file_of_no_known_format_names_the_nearest() {
    let stories = json!({"stories": [{"title": "One", "passes": true}]}).to_string();
    let project = Project::without_commits()
        .file("stories.json", &stories)
        .file("notes.txt", "Some thoughts about the project.\n")
        .file("package.json", r#"{"version": "1.0.0", "scripts": {"test": "x"}}"#);
    for file in ["stories.json", "notes.txt", "package.json"] {
        let ran = project.autopack(["import", file]).exited(1);
        let expected = format!("error: {file} has no known format; nearest: ");
        assert!(ran.stderr.starts_with(&expected), "{ran:?}");
        assert_eq!(ran.stderr.lines().next().unwrap().matches(" (").count(), 3, "{ran:?}");
        assert!(ran.stderr.contains("--list-formats"), "{ran:?}");
        let ran = project.autopack(["drain", file]).exited(1);
        assert!(ran.stderr.starts_with(&expected), "{ran:?}");
    }
    let ran = project.autopack(["import", "stories.json"]).exited(1);
    assert!(ran.stderr.contains("prd (no `userStories`)"), "{ran:?}");
    assert!(!project.path(".autopack").exists());
}

#[test]
fn a_cycle_is_named_with_its_file_and_broken_on_request() {
    let issues = [
        bead("b-1", "open", &["b-2"]),
        bead("b-2", "open", &["b-1"]),
        bead("b-3", "open", &["b-3"]),
    ];
    let project = Project::without_commits().file("issues.jsonl", &beads(&issues));
    let ran = project.autopack(["import", "issues.jsonl"]).exited(1);
    let expected = "error: issues.jsonl: the phases of run `issues` wait for each other: \
                    b-1 -> b-2 -> b-1; b-3 -> b-3; break the cycle";
    assert!(ran.stderr.starts_with(expected), "{ran:?}");
    assert!(ran.stderr.contains("import FILE --break-cycles"), "{ran:?}");
    assert!(!project.path(".autopack").exists());
    let ran = project.autopack(["import", "issues.jsonl", "--break-cycles"]).succeeded();
    let note = "b-2: does not wait for b-1: they would wait for each other";
    assert!(ran.stdout.contains(note), "{ran:?}");
    assert_eq!(
        project.json(["phases", "show", "issues/b-1", "--json"])["depends_on"],
        json!(["b-2"])
    );

    let plan = "phases:\n- {id: a, depends_on: [b]}\n- {id: b, depends_on: [a]}\n";
    project.write("plan.yaml", plan);
    project.autopack(["import", "plan.yaml"]).exited(1);
    let ran = project.autopack(["import", "plan.yaml", "--break-cycles"]).succeeded();
    assert!(ran.stdout.contains("b: does not wait for a"), "{ran:?}");
}

#[test]
fn removed_phases_are_named_by_an_update_and_skipped_by_prune() {
    let plan = |ids: &[&str]| {
        let phase = |id: &&str| json!({"phase_id": id, "deliverables": [format!("{id}.txt")]});
        json!({"run_id": "run", "phases": ids.iter().map(phase).collect::<Vec<_>>()}).to_string()
    };
    let project = Project::new()
        .agent_with("write_deliverables()", GREEN)
        .file("plan.json", &plan(&["landed", "gone", "stays"]));
    project.autopack(["import", "plan.json"]).succeeded();
    project.autopack(["phases", "skip", "run/gone", "run/stays"]).succeeded();
    project.drain().succeeded();
    project.autopack(["phases", "retry", "run/gone", "run/stays"]).succeeded();
    project.autopack(["phases", "add", "--run-id", "run", "Added", "--file", "b.txt"]).succeeded();
    project.write("plan.json", &plan(&["stays"]));

    let ran = project.autopack(["import", "plan.json"]).succeeded();
    assert!(!ran.stdout.contains("no longer"), "{ran:?}");
    let ran = project.autopack(["import", "./plan.json", "--update"]).succeeded();
    let named =
        "2 phases no longer in ./plan.json: landed (complete), gone; `import --update --prune`";
    assert!(ran.stdout.contains(named), "{ran:?}");
    assert_eq!(project.states()["gone"], "QUEUED");

    let ran = project.json(["import", "plan.json", "--update", "--prune", "--json"]);
    let run = &ran["runs"][0];
    assert_eq!((&run["removed"], &run["pruned"]), (&json!(["landed"]), &json!(["gone"])));
    let expected =
        [("landed", "COMPLETE"), ("gone", "SKIPPED"), ("stays", "QUEUED"), ("added", "QUEUED")];
    assert_eq!(states(&project, "run"), pairs(&expected));
    assert_eq!(project.phase("gone")["note"], "no longer in plan.json");
    let ran = project.autopack(["import", "plan.json", "--update", "--prune"]).succeeded();
    assert!(ran.stdout.contains("1 phase no longer in plan.json: landed (complete)\n"), "{ran:?}");
    project.autopack(["import", "plan.json", "--prune"]).exited(2);
}

#[test]
fn a_drain_of_a_changed_file_names_what_it_no_longer_has() {
    let project = Project::new().agent_with("write_deliverables()", GREEN).file(
        "plan.yaml",
        "phases:\n- {id: a, deliverables: [a.txt]}\n- {id: b, deliverables: [b.txt]}\n",
    );
    project.autopack(["import", "plan.yaml"]).succeeded();
    project.write("plan.yaml", "phases:\n- {id: a, deliverables: [a.txt]}\n");
    let ran = project.autopack(["drain", "plan.yaml"]).succeeded();
    assert!(ran.stderr.contains("1 phase no longer in plan.yaml: b;"), "{ran:?}");
}

#[test]
fn an_empty_plan_is_nothing_to_drain() {
    let project =
        Project::new().agent_with("write_deliverables()", GREEN).file("plan.yaml", "phases: []\n");
    for _ in 0..2 {
        let ran = project.autopack(["drain", "plan.yaml"]).succeeded();
        assert_eq!(ran.stdout, "nothing to drain: no phases in plan.yaml\n");
        project.autopack(["drain", "plan.yaml", "--dry-run"]).succeeded();
        // The run exists the second time.
        project.write("full.yaml", "phases: [{id: a, deliverables: [a.txt]}]\n");
        project.autopack(["import", "full.yaml", "--run-id", "plan"]).succeeded();
    }
    let event = project.autopack(["drain", "plan.yaml", "--json"]).succeeded().json();
    assert_eq!((&event["event"], &event["exit_code"]), (&json!("drain_finished"), &json!(0)));
    project.autopack(["import", "plan.yaml"]).exited(1);
    assert_eq!(states(&project, "plan"), pairs(&[("a", "QUEUED")]));
    project.write("full.yaml", "[]\n");
    let update = ["import", "full.yaml", "--run-id", "plan", "--update", "--prune"];
    let ran = project.autopack(update).succeeded();
    assert!(ran.stdout.contains("1 skipped (no longer in the source)"), "{ran:?}");
    assert_eq!(states(&project, "plan"), pairs(&[("a", "SKIPPED")]));
}

#[test]
fn a_phase_that_is_closed_in_the_source_while_it_runs_is_stopped_and_settled() {
    let agent = "if phase_id != 'b-3': time.sleep(600)\nwrite('src/b-3.txt')";
    let issues = |one: &str, two: &str| {
        beads(&[bead("b-1", one, &[]), bead("b-2", two, &[]), bead("b-3", "open", &["b-1", "b-2"])])
    };
    let project = Project::new().agent_with(agent, GREEN).file("i.jsonl", &issues("open", "open"));
    project.autopack(["import", "i.jsonl", "--run-id", "run"]).succeeded();
    let mut child = project.spawn(["drain", "--run-id", "run", "--jobs", "2", "--json"]);
    let rest = wait_for_event(&mut child, "phase_started");
    while project.states().values().filter(|state| *state == "EXECUTING").count() < 2 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    project.write("i.jsonl", &issues("closed", "deferred"));
    let ran = project.json(["import", "i.jsonl", "--run-id", "run", "--update", "--json"]);
    assert_eq!(ran["runs"][0]["stopped"], 2, "{ran}");
    let (text, code) = ended(child, rest);
    assert_eq!(code, Some(0), "{text}");
    let states = project.states();
    let shown: Vec<&str> = ["b-1", "b-2", "b-3"].iter().map(|id| states[*id].as_str()).collect();
    assert_eq!(shown, ["COMPLETE", "SKIPPED", "COMPLETE"], "{text}");
    assert_eq!(project.landed(), ["b-3"]);
    let phase = project.phase("b-1");
    assert_eq!((&phase["attempts"], &phase["note"]), (&json!(0), &json!("done in i.jsonl")));
}

#[test]
fn an_item_that_is_open_again_is_queued_again_unless_you_settled_it() {
    let issues = |status: &str| beads(&["b-1", "b-2", "b-3"].map(|id| bead(id, status, &[])));
    let project = Project::without_commits().file("i.jsonl", &issues("closed"));
    let import = |status: &str| {
        project.write("i.jsonl", &issues(status));
        project.autopack(["import", "i.jsonl", "--run-id", "run", "--update"]).succeeded().stdout
    };
    import("closed");
    let again = import("open");
    assert!(again.contains("run run: 3 queued again (open in the source)\n"), "{again}");
    assert_eq!(project.phase("b-1")["note"], Value::Null);
    project.autopack(["phases", "skip", "run/b-1"]).succeeded();
    import("deferred");
    assert_eq!(project.states().values().collect::<Vec<_>>(), ["SKIPPED"; 3]);
    import("open");
    let expected = [("b-1", "SKIPPED"), ("b-2", "QUEUED"), ("b-3", "QUEUED")];
    assert_eq!(states(&project, "run"), pairs(&expected));
    // Another file with the same ids does not undo what this file settled.
    import("closed");
    project.write("other.yaml", "[{id: b-2}, {id: b-3}]\n");
    project.autopack(["import", "other.yaml", "--run-id", "run", "--update"]).succeeded();
    assert_eq!(project.states()["b-2"], "COMPLETE");
}

#[test]
fn tags_of_taskmaster_are_runs() {
    let task =
        |id: u32, status: &str| json!({"id": id, "title": format!("Task {id}"), "status": status});
    let mut with_subtasks = task(2, "pending");
    with_subtasks["details"] = json!("Mind the gap.");
    with_subtasks["testStrategy"] = json!("Run it twice.");
    with_subtasks["subtasks"] = json!([
        {"id": 1, "title": "First", "status": "done"},
        {"id": 2, "title": "Second", "status": "pending", "dependencies": [1], "details": "In src/second.py"}]);
    let file = json!({"master": {"tasks": [task(1, "done"), with_subtasks]}, "api": {"tasks": [task(1, "pending")]}});
    let project =
        Project::without_commits().file(".taskmaster/tasks/tasks.json", &file.to_string());
    let import = |more: &[&str]| {
        let args = [&["import", ".taskmaster/tasks/tasks.json"], more].concat();
        project.autopack(args).succeeded()
    };
    import(&[]);
    let expected = [("1", "COMPLETE"), ("2.1", "COMPLETE"), ("2.2", "QUEUED"), ("2", "QUEUED")];
    assert_eq!(states(&project, "tasks"), pairs(&expected));
    assert_eq!(states(&project, "api"), pairs(&[("1", "QUEUED")]));
    import(&["--run-id", "shop"]);
    assert_eq!(states(&project, "shop"), pairs(&expected));
    assert_eq!(states(&project, "shop-api"), pairs(&[("1", "QUEUED")]));
    import(&["--run-id", "folded", "--no-subtasks"]);
    assert_eq!(states(&project, "folded"), pairs(&[("1", "COMPLETE"), ("2", "QUEUED")]));
    let phase = project.json(["phases", "show", "folded/2", "--json"]);
    let text = phase["description"].as_str().unwrap();
    for part in [
        "Mind the gap.",
        "Run it twice.",
        "- [x] 2.1 First",
        "- [ ] 2.2 Second\n  In src/second.py",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn issues_of_others_are_marked_and_named_by_number() {
    let issue = |number: u32, title: &str, state: &str, body: &str| {
        json!({"number": number, "title": title, "state": state, "body": body, "labels": [{"name": "bug"}],
            "url": format!("https://github.com/o/r/issues/{number}"), "author": {"login": "kim"}})
    };
    let list = json!([
        issue(3, "Same title", "OPEN", "Blocked by #2\n## Acceptance criteria\n- [ ] fast"),
        issue(2, "Same title", "OPEN", ""),
        issue(1, "Same title", "CLOSED", "")
    ]);
    let utf16: Vec<u8> = list
        .to_string()
        .replace(",{", ",\r\n{")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let project = Project::without_commits();
    std::fs::write(project.path("issues.json"), utf16).unwrap();
    let ran = project.autopack(["import", "issues.json"]).succeeded();
    assert!(ran.stdout.contains("github-json: 2 queued, 1 done before; 1 dependency\n"), "{ran:?}");
    let phase = project.json(["phases", "show", "issues/3", "--json"]);
    assert_eq!(phase["depends_on"], json!(["2"]));
    assert_eq!(phase["description"], "Blocked by #2\n## Acceptance criteria\n- [ ] fast");
    let text = phase.to_string();
    for part in [
        r#""name":"github""#,
        r#""issue":3"#,
        r#""author":"kim""#,
        r#""acceptance_criteria":["fast"]"#,
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let nameless = json!([{"title": "No number", "state": "OPEN", "body": ""}]).to_string();
    project.write("few.json", &nameless);
    let ran = project.autopack(["import", "few.json"]).exited(1);
    assert!(ran.stderr.contains("gh issue list --state all"), "{ran:?}");
}

#[test]
fn a_beads_directory_is_imported_and_drained() {
    let project = Project::new()
        .agent_with("write(f'src/{phase_id}.txt')", GREEN)
        .file(
            ".beads/issues.jsonl",
            &beads(&[bead("b-1", "closed", &[]), bead("b-2", "open", &["b-1"])]),
        )
        .file(".beads/config.yaml", "prefix: b\n");
    project.autopack(["import", ".beads"]).succeeded();
    assert_eq!(states(&project, "beads"), pairs(&[("b-1", "COMPLETE"), ("b-2", "QUEUED")]));
    project.autopack(["drain", ".beads", "--run-id", "run"]).succeeded();
    assert_eq!(project.landed(), ["b-2"]);
}

/// Two epics of 1,000 children each; the first blocks the second.
fn large_epics() -> String {
    let issue = |id: String, kind: &str, needs: &[(&str, &str)]| {
        let needs: Vec<Value> = needs
            .iter()
            .map(|(need, kind)| json!({"issue_id": id, "depends_on_id": need, "type": kind}))
            .collect();
        json!({"id": id, "title": id, "status": "open", "issue_type": kind, "dependencies": needs})
    };
    let mut issues = vec![
        issue("e1".to_owned(), "epic", &[]),
        issue("e2".to_owned(), "epic", &[("e1", "blocks")]),
    ];
    for epic in ["e1", "e2"] {
        let child = |n: u32| issue(format!("{epic}-{n}"), "task", &[(epic, "parent-child")]);
        issues.extend((0..1000).map(child));
    }
    // Comes after its own epic.
    issues.push(issue("e1-last".to_owned(), "task", &[("e1", "parent-child"), ("e1", "blocks")]));
    beads(&issues)
}

#[test]
fn large_epics_and_parallel_phases_have_few_dependencies() {
    let mut spec = "# Tasks\n".to_owned();
    for task in 0..5000 {
        if task % 1000 == 0 {
            spec += &format!("\n## Phase {}: Part\n\n", task / 1000 + 1);
        }
        spec += &format!("- [ ] T{task:04} [P] Write src/{task}.py\n");
    }
    let project =
        Project::without_commits().file("i.jsonl", &large_epics()).file("tasks.md", &spec);
    let summary = |file: &str, run: &str| {
        let ran = project.json(["import", file, "--run-id", run, "--json"]);
        ran["runs"][0]["summary"].clone()
    };
    let found = summary("i.jsonl", "epics");
    assert_eq!((&found["queued"], &found["dependencies"]), (&json!(2002), &json!(2001)));
    let needs =
        |phase: &str| project.json(["phases", "show", phase, "--json"])["depends_on"].clone();
    assert_eq!(needs("epics/e2-7"), json!(["e1"]));
    assert_eq!(needs("epics/e1").as_array().unwrap().len(), 1000);
    assert_eq!(needs("epics/e1-last"), json!(["e1"]));
    // Of each phase but the last, one task waits for 999 others.
    assert_eq!(summary("tasks.md", "spec")["dependencies"], 4 * 999 + 3 * 999 + 1000);
    assert_eq!(needs("spec/T1000"), json!(["T0999"]));
    assert_eq!(needs("spec/T0999").as_array().unwrap().len(), 999);
    assert_eq!(needs("spec/T4999"), json!(["T3999"]));
}

/// A status in a source, and the state of its phase.
type Word = (&'static str, PhaseState);

fn words(
    done: &'static [&'static str],
    dropped: &'static [&'static str],
) -> impl Strategy<Value = Word> {
    let done = done.iter().map(|word| (*word, PhaseState::Complete));
    let dropped = dropped.iter().map(|word| (*word, PhaseState::Skipped));
    let open = ["open", "pending", "in_progress", "review", "blocked", "???"];
    let open = open.into_iter().map(|word| (word, PhaseState::Queued));
    let all: Vec<Word> = done.chain(dropped).chain(open).collect();
    proptest::sample::select(all)
}

/// Checks the states of phases `1`, `2`, ...
fn check(file: &str, text: &str, expected: &[Word]) {
    let plan = import::parse_whole(Path::new(file), text.as_bytes(), None).unwrap();
    let phases = &plan.runs[0].phases;
    assert_eq!(phases.len(), expected.len(), "{text}");
    for phase in phases {
        let number: usize = phase.phase_id.as_str().parse().unwrap();
        assert_eq!(phase.state, expected[number - 1].1, "phase {number}: {text}");
    }
}

/// Each item waits for the item before.
fn items(words: &[Word], item: impl Fn(usize, &str) -> Value) -> Vec<Value> {
    (1..).zip(words).map(|(number, (word, _))| item(number, word)).collect()
}

proptest! {
    #[test]
    fn nothing_done_in_taskmaster_is_queued(all in prop::collection::vec(words(&["done", "completed", "Done"], &["deferred", "cancelled"]), 1..12)) {
        let task = |number: usize, status: &str| json!({"id": number, "title": "T", "status": status,
            "dependencies": if number > 1 { json!([number - 1]) } else { json!([]) }});
        check("tasks.json", &json!({"master": {"tasks": items(&all, task)}}).to_string(), &all);
        check("tasks.json", &json!({"tasks": items(&all, task)}).to_string(), &all);
    }

    #[test]
    fn nothing_passed_in_a_prd_is_queued(all in prop::collection::vec(words(&["true"], &[]), 1..12)) {
        let story = |number: usize, word: &str| json!({"id": number.to_string(), "title": "T",
            "priority": 20 - number, "passes": word == "true"});
        check("prd.json", &json!({"userStories": items(&all, story)}).to_string(), &all);
    }

    #[test]
    fn nothing_closed_in_beads_is_queued(all in prop::collection::vec(words(&["closed"], &["deferred", "pinned"]), 1..12)) {
        let issue = |number: usize, word: &str| {
            let mut issue = bead(&number.to_string(), word, &[]);
            if number > 1 {
                issue["dependencies"] = json!([{"depends_on_id": (number - 1).to_string(), "type": "blocks"}]);
            }
            issue
        };
        check("issues.jsonl", &beads(&items(&all, issue)), &all);
    }

    #[test]
    fn nothing_closed_on_a_tracker_is_queued(all in prop::collection::vec(words(&["CLOSED"], &["NOT_PLANNED", "DUPLICATE"]), 1..12)) {
        let issue = |number: usize, word: &str| match word {
            "NOT_PLANNED" | "DUPLICATE" => json!({"number": number, "title": "T", "state": "CLOSED", "stateReason": word}),
            word => json!({"number": number, "title": "T", "state": word}),
        };
        check("issues.json", &json!(items(&all, issue)).to_string(), &all);
        let issue = |number: usize, word: &str| json!({"iid": number, "title": "T", "state": word.to_lowercase()});
        let closed: Vec<Word> =
            all.iter().copied().filter(|(_, state)| *state != PhaseState::Skipped).collect();
        prop_assume!(!closed.is_empty());
        check("issues.json", &json!(items(&closed, issue)).to_string(), &closed);
    }
}
