//! Control by the operator while drains run: stopped phases, drains that finish their running phases, paused runs; and
//! changes of the queue: added, moved and changed phases.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout};

use serde_json::{Value, json};

use crate::recovery::{backlog, processes_of, wait_for_event};
use crate::support::Project;
use crate::support::golden::golden;
use crate::support::process::signal;

const GREEN: &str = "ci: {command: [\"true\"]}\n";

/// A project whose agents write the file `at-work`, and then wait for the file `go`.
pub fn held() -> Project {
    let project = Project::new();
    let go = project.outside("go").display().to_string();
    let agent = format!(
        "go = pathlib.Path({go:?})\nwrite(go.with_name('at-work'))\n\
         while not go.exists(): time.sleep(0.02)\nwrite_deliverables()"
    );
    project.agent_with(&agent, GREEN)
}

/// Waits until an agent of [`held`] is at work.
fn wait_for_agent(project: &Project) {
    while !project.outside("at-work").exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

pub fn release(project: &Project) {
    std::fs::write(project.outside("go"), "").unwrap();
}

/// Reads the output of a drain up to a line with this text.
pub fn wait_for_line(child: &mut Child, text: &str) -> BufReader<ChildStdout> {
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    read_to(&mut reader, text);
    reader
}

fn read_to(reader: &mut BufReader<ChildStdout>, text: &str) {
    let (mut line, mut all) = (String::new(), String::new());
    while reader.read_line(&mut line).unwrap() > 0 {
        if line.contains(text) {
            return;
        }
        all += &line;
        line.clear();
    }
    panic!("the drain ended without {text:?}: {all}");
}

/// The rest of the output, and the exit code.
pub fn ended(mut child: Child, mut rest: BufReader<ChildStdout>) -> (String, Option<i32>) {
    let mut text = String::new();
    rest.read_to_string(&mut text).unwrap();
    (text, child.wait().unwrap().code())
}

fn phase(id: &str) -> Value {
    json!({"phase_id": id, "deliverables": [format!("{id}/a.txt")]})
}

fn after(id: &str, need: &str) -> Value {
    json!({"phase_id": id, "deliverables": [format!("{id}/a.txt")], "depends_on": [need]})
}

fn three() -> Project {
    Project::new()
        .agent_with("write_deliverables()", GREEN)
        .plan(json!({"phases": [phase("a"), phase("b"), phase("c")]}))
}

fn order(project: &Project) -> Vec<String> {
    let phases = project.json(["phases", "list", "run", "--json"]);
    let ids = phases.as_array().unwrap().iter().map(|p| p["phase_id"].as_str().unwrap().to_owned());
    ids.collect()
}

#[test]
fn a_stopped_phase_ends_uncounted_and_is_held_while_the_drain_goes_on() {
    let agent = "if attempt == 1 and phase_id == 'p000': time.sleep(600)\nwrite_deliverables()";
    let project = Project::new().agent_with(agent, GREEN).plan(backlog(2));
    let mut child = project.spawn(["drain", "--run-id", "run", "--json"]);
    let rest = wait_for_event(&mut child, "phase_started");
    let ran = project.autopack(["stop", "run/p000"]).succeeded();
    assert_eq!(
        ran.stdout,
        "run/p000: held; its running attempt ends and does not count\n\
         release it with `autopack resume run/p000`\n"
    );
    let (text, code) = ended(child, rest);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("\"interrupted\"") && text.contains("\"reason\":\"drained\""), "{text}");
    let phase = project.phase("p000");
    assert_eq!((&phase["state"], &phase["attempts"]), (&json!("QUEUED"), &json!(0)));
    assert_eq!(phase["held"], true);
    assert_eq!(project.landed(), ["p001"]);
    assert_eq!(processes_of(&project), Vec::<String>::new());

    // Another drain leaves the phase alone, until the operator releases it.
    project.drain().succeeded();
    assert_eq!(project.states()["p000"], "QUEUED");
    let ran = project.autopack(["resume", "p000"]).succeeded();
    assert_eq!(ran.stdout, "run/p000: released\nno drain is running; start: autopack drain run\n");
    project.drain().succeeded();
    assert_eq!(project.landed(), ["p001", "p000"]);
}

