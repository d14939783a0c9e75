//! `sync`: a run follows its tracker.

use serde_json::{Value, json};

use crate::control::{held, release};
use crate::support::Project;
use crate::support::database;
use crate::support::forge::{Answer, ForgeServer, issue};
use crate::support::golden::golden;
use crate::trackers::{on_github, phases, snapshot};

/// A run of three issues, in step with the stand-in.
fn three() -> (ForgeServer, Project) {
    let server = ForgeServer::github();
    server.add([issue(1, "a"), issue(2, "b").body("Blocked by #1"), issue(3, "c")]);
    let project = on_github(&server);
    project.autopack(["import", "github:o/r"]).succeeded();
    server.take_asked();
    (server, project)
}

fn states(project: &Project) -> Vec<Value> {
    phases(project, "o-r", &["phase_id", "state"])
}

fn sync(project: &Project) -> Value {
    project.json(["sync", "o-r", "--json"])
}

fn note(project: &Project, phase: &str) -> Value {
    project.json(["phases", "show", &format!("o-r/{phase}"), "--json"])["note"].clone()
}

#[test]
fn an_unchanged_tracker_costs_one_conditional_request() {
    let (server, project) = three();
    let ran = project.autopack(["sync", "o-r"]).succeeded();
    assert_eq!(ran.stdout, "run o-r: no change in github:o/r\n");
    let asked = server.take_asked();
    assert_eq!(asked.iter().map(|asked| asked.status).collect::<Vec<_>>(), [304]);
    // Gitea has no ETags, and cannot be asked for the last change.
    let gitea = ForgeServer::gitea();
    gitea.add([issue(1, "a").by("o")]);
    let other = Project::new();
    other.autopack(["import", &format!("gitea:{}/o/r", gitea.host())]).succeeded();
    assert_eq!(sync(&other)["changed"], false);
    gitea.close(1, None);
    assert_eq!(sync(&other)["completed"], json!(["1"]));
}

#[test]
fn new_changed_closed_and_reopened_issues_are_followed() {
    let (server, project) = three();
    server.add([issue(4, "d"), issue(5, "e").by("stranger")]);
    server.change(3, |issue| issue.body = "more".to_owned());
    server.close(1, Some("not_planned"));
    let ran = project.autopack(["sync", "o-r", "--dry-run"]).succeeded();
    snapshot("sync_dry_run", &golden(&ran));
    assert_eq!(states(&project).len(), 3);
    let synced = sync(&project);
    assert_eq!((&synced["run_id"], &synced["tracker"]), (&json!("o-r"), &json!("github:o/r")));
    let lists = ["added", "updated", "skipped", "completed", "stopped", "requeued"];
    let lists = lists.map(|list| synced[list].clone());
    assert_eq!(lists, [json!(["4"]), json!(["3"]), json!(["1"]), json!([]), json!([]), json!([])]);
    assert_eq!(synced["left_out"], 1);
    assert_eq!(note(&project, "1"), "closed as not planned in github:o/r");
    let phase = project.json(["phases", "show", "o-r/3", "--json"]);
    assert_eq!(phase["spec_as_written"]["description"], "more");
    // Phase 2 waits for 1, which is settled.
    assert_eq!(project.json(["status", "o-r", "--json"])["runs"][0]["blocked"], 0);
    server.change(1, |issue| (issue.is_closed, issue.reason) = (false, None));
    server.close(2, Some("completed"));
    let ran = project.autopack(["sync", "o-r"]).succeeded();
    assert_eq!(ran.stdout, "run o-r: 1 complete, 1 queued again\n");
    assert_eq!(
        states(&project),
        [
            json!(["1", "QUEUED"]),
            json!(["2", "COMPLETE"]),
            json!(["3", "QUEUED"]),
            json!(["4", "QUEUED"])
        ]
    );
    assert_eq!(
        (note(&project, "1"), note(&project, "2")),
        (Value::Null, json!("closed in github:o/r"))
    );
    server.change(2, |issue| (issue.is_closed, issue.reason) = (false, Some("reopened")));
    assert_eq!(sync(&project)["requeued"], json!(["2"]));
    // What sync settled has evidence: a drain has nothing to say about it.
    server.close(2, Some("duplicate"));
    assert_eq!(sync(&project)["skipped"], json!(["2"]));
}

