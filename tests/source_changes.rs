//! `import --update` of sources that lost items: deleted, archived and left-out items, parts that vanish or appear.

use std::fs;

use serde_json::{Value, json};

use crate::control::ended;
use crate::recovery::wait_for_event;
use crate::support::Project;
use crate::trackers::on_github;

const GREEN: &str = "ci: {command: [\"true\"]}\n";

fn bead(id: &str, status: &str) -> Value {
    json!({"id": id, "title": format!("Issue {id}"), "status": status, "priority": 2,
        "issue_type": "task", "description": format!("Write src/{id}.txt")})
}

fn beads(issues: &[(&str, &str)]) -> String {
    issues.iter().map(|(id, status)| format!("{}\n", bead(id, status))).collect()
}

fn states(project: &Project, run: &str) -> Vec<String> {
    let phases = project.json(["phases", "list", "--run-id", run, "--json"]);
    let text = |phase: &Value, key: &str| phase[key].as_str().unwrap().to_owned();
    let line = |phase: &Value| format!("{} {}", text(phase, "phase_id"), text(phase, "state"));
    phases.as_array().unwrap().iter().map(line).collect()
}

fn note(project: &Project, phase: &str) -> Value {
    project.json(["phases", "show", phase, "--json"])["note"].clone()
}

fn runs(project: &Project) -> Vec<String> {
    let runs = project.json(["runs", "list", "--json"]);
    let name = |run: &Value| run["run_id"].as_str().unwrap().to_owned();
    runs.as_array().unwrap().iter().map(name).collect()
}

/// Moves a file or directory of the project.
fn rename(project: &Project, from: &str, to: &str) {
    let to = project.path(to);
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::rename(project.path(from), to).unwrap();
}