#[test]
fn a_phase_stopped_at_once_is_killed() {
    let agent = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n\
                 if attempt == 1: time.sleep(600)\nwrite_deliverables()";
    let project = Project::new().agent_with(agent, GREEN).plan(backlog(1));
    let mut child = project.spawn(["drain", "--run-id", "run", "--json"]);
    let rest = wait_for_event(&mut child, "phase_started");
    project.autopack(["stop", "p000", "--now"]).succeeded();
    let (text, code) = ended(child, rest);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(project.phase("p000")["attempts"], 0);
    assert_eq!(processes_of(&project), Vec::<String>::new());
}

#[test]
fn a_held_phase_holds_back_its_dependents_and_a_retry_releases_it() {
    let project = Project::new()
        .agent_with("write_deliverables()", GREEN)
        .plan(json!({"phases": [phase("a"), after("b", "a"), phase("c")]}));
    project.autopack(["stop", "a"]).succeeded();
    let ran = project.drain().succeeded();
    assert!(ran.stdout.contains("\nrun: 1 landed, 2 held · drained after "), "{ran:#?}");
    assert_eq!(project.landed(), ["c"]);
    let status = project.json(["status", "run", "--json"]);
    assert_eq!(status["runs"][0]["held"], 2, "{status}");
    assert_eq!(status["runs"][0]["waiting"][0]["held"], true, "{status}");
    let text = project.autopack(["status", "run"]).succeeded().stdout;
    assert!(text.contains("waiting  a held until `autopack resume`; 1 waits for a\n"), "{text}");
    assert!(!text.contains("start: autopack drain"), "nothing can run: {text}");
    assert!(project.autopack(["phases", "list", "run"]).stdout.contains("held until"));
    let ran = project.autopack(["phases", "retry", "a"]).succeeded();
    assert_eq!(ran.stdout, "a: queued, no longer held\n");
    project.drain().succeeded();
    assert_eq!(project.landed(), ["c", "a", "b"]);
}

#[test]
fn after_current_finishes_running_phases_and_starts_no_others() {
    let project = held().plan(backlog(2));
    let mut child = project.spawn(["drain", "--run-id", "run"]);
    wait_for_agent(&project);
    let ran = project.autopack(["stop", "run", "--after-current"]).succeeded();
    assert!(ran.stdout.ends_with("to finish its running phases and stop\n"), "{ran:#?}");
    let rest = wait_for_line(
        &mut child,
        "not starting new phases: requested by `stop --after-current`; waiting for 1 running phase",
    );
    release(&project);
    let (text, code) = ended(child, rest);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("stopped after the running phases, as requested"), "{text}");
    assert_eq!(project.landed(), ["p000"]);
    assert_eq!(project.states()["p001"], "QUEUED");
    // The request was for that drain only.
    project.drain().succeeded();
    assert_eq!(project.landed(), ["p000", "p001"]);
}

#[test]
fn a_stop_after_after_current_interrupts_the_running_phases() {
    let project = held().plan(backlog(2));
    let mut child = project.spawn(["drain", "--run-id", "run"]);
    wait_for_agent(&project);
    project.autopack(["stop", "--after-current"]).succeeded();
    let rest = wait_for_line(&mut child, "not starting new phases");
    project.autopack(["stop"]).succeeded();
    let (text, code) = ended(child, rest);
    assert_eq!(code, Some(130), "{text}");
    assert_eq!(project.states()["p000"], "QUEUED");
}