#[test]
fn landed_phases_and_phases_of_the_operator_stay() {
    let server = ForgeServer::github();
    server.add([issue(1, "a").body("src/a.py"), issue(2, "b"), issue(3, "c")]);
    let config = "ci: {command: [\"true\"]}\nexecutor: {unscoped: allow}\n";
    let project = on_github(&server).agent_with("write('src/a.py')", config);
    project.autopack(["import", "github:o/r"]).succeeded();
    project.autopack(["phases", "skip", "--run-id", "o-r", "2", "3"]).succeeded();
    project.autopack(["drain", "o-r"]).succeeded();
    for number in [1, 2] {
        server.close(number, Some("not_planned"));
    }
    assert_eq!(sync(&project)["changed"], false);
    for number in [1, 2] {
        server.change(number, |issue| (issue.is_closed, issue.reason) = (false, None));
    }
    assert_eq!(sync(&project)["changed"], false);
    // Queued again by the operator, a closed issue stays queued.
    server.close(3, None);
    sync(&project);
    project.autopack(["phases", "retry", "--run-id", "o-r", "3"]).succeeded();
    server.close(2, None);
    assert_eq!(sync(&project)["completed"], json!(["3"]));
}

#[test]
fn the_operators_fields_survive_a_changed_text() {
    let (server, project) = three();
    project
        .autopack(["phases", "set", "o-r/3", "deliverables=src/c.py", "max_attempts=2"])
        .succeeded();
    assert_eq!(sync(&project)["changed"], false, "comments and edits are no change of an issue");
    server.change(3, |issue| issue.title = "other".to_owned());
    assert_eq!(sync(&project)["updated"], json!(["3"]));
    let phase = &project.json(["phases", "show", "o-r/3", "--json"]);
    assert_eq!((&phase["name"], &phase["max_attempts"]), (&json!("other"), &json!(2)));
    assert_eq!(phase["spec_as_written"]["deliverables"], "src/c.py");
}

#[test]
fn issues_that_lose_the_label_or_vanish_are_skipped() {
    let server = ForgeServer::github();
    server.add([1, 2, 3].map(|number| issue(number, "a").by("stranger").labels(&["autopack"])));
    let project = on_github(&server);
    project.autopack(["import", "github:o/r", "--label", "autopack"]).succeeded();
    server.change(1, |issue| issue.labels.clear());
    server.with(|knowledge| knowledge.issues.retain(|issue| issue.number != 2));
    assert_eq!(sync(&project)["skipped"], json!(["1", "2"]));
    assert_eq!(note(&project, "1"), "no longer chosen in github:o/r");
    assert_eq!(note(&project, "2"), "gone from github:o/r");
    server.change(1, |issue| issue.labels = vec!["autopack"]);
    assert_eq!(sync(&project)["requeued"], json!(["1"]));
}

#[test]
fn a_deleted_issue_is_noticed_within_an_hour_and_by_prune() {
    let (server, project) = three();
    let remove = |number: u64| {
        server.with(|knowledge| knowledge.issues.retain(|issue| issue.number != number));
    };
    let hour_ago = "UPDATE run_sources SET synced_at = synced_at - 3600000";
    remove(2);
    assert_eq!(sync(&project)["changed"], false, "the last change is another one");
    database::execute(&project, hour_ago);
    assert_eq!(project.json(["sync", "o-r", "--json", "--dry-run"])["skipped"], json!(["2"]));
    assert_eq!(sync(&project)["skipped"], json!(["2"]));
    assert_eq!(note(&project, "2"), "gone from github:o/r");
    server.take_asked();
    assert_eq!(sync(&project)["changed"], false);
    assert_eq!(server.take_asked().len(), 1, "compared a moment ago");
    remove(1);
    assert_eq!(sync(&project)["changed"], false);
    let ran = project.json(["sync", "o-r", "--json", "--prune"]);
    assert_eq!(ran["skipped"], json!(["1"]));
    assert_eq!(ran["taken"], Value::Null);
}

#[test]
fn a_phase_of_yours_keeps_its_id() {
    let (server, project) = three();
    project.write("plan.yaml", "phases: [{id: '4', deliverables: [a.txt]}]\n");
    project.autopack(["import", "plan.yaml", "--run-id", "o-r"]).succeeded();
    server.add([issue(4, "d")]);
    let ran = project.autopack(["sync", "o-r"]).succeeded();
    assert!(ran.stderr.contains("issue 4 is left out: a phase of yours has this id"), "{ran:?}");
    assert_eq!(ran.stdout, "run o-r: no change in github:o/r\n");
}