#[test]
fn deleted_items_settle_their_phases_and_stop_attempts() {
    let agent = "if phase_id == 'b-2': time.sleep(600)\nwrite(f'src/{phase_id}.txt')";
    let open = [("b-1", "open"), ("b-2", "open"), ("b-3", "open"), ("b-4", "tombstone")];
    let project = Project::new().agent_with(agent, GREEN).file("i.jsonl", &beads(&open));
    let ran = project.autopack(["import", "i.jsonl", "--run-id", "run"]).succeeded();
    assert!(ran.stdout.contains("3 queued, 1 deleted"), "{ran:?}");
    let mut child = project.spawn(["drain", "--run-id", "run", "--json"]);
    let rest = wait_for_event(&mut child, "phase_finished");
    while project.states()["b-2"] != "EXECUTING" {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    project.write("i.jsonl", &beads(&open.map(|(id, _)| (id, "tombstone"))));
    let ran = project.json(["import", "i.jsonl", "--run-id", "run", "--update", "--json"]);
    let run = &ran["runs"][0];
    assert_eq!((&run["skipped"], &run["stopped"]), (&json!(1), &json!(1)), "{ran}");
    assert_eq!(run["removed"], Value::Null, "deleted items are not missing: {ran}");
    let (text, code) = ended(child, rest);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(states(&project, "run"), ["b-1 COMPLETE", "b-2 SKIPPED", "b-3 SKIPPED"], "{text}");
    assert_eq!(note(&project, "run/b-3"), "\"deleted\" in i.jsonl: skipped");
    // An item that comes back is queued again.
    project.write("i.jsonl", &beads(&open));
    project.autopack(["import", "i.jsonl", "--run-id", "run", "--update"]).succeeded();
    assert_eq!(states(&project, "run")[1..], ["b-2 QUEUED", "b-3 QUEUED"]);
}

#[test]
fn an_import_without_update_and_other_sources_settle_nothing() {
    let project = Project::without_commits().file("i.jsonl", &beads(&[("a", "open")]));
    project.autopack(["import", "i.jsonl", "--run-id", "run"]).succeeded();
    let deleted = beads(&[("a", "tombstone"), ("b", "open")]);
    project.write("other.jsonl", &deleted);
    project.autopack(["import", "other.jsonl", "--run-id", "run", "--update"]).succeeded();
    assert_eq!(states(&project, "run"), ["a QUEUED", "b QUEUED"]);
    project.write("i.jsonl", &deleted);
    project.autopack(["import", "i.jsonl", "--run-id", "run"]).succeeded();
    assert_eq!(states(&project, "run"), ["a QUEUED", "b QUEUED"]);
    project.autopack(["import", "i.jsonl", "--run-id", "run", "--update"]).succeeded();
    assert_eq!(states(&project, "run"), ["a SKIPPED", "b QUEUED"]);
}

#[test]
fn archived_tasks_of_backlog_md_are_skipped_and_reused_ids_are_not() {
    let task = |id: &str| {
        format!("---\nid: {id}\ntitle: Task {id}\nstatus: To Do\n---\n\n## Description\n\nDo it\n")
    };
    let project = Project::without_commits();
    for id in ["task-1", "task-2", "task-3", "task-4"] {
        project.write(&format!("backlog/tasks/{id}.md"), &task(id));
    }
    project.autopack(["import", "backlog"]).succeeded();
    rename(&project, "backlog/tasks/task-1.md", "backlog/archive/tasks/task-1.md");
    rename(&project, "backlog/tasks/task-2.md", "backlog/drafts/task-2.md");
    rename(&project, "backlog/tasks/task-3.md", "backlog/archive/tasks/task-3.md");
    project.write("backlog/tasks/task-3 - Another.md", &task("task-3"));
    project.autopack(["import", "backlog", "--update"]).succeeded();
    let expected = ["task-1 SKIPPED", "task-2 SKIPPED", "task-3 QUEUED", "task-4 QUEUED"];
    assert_eq!(states(&project, "backlog"), expected);
    assert_eq!(note(&project, "backlog/task-1"), "\"archived\" in backlog: skipped");
}

const CHANGE: &str = "## 1. Login\n\n- [x] 1.1 Schema\n- [ ] 1.2 Form\n";

#[test]
fn an_archived_change_is_done() {
    let project = Project::without_commits();
    for change in ["add-login", "fix-logout"] {
        project.write(&format!("openspec/changes/{change}/tasks.md"), CHANGE);
        project.write(&format!("openspec/changes/{change}/proposal.md"), "# Why\n");
    }
    for given in [&[][..], &["--run-id", "x"]] {
        project.autopack([&["import", "openspec"][..], given].concat()).succeeded();
    }
    let archived = "openspec/changes/archive/2026-03-04-add-login";
    rename(&project, "openspec/changes/add-login", archived);
    let ran = project.json(["import", "openspec", "--update", "--json"]);
    assert_eq!(
        (&ran["runs"][1]["run_id"], &ran["runs"][1]["done"]),
        (&json!("add-login"), &json!(1))
    );
    assert_eq!(states(&project, "add-login"), ["1.1 COMPLETE", "1.2 COMPLETE"]);
    assert_eq!(note(&project, "add-login/1.2"), "archived in openspec");
    assert_eq!(states(&project, "fix-logout"), ["1.1 COMPLETE", "1.2 QUEUED"]);
    assert_eq!(states(&project, "x-add-login"), ["1.1 COMPLETE", "1.2 QUEUED"], "another choice");
    project.autopack(["import", "openspec", "--run-id", "x", "--update"]).succeeded();
    assert_eq!(states(&project, "x-add-login"), ["1.1 COMPLETE", "1.2 COMPLETE"]);
    // Again without a change, and alone.
    let ran = project.json(["import", "openspec", "--update", "--json"]);
    assert_eq!(ran["runs"].as_array().unwrap().len(), 1, "{ran}");
    rename(
        &project,
        "openspec/changes/fix-logout",
        "openspec/changes/archive/2026-03-05-fix-logout",
    );
    project.autopack(["import", "openspec", "--update"]).succeeded();
    assert_eq!(states(&project, "fix-logout"), ["1.1 COMPLETE", "1.2 COMPLETE"]);
}

#[test]
fn a_completed_plan_of_ralphex_is_done() {
    let plan = "# Plan\n\n### Task 1: Add it\n\n- [ ] add\n\n### Task 2: Test it\n\n- [ ] test\n";
    let project = Project::without_commits().file("docs/plans/a.md", plan);
    project.write("docs/plans/b.md", plan);
    project.autopack(["import", "docs/plans"]).succeeded();
    rename(&project, "docs/plans/a.md", "docs/plans/completed/a.md");
    project.autopack(["import", "docs/plans", "--update"]).succeeded();
    assert_eq!(states(&project, "a"), ["task-1 COMPLETE", "task-2 COMPLETE"]);
    assert_eq!(states(&project, "b"), ["task-1 QUEUED", "task-2 QUEUED"]);
}

/// A file of Taskmaster with a task for each tag.
fn tags(tags: &[&str]) -> String {
    let task = json!({"tasks": [{"id": 1, "title": "One", "status": "pending"}]});
    let tags = tags.iter().map(|tag| ((*tag).to_owned(), task.clone()));
    Value::Object(tags.collect()).to_string()
}

#[test]
fn a_tag_that_vanishes_is_named_and_pruned() {
    let project = Project::without_commits().file("tasks.json", &tags(&["master", "old"]));
    for given in [&[][..], &["--run-id", "x"]] {
        project.autopack([&["import", "tasks.json"][..], given].concat()).succeeded();
    }
    project.write("tasks.json", &tags(&["master"]));
    let update = ["import", "tasks.json", "--update"];
    let ran = project.autopack(update).succeeded();
    let named =
        "run old: nothing new\n  1 phase no longer in tasks.json: 1; `import --update --prune`";
    assert!(ran.stdout.contains(named), "{ran:?}");
    assert!(!ran.stdout.contains("x-old"), "{ran:?}");
    let ran = project.json([&update[..], &["--prune", "--json"]].concat());
    assert_eq!(ran["runs"][1]["pruned"], json!(["1"]));
    assert_eq!(states(&project, "old"), ["1 SKIPPED"]);
    assert_eq!(states(&project, "x-old"), ["1 QUEUED"]);
    project.autopack([&update[..], &["--prune", "--run-id", "x"]].concat()).succeeded();
    assert_eq!(states(&project, "x-old"), ["1 SKIPPED"]);
    assert_eq!(states(&project, "x"), ["1 QUEUED"]);
    // Nothing is left to say.
    let ran = project.json([&update[..], &["--prune", "--json"]].concat());
    assert_eq!(ran["runs"].as_array().unwrap().len(), 1, "{ran}");
}

#[test]
fn a_source_that_lost_all_of_its_tags_is_no_error_for_an_update() {
    let project = Project::without_commits().file("tasks.json", &tags(&["old", "older"]));
    project.autopack(["import", "tasks.json"]).succeeded();
    project.write("tasks.json", &json!({"master": {"tasks": []}}).to_string());
    project.autopack(["import", "tasks.json"]).exited(1);
    let ran = project.json(["import", "tasks.json", "--update", "--prune", "--json"]);
    let pruned: Vec<&Value> =
        ran["runs"].as_array().unwrap().iter().map(|run| &run["pruned"]).collect();
    assert_eq!(pruned, [&json!(["1"]), &json!(["1"])]);
    assert_eq!(runs(&project), ["old", "older"]);
}

#[test]
fn a_specification_that_vanishes_is_named() {
    let tasks = "## Phase 1\n\n- [ ] T001 Do it in src/a.py\n";
    let project = Project::without_commits().file("specs/001-a/tasks.md", tasks);
    project.write("specs/002-b/tasks.md", tasks);
    project.autopack(["import", "specs"]).succeeded();
    fs::remove_dir_all(project.path("specs/002-b")).unwrap();
    let ran = project.autopack(["import", "specs", "--update"]).succeeded();
    assert!(ran.stdout.contains("1 phase no longer in specs: T001;"), "{ran:?}");
}

#[test]
fn a_tag_stays_in_its_run_when_others_appear() {
    let project = Project::without_commits().file("tasks.json", &tags(&["feature"]));
    let import = |all: &[&str]| {
        project.write("tasks.json", &tags(all));
        project.autopack(["import", "tasks.json", "--run-id", "x", "--update"]).succeeded()
    };
    import(&["feature"]);
    let ran = import(&["feature", "master"]);
    assert!(ran.stdout.contains("run x: 1 unchanged"), "{ran:?}");
    assert!(ran.stdout.contains("run x-master: 1 added"), "{ran:?}");
    assert_eq!(runs(&project), ["x", "x-master"]);
    let ran = import(&["master"]);
    assert!(ran.stdout.contains("run x-master: 1 unchanged"), "{ran:?}");
    assert!(ran.stdout.contains("run x: nothing new"), "{ran:?}");
    assert_eq!(runs(&project), ["x", "x-master"]);
}

#[test]
fn a_directory_stays_in_its_run_when_others_appear() {
    let tasks = "## Phase 1\n\n- [ ] T001 Do it in src/a.py\n";
    let project =
        Project::new().agent_with("write('src/a.py')", GREEN).file("specs/001-a/tasks.md", tasks);
    project.autopack(["drain", "specs", "--run-id", "x"]).succeeded();
    project.write("specs/000-b/tasks.md", tasks);
    project.autopack(["drain", "specs", "--run-id", "x", "--dry-run"]).succeeded();
    project.autopack(["import", "specs", "--run-id", "x", "--update"]).succeeded();
    assert_eq!(states(&project, "x"), ["T001 COMPLETE"]);
    assert_eq!(states(&project, "x-000-b"), ["T001 QUEUED"]);
}

#[test]
fn a_list_from_standard_input_is_not_compared_with_earlier_ones() {
    let list = |numbers: &[u32]| {
        let issue = |number: &u32| json!({"number": number, "title": format!("Issue {number}"), "state": "OPEN"});
        json!(numbers.iter().map(issue).collect::<Vec<_>>()).to_string()
    };
    let project = Project::without_commits();
    let update = ["import", "-", "--run-id", "run", "--update"];
    project.autopack_reading(update, &list(&[1, 2])).succeeded();
    let ran = project.autopack_reading(update, &list(&[2])).succeeded();
    assert!(!ran.stdout.contains("no longer"), "{ran:?}");
    let ran = project.autopack_reading([&update[..], &["--prune"]].concat(), &list(&[2])).exited(2);
    assert!(ran.stderr.starts_with("error: --prune compares with a file, not with -\n"), "{ran:?}");
    assert_eq!(states(&project, "run"), ["1 QUEUED", "2 QUEUED"]);
}

#[test]
fn issues_that_vanished_from_a_tracker_are_skipped_by_an_update() {
    use crate::support::forge::{ForgeServer, issue};
    let server = ForgeServer::github();
    server.add([issue(1, "a"), issue(2, "b")]);
    let project = on_github(&server);
    project.autopack(["import", "github:o/r"]).succeeded();
    server.with(|knowledge| knowledge.issues.retain(|issue| issue.number != 2));
    project.autopack(["import", "github:o/r", "--update"]).succeeded();
    assert_eq!(states(&project, "o-r"), ["1 QUEUED", "2 SKIPPED"]);
}