#[test]
fn a_paused_run_starts_nothing_until_it_is_resumed() {
    let project = held().plan(backlog(2));
    let mut child = project.spawn(["drain", "--run-id", "run"]);
    wait_for_agent(&project);
    let ran = project.autopack(["pause"]).succeeded();
    assert_eq!(ran.stdout, "run run is paused; continue with `autopack resume run`\n");
    let again = project.autopack(["pause", "run"]).succeeded();
    assert!(again.stdout.starts_with("run run was paused "), "{again:#?}");
    // The running phase goes on.
    release(&project);
    let rest = wait_for_line(&mut child, "run run is paused; waiting for `autopack resume run`");
    assert_eq!(project.landed(), ["p000"]);
    let status = project.json(["status", "--json"]);
    assert!(status["runs"][0]["paused_at"].is_string(), "{status}");
    assert!(project.autopack(["status"]).stdout.contains("\npaused   for "));
    let ran = project.autopack(["resume", "run"]).succeeded();
    assert!(ran.stdout.starts_with("run run continues after a pause of "), "{ran:#?}");
    let (text, code) = ended(child, rest);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(project.landed(), ["p000", "p001"]);
    let ran = project.autopack(["resume", "run"]).succeeded();
    assert_eq!(ran.stdout, "run run is not paused\n");
}

#[test]
fn a_pause_outlives_its_drain_and_ctrl_c_ends_the_wait() {
    let project = three();
    project.autopack(["pause", "run"]).succeeded();
    for _ in 0..2 {
        let mut child = project.spawn(["drain", "--run-id", "run"]);
        let rest = wait_for_line(&mut child, "run run is paused; waiting for");
        signal(&child, "-INT");
        assert_eq!(ended(child, rest).1, Some(130));
    }
    let text = project.autopack(["status"]).stdout;
    assert!(text.contains("autopack resume run && autopack drain run"), "{text}");
    assert_eq!(project.states()["a"], "QUEUED");
}

#[test]
fn a_drain_of_several_runs_passes_over_a_paused_run() {
    let project = three();
    project.write("other.yaml", "run_id: other\nphases: [{id: x, deliverables: [x/a.txt]}]\n");
    project.autopack(["import", "other.yaml"]).succeeded();
    project.autopack(["pause", "run"]).succeeded();
    let mut child = project.spawn(["drain", "--all"]);
    let rest = wait_for_line(&mut child, "run run is paused; waiting for");
    assert_eq!(project.json(["phases", "show", "other/x", "--json"])["state"], "COMPLETE");
    project.autopack(["resume", "run"]).succeeded();
    let (text, code) = ended(child, rest);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(project.landed(), ["a", "b", "c"]);
}

#[test]
fn a_moved_phase_runs_at_its_new_place() {
    let project = three();
    let ran = project.autopack(["phases", "move", "run/c", "--first"]).succeeded();
    assert_eq!(ran.stdout, "c: moved to the front of the queue\n");
    assert_eq!(order(&project), ["c", "a", "b"]);
    let ran = project.autopack(["phases", "move", "b", "--before", "a"]).succeeded();
    assert_eq!(ran.stdout, "b: moved before a\n");
    assert_eq!(order(&project), ["c", "b", "a"]);
    project.autopack(["phases", "move", "c", "--before", "a"]).succeeded();
    assert_eq!(order(&project), ["b", "c", "a"]);
    project.autopack(["phases", "move", "b", "--before", "b"]).succeeded();
    assert_eq!(order(&project), ["b", "c", "a"]);
    project.drain().succeeded();
    assert_eq!(project.landed(), ["b", "c", "a"]);
}

#[test]
fn a_phase_is_not_moved_before_its_dependencies() {
    let phases = ["a", "b", "c"].map(phase).into_iter();
    let phases: Vec<Value> = phases.chain([after("d", "b"), after("e", "d"), phase("f")]).collect();
    let project =
        Project::new().agent_with("write_deliverables()", GREEN).plan(json!({"phases": phases}));
    for args in [["e", "--before", "b"], ["e", "--before", "d"], ["d", "--before", "a"]] {
        let ran = project.autopack(["phases", "move"].iter().chain(&args)).exited(1);
        assert!(ran.stderr.contains("which it depends on"), "{ran:#?}");
    }
    let ran = project.autopack(["phases", "move", "e", "--first"]).exited(1);
    assert!(ran.stderr.contains("autopack phases move run/b --first"), "{ran:#?}");
    assert_eq!(order(&project), ["a", "b", "c", "d", "e", "f"]);
    project.autopack(["phases", "move", "e", "--before", "f"]).succeeded();
    project.autopack(["phases", "move", "d", "--before", "c"]).succeeded();
    assert_eq!(order(&project), ["a", "b", "d", "c", "e", "f"]);
    // Settled dependencies hold nothing back.
    project.autopack(["phases", "skip", "b"]).succeeded();
    project.autopack(["phases", "move", "d", "--first"]).succeeded();
    assert_eq!(order(&project), ["d", "a", "b", "c", "e", "f"]);
}