#[test]
fn named_issues_are_followed_without_a_list() {
    let server = ForgeServer::github();
    server.add([issue(1, "a"), issue(2, "b").by("stranger")]);
    let project = on_github(&server);
    project.autopack(["import", "github:o/r#2"]).succeeded();
    assert_eq!(sync(&project)["changed"], false);
    server.close(2, Some("completed"));
    assert_eq!(sync(&project)["completed"], json!(["2"]));
    server.change(2, |issue| issue.is_closed = false);
    assert_eq!(sync(&project)["requeued"], json!(["2"]));
    // A list beside it does not drop the named issue.
    project.autopack(["import", "github:o/r"]).succeeded();
    server.change(1, |issue| issue.title = "other".to_owned());
    assert_eq!(sync(&project)["updated"], json!(["1"]));
    assert_eq!(states(&project), [json!(["2", "QUEUED"]), json!(["1", "QUEUED"])]);
}

#[test]
fn a_failed_synchronization_is_made_up_for() {
    let (server, project) = three();
    server.close(1, Some("completed"));
    // The last change is read, the list is not.
    let change = json!([{"number": 1, "state": "closed"}]).to_string();
    server.answer_next([Answer::of(200, &change).header("etag", "W/\"x\""), Answer::of(403, "{}")]);
    project.autopack(["sync", "o-r"]).exited(1);
    assert_eq!(sync(&project)["completed"], json!(["1"]));
}

#[test]
fn the_attempt_of_a_closed_issue_is_stopped_and_its_phase_settled() {
    let server = ForgeServer::github();
    server.add([issue(1, "a").body("src/a.py"), issue(2, "b").body("src/b.py\nBlocked by #1")]);
    let project = held().env("AUTOPACK_GITHUB_API_URL", server.url());
    let settings = project.read(".autopack/config/autopack.yaml");
    let project = project.config(&format!("{settings}executor: {{unscoped: allow}}\n"));
    project.autopack(["import", "github:o/r"]).succeeded();
    let drain = project.spawn(["drain", "o-r"]);
    while !project.outside("at-work").exists() {
        std::thread::yield_now();
    }
    server.close(1, Some("not_planned"));
    let synced = sync(&project);
    assert_eq!((&synced["stopped"], &synced["skipped"]), (&json!(["1"]), &json!([])));
    // Phase 2 starts when 1 is settled, and its agent may go on then.
    while states(&project)[0] != json!(["1", "SKIPPED"]) {
        std::thread::yield_now();
    }
    release(&project);
    let drained = project.wait(drain);
    let line = drained.stdout.lines().find(|line| line.starts_with("closed   1")).unwrap();
    assert!(line.ends_with("its issue was closed, not counted"), "{drained:#?}");
    assert_eq!(note(&project, "1"), "closed as not planned in github:o/r");
    let stopped = project.json(["phases", "show", "o-r/1", "--json"]);
    assert_eq!((&stopped["attempts"], &stopped["commit"]), (&json!(0), &Value::Null));
    server.change(1, |issue| (issue.is_closed, issue.reason) = (false, None));
    assert_eq!(sync(&project)["requeued"], json!(["1"]));
}

#[test]
fn only_runs_of_trackers_are_synchronized() {
    let project = Project::new().plan(json!({"phases": [{"phase_id": "a"}]}));
    let texts: Vec<String> = [&["sync"][..], &["sync", "other"], &["sync", "run"]]
        .map(|args| format!("# {}\n{}", args.join(" "), golden(&project.autopack(args).exited(1))))
        .to_vec();
    snapshot("sync_mistakes", &texts.join("\n"));
}

#[test]
fn closed_issues_of_gitlab_are_followed() {
    let server = ForgeServer::gitlab();
    server.add([issue(1, "a"), issue(2, "b"), issue(3, "c")]);
    let project = Project::new();
    let name = format!("gitlab:{}/group/sub/p", server.host());
    project.autopack(["import", &name, "--run-id", "o-r"]).succeeded();
    server.take_asked();
    assert_eq!(sync(&project)["changed"], false);
    assert_eq!(server.take_asked().len(), 1);
    server.close(1, None);
    server.close(2, Some("duplicate"));
    let synced = sync(&project);
    assert_eq!((&synced["completed"], &synced["skipped"]), (&json!(["1"]), &json!(["2"])));
    server.change(1, |issue| issue.is_closed = false);
    assert_eq!(sync(&project)["requeued"], json!(["1"]));
}