#[test]
fn an_added_phase_gets_an_id_and_is_drained() {
    let project = three();
    let add = |args: &[&str]| project.autopack(["phases", "add"].iter().chain(args));
    let ran = add(&["Write the guide", "--file", "docs/guide.md", "--after", "run/b"]).succeeded();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("write-the-guide\n", ""));
    let ran = add(&["Write the guide", "--file", "docs/other.md", "--scope", "docs", "--json"]);
    assert_eq!(ran.json(), json!({"run_id": "run", "phase_id": "write-the-guide-2"}));
    add(&["x", "--id", "mine", "--description", "More.", "--file", "m.txt"]).succeeded();
    let phase = project.phase("write-the-guide");
    assert_eq!((&phase["name"], &phase["depends_on"]), (&json!("Write the guide"), &json!(["b"])));
    assert_eq!(project.phase("mine")["description"], "More.");
    assert_eq!(order(&project), ["a", "b", "c", "write-the-guide", "write-the-guide-2", "mine"]);
    project.drain().succeeded();
    assert_eq!(project.landed().len(), 6);
}

#[test]
fn a_running_drain_takes_an_added_phase() {
    let project = held().plan(backlog(1));
    let mut child = project.spawn(["drain", "--run-id", "run", "--json"]);
    let rest = wait_for_event(&mut child, "phase_started");
    project.autopack(["phases", "add", "later", "--file", "later.txt"]).succeeded();
    release(&project);
    assert_eq!(ended(child, rest).1, Some(0));
    assert_eq!(project.landed(), ["p000", "later"]);
}

#[test]
fn fields_of_a_phase_are_set_with_the_names_and_types_of_plans() {
    let project = Project::new().agent_with("write_deliverables()", GREEN).plan(json!({"phases": [
        {"phase_id": "a", "title": "Old", "files_to_create": ["old/a.txt"], "max_attempts": 2},
    ]}));
    let ran = project
        .autopack([
            "phases",
            "set",
            "run/a",
            "max_attempts=5",
            "title=Fix: the #1 bug",
            "deliverables=[new/a.txt]",
            "paths=[new, docs]",
            "ci.timeout_seconds=77",
            "allow_no_change=true",
            "agent=fake",
        ])
        .succeeded();
    assert_eq!(
        ran.stdout,
        "a: changed max_attempts, name, deliverables, scope.paths, ci.timeout_seconds, allow_no_change, \
         agent\n"
    );
    let phase = project.phase("a");
    let spec = &phase["spec_as_written"];
    assert_eq!(phase["name"], "Fix: the #1 bug");
    assert_eq!(phase["max_attempts"], 5);
    assert_eq!(spec["deliverables"], json!(["new/a.txt"]));
    assert_eq!(spec["scope"], json!({"paths": ["new", "docs"]}));
    assert_eq!(spec["ci"], json!({"timeout_seconds": 77}));
    assert_eq!(spec["allow_no_change"], true);
    assert!(spec.get("files_to_create").is_none() && spec.get("title").is_none(), "{spec}");
    project.autopack(["phases", "set", "a", "max_attempts=", "agent=null"]).succeeded();
    let spec = &project.phase("a")["spec_as_written"];
    assert!(spec.get("max_attempts").is_none() && spec.get("agent").is_none(), "{spec}");
    project.drain().succeeded();
    assert!(!project.git(["ls-tree", "-r", "autopack/run", "new/a.txt"]).is_empty());
}

#[test]
fn a_failed_phase_keeps_its_state_when_fields_are_set() {
    let project = Project::new().agent_with("pass", GREEN).plan(json!({"phases": [
        {"phase_id": "a", "deliverables": ["a.txt"], "max_attempts": 1},
    ]}));
    project.drain().exited(3);
    let ran = project.autopack(["phases", "set", "a", "max_attempts=2"]).succeeded();
    assert_eq!(
        ran.stdout,
        "a: changed max_attempts\nit is failed; queue it with `autopack phases retry run/a`\n"
    );
    assert_eq!(project.states()["a"], "FAILED");
}

#[test]
fn a_run_is_removed_only_after_a_confirmation() {
    let project = three();
    let ran = project.autopack(["runs", "remove", "run"]).exited(2);
    assert!(ran.stderr.contains("confirm with --yes"), "{ran:#?}");
    assert_eq!(project.states().len(), 3);
    project.autopack(["runs", "remove", "run", "--yes"]).succeeded();
    project.autopack(["phases", "list", "run"]).exited(1);
}

#[test]
fn mistakes_change_nothing_and_name_the_remedy() {
    let config = format!("{GREEN}executor: {{unscoped: refuse}}\n");
    let project =
        Project::new().agent_with("write_deliverables()", &config).plan(json!({"phases": [
            phase("a"), after("b", "a"), phase("done"),
        ]}));
    project.autopack(["stop", "a"]).succeeded();
    project.drain().succeeded();
    let before = project.json(["phases", "list", "run", "--json"]);
    let commands: &[&[&str]] = &[
        &["stop", "done"],
        &["stop", "dnoe"],
        &["stop", "a", "--after-current"],
        &["stop", "run", "a"],
        &["stop", "--now", "--after-current"],
        &["pause", "rnu"],
        &["resume", "nothing"],
        &["phases", "move", "done", "--first"],
        &["phases", "move", "b", "--first"],
        &["phases", "move", "b"],
        &["phases", "add", "Think"],
        &["phases", "add", "x", "--file", "/etc/passwd"],
        &["phases", "add", "x", "--id", "a", "--file", "x.txt"],
        &["phases", "add", "x", "--file", "x.txt", "--after", "z"],
        &["phases", "set", "a", "max_atempts=5"],
        &["phases", "set", "a", "max_attempts"],
        &["phases", "set", "a", "max_attempts=many"],
        &["phases", "set", "a", "allow_no_change=perhaps"],
        &["phases", "set", "a", "phase_id=c"],
        &["phases", "set", "a", "agent=fkae"],
        &["phases", "set", "a", "depends_on=[b]"],
        &["phases", "set", "a", "depends_on=[nowhere]"],
        &["phases", "set", "a", "deliverables=[../x]"],
        &["phases", "set", "a", "deliverables=[x"],
        &["phases", "set", "done", "max_attempts=5"],
        &["runs", "remove", "run"],
    ];
    let mut shown = String::new();
    for command in commands {
        let ran = project.autopack(*command);
        assert!(matches!(ran.code, Some(1 | 2)), "{command:?}: {ran:#?}");
        shown += &format!("$ autopack {}\n{}\n", command.join(" "), golden(&ran));
    }
    insta::with_settings!({snapshot_path => "snapshots/golden", prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!("control_mistakes", shown);
    });
    assert_eq!(project.json(["phases", "list", "run", "--json"]), before);
}

#[test]
fn a_dry_run_shows_held_phases_as_waiting() {
    let project = three();
    project.autopack(["stop", "a"]).succeeded();
    let planned = project.json(["drain", "--run-id", "run", "--dry-run", "--json"]);
    let orders: Vec<(&Value, &Value)> = planned
        .as_array()
        .unwrap()
        .iter()
        .map(|phase| (&phase["phase_id"], &phase["order"]))
        .collect();
    assert!(orders.contains(&(&json!("a"), &json!(null))), "{orders:?}");
    assert!(orders.contains(&(&json!("b"), &json!(1))), "{orders:?}");
    let text = project.autopack(["drain", "--run-id", "run", "--dry-run"]).succeeded().stdout;
    assert!(text.contains("held until `autopack resume`"), "{text}");
}
