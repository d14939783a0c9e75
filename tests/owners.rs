//! Drains beside each other: place, lease and heartbeat tell which of them lives, and abandoned work is reclaimed in
//! its own repository only.

use std::io::{BufRead as _, Read as _};
use std::process::Child;
use std::time::Duration;

use serde_json::{Value, json};

use crate::recovery::{LANDING, backlog, wait_for_event, with_git};
use crate::support::Project;
use crate::support::database::{execute, stop_between_writes, texts};
use crate::support::process::signal;

/// `p000` is at work until released; the others take as long as a short lease.
const HELD: &str = r#"
if phase_id == "p000":
    while not (workspace.parent / 'witness' / "go").exists(): time.sleep(0.02)
else:
    time.sleep(1.2)
write_deliverables()
"#;

/// Time in which a wrong drain would do the wrong thing.
const CHANCE: Duration = Duration::from_millis(1500);

fn held(lease: u64) -> Project {
    let project = Project::new();
    let go = project.outside("go").display().to_string();
    let agent =
        HELD.replace("(workspace.parent / 'witness' / \"go\")", &format!("pathlib.Path({go:?})"));
    project.agent_with(&agent, &lease_of(lease)).plan(backlog(2))
}

fn lease_of(seconds: u64) -> String {
    format!("executor: {{lease_seconds: {seconds}}}\nci: {{command: [\"true\"]}}\n")
}

fn release(project: &Project) {
    std::fs::write(project.outside("go"), "").unwrap();
}

fn drain(project: &Project) -> Child {
    project.spawn(["drain", "--run-id", "run"])
}

/// A drain that has started `p000`.
fn holder(project: &Project) -> (Child, std::io::BufReader<std::process::ChildStdout>) {
    let mut child = project.spawn(["drain", "--run-id", "run", "--json"]);
    let rest = wait_for_event(&mut child, "phase_started");
    (child, rest)
}

/// Reads until the drain reports that it waits for the other one's phase.
fn wait_until_it_waits(child: &mut Child) -> std::io::BufReader<std::process::ChildStdout> {
    let mut reader = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap() > 0 {
        if line.contains("waiting for p000") {
            return reader;
        }
        line.clear();
    }
    panic!("it ended without waiting");
}

#[track_caller]
fn ends_well(mut child: Child, mut rest: std::io::BufReader<std::process::ChildStdout>) {
    let mut text = String::new();
    rest.read_to_string(&mut text).unwrap();
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{text}{errors}");
}

/// Each phase was attempted once, by any drain.
#[track_caller]
fn assert_tried_once(project: &Project) {
    for id in ["p000", "p001"] {
        let phase = project.phase(id);
        let outcomes: Vec<&Value> =
            phase["attempt_log"].as_array().unwrap().iter().map(|row| &row["outcome"]).collect();
        assert_eq!((&phase["attempts"], outcomes), (&json!(1), vec![&json!("landed")]), "{id}");
    }
    let mut landed = project.landed();
    landed.sort();
    assert_eq!(landed, ["p000", "p001"]);
    let left = texts(&project.path(".autopack/autopack.db"), "SELECT owner FROM owners");
    assert_eq!(left, Vec::<String>::new());
}

/// The second drain does the remaining work, waits for the first one, and leaves it alone.
#[track_caller]
fn assert_left_alone(
    project: &Project,
    first: (Child, std::io::BufReader<std::process::ChildStdout>),
) {
    let mut second = drain(project);
    let rest = wait_until_it_waits(&mut second);
    std::thread::sleep(CHANCE);
    release(project);
    ends_well(first.0, first.1);
    ends_well(second, rest);
    assert_tried_once(project);
}

#[test]
fn a_drain_with_a_long_lease_is_not_judged_by_a_short_one() {
    let project = held(100);
    let first = holder(&project);
    let config = project.read(".autopack/config/autopack.yaml");
    let config = config.replace("lease_seconds: 100", "lease_seconds: 1");
    let project = project.config(&config);
    assert_left_alone(&project, first);
}

#[test]
fn a_deleted_lock_file_does_not_mean_a_dead_drain() {
    let project = held(60);
    let first = holder(&project);
    std::fs::remove_dir_all(project.path(".autopack/owners")).unwrap();
    assert_left_alone(&project, first);
}

#[test]
fn a_replaced_lock_file_does_not_mean_a_dead_drain() {
    let project = held(60);
    let first = holder(&project);
    for lock in std::fs::read_dir(project.path(".autopack/owners")).unwrap() {
        let path = lock.unwrap().path();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "").unwrap();
    }
    assert_left_alone(&project, first);
}

#[test]
fn a_drain_in_another_container_with_an_invisible_lock_is_not_reclaimed() {
    for elsewhere in [
        "host = 'other', boot_id = 'other', heartbeat_boot_ms = 5",
        "pid_namespace = 'pid:[1]', pid = 1",
        "machine = 'other', pid = 4194000",
    ] {
        let project = held(60);
        let first = holder(&project);
        execute(&project, &format!("UPDATE owners SET lock_path = '/nowhere/a.lock', {elsewhere}"));
        assert_left_alone(&project, first);
    }
}

#[test]
fn a_dead_drain_in_another_container_is_reclaimed_after_its_lease() {
    let project = held(1);
    let (mut first, _rest) = holder(&project);
    execute(&project, "UPDATE owners SET lock_path = '/nowhere/a.lock', pid_namespace = 'pid:[1]'");
    first.kill().unwrap();
    first.wait().unwrap();
    release(&project);
    project.drain().succeeded();
    let log = &project.phase("p000")["attempt_log"];
    assert_eq!((&log[0]["outcome"], &log[1]["outcome"]), (&json!("crashed"), &json!("landed")));
}

#[test]
fn drains_suspended_together_do_not_reclaim_each_other() {
    let project = held(4);
    let first = holder(&project);
    let mut second = drain(&project);
    let rest = wait_until_it_waits(&mut second);
    for child in [&first.0, &second] {
        stop_between_writes(&project, child);
    }
    // For longer than the lease.
    std::thread::sleep(Duration::from_secs(5));
    for child in [&second, &first.0] {
        signal(child, "-CONT");
    }
    std::thread::sleep(CHANCE);
    release(&project);
    ends_well(first.0, first.1);
    ends_well(second, rest);
    assert_tried_once(&project);
}

#[test]
fn a_stopped_drain_is_reclaimed_and_its_late_result_is_refused() {
    let project = held(1);
    let (first, rest) = holder(&project);
    stop_between_writes(&project, &first);
    let mut second = drain(&project);
    let mut shown = String::new();
    let mut reader = std::io::BufReader::new(second.stdout.take().unwrap());
    while !shown.contains("a drain died during p000") {
        assert!(reader.read_line(&mut shown).unwrap() > 0, "{shown}");
    }
    release(&project);
    signal(&first, "-CONT");
    ends_well(first, rest);
    ends_well(second, reader);
    let phase = project.phase("p000");
    assert_eq!((&phase["state"], &phase["attempts"]), (&json!("COMPLETE"), &json!(1)));
    assert_eq!(phase["attempt_log"][0]["outcome"], "crashed");
    assert_eq!(project.landed().len(), 2);
}

#[test]
fn an_attempt_of_a_fenced_drain_is_never_judged() {
    let agent = r#"
if attempt == 1:
    while not pathlib.Path(GO).exists(): time.sleep(0.02)
    sys.exit(0)
write_deliverables()
"#;
    let project = Project::new();
    let go = format!("{:?}", project.outside("go").display().to_string());
    let project = project.agent_with(&agent.replace("GO", &go), "").plan(backlog(1));
    let (first, rest) = holder(&project);
    execute(&project, "UPDATE owners SET fenced = 1");
    release(&project);
    ends_well(first, rest);
    let phase = project.phase("p000");
    assert_eq!((&phase["state"], &phase["attempts"]), (&json!("COMPLETE"), &json!(1)));
    assert_eq!(phase["attempt_log"][0]["outcome"], "crashed");
}

/// A repository of its own with a run `other`, on the database of another one.
fn beside(database: &str) -> Project {
    let project =
        Project::new().agent("write_deliverables()").env("AUTOPACK_DATABASE_URL", database);
    let file = project.outside("plan.json");
    std::fs::write(&file, backlog(1).to_string()).unwrap();
    project.autopack(["import", file.to_str().unwrap(), "--run-id", "other"]).succeeded();
    project
}

#[test]
fn landings_of_a_killed_drain_are_not_adopted_in_another_repository() {
    // The branch is moved, and the drain is gone.
    let meddling = format!(
        r#"{LANDING}
if [ -n "$landing" ] && [ ! -e "$at/moved" ]; then real "$@"; : >"$at/moved"; kill -9 $PPID; exit 137; fi"#
    );
    let shared = tempfile::tempdir().unwrap();
    let database = format!("sqlite:///{}", shared.path().join("backlog.db").display());
    let here = Project::new().env("AUTOPACK_DATABASE_URL", &database);
    let here = with_git(here.agent("write_deliverables()"), &meddling).plan(backlog(1));
    assert_eq!(here.drain().code, None);

    let there = beside(&database);
    there.autopack(["drain", "--run-id", "other"]).succeeded();
    assert_eq!(here.states()["p000"], "EXECUTING");
    let refs = there.git(["for-each-ref", "--format=%(refname)", "refs/autopack"]);
    assert!(!refs.contains("/run"), "{refs}");

    here.drain().succeeded();
    assert_eq!(here.landed(), ["p000"]);
    assert_eq!(here.phase("p000")["attempt_log"][0]["outcome"], "landed");
}

#[test]
fn a_run_without_a_repository_is_adopted_by_the_first_drain() {
    // The drain dies before it has created the branch.
    let meddling = r#"if [ "$sub" = update-ref ] && [ ! -e "$at/died" ]; then : >"$at/died"; kill -9 $PPID; exit 137; fi"#;
    let shared = tempfile::tempdir().unwrap();
    let database = format!("sqlite:///{}", shared.path().join("backlog.db").display());
    let here = Project::new().env("AUTOPACK_DATABASE_URL", &database);
    let here = with_git(here.agent("write_deliverables()"), meddling).plan(backlog(1));
    assert_eq!(here.drain().code, None);
    let file = shared.path().join("backlog.db");
    crate::support::database::execute_at(
        &file,
        "UPDATE runs SET repo = NULL, branch = NULL, base_commit = NULL",
    );

    let there = beside(&database);
    there.autopack(["drain", "--run-id", "other"]).succeeded();
    assert_eq!(here.states()["p000"], "EXECUTING", "another run of another repository");
    there.autopack(["drain", "--run-id", "run"]).succeeded();
    assert_eq!(there.landed(), ["p000"]);
}

#[test]
fn repositories_with_a_shared_database_drain_only_their_own_runs() {
    let shared = tempfile::tempdir().unwrap();
    let database = format!("sqlite:///{}", shared.path().join("backlog.db").display());
    let here = Project::new().env("AUTOPACK_DATABASE_URL", &database);
    let here = here.agent("write_deliverables()").plan(backlog(2));
    here.autopack(["drain", "--all", "--max-batches", "1", "--batch-size", "1"]).succeeded();
    let there = beside(&database);

    let advice = there.autopack(["status"]).succeeded().stdout;
    assert!(advice.ends_with("start: autopack drain --run-id other\n"), "{advice}");
    let plan = there.json(["drain", "--all", "--dry-run", "--json"]);
    assert_eq!(plan.as_array().unwrap().len(), 1, "{plan}");
    let ran = there.autopack(["drain", "--all"]).succeeded();
    let output = "runs of other repositories are not drained here: run (";
    assert_eq!(ran.stderr.lines().filter(|line| line.starts_with(output)).count(), 1, "{ran:#?}");
    let others = ["phases", "list", "--run-id", "other", "--json"];
    assert_eq!(there.json(others)[0]["state"], "COMPLETE");
    assert_eq!(here.states()["p001"], "QUEUED");
    let advice = there.autopack(["status"]).succeeded().stdout;
    assert!(advice.contains("drain the runs of other repositories there: run ("), "{advice}");

    // One of several open runs is this repository's.
    there.autopack(["phases", "retry", "--run-id", "other", "p000", "--redo"]).succeeded();
    here.autopack(["drain"]).succeeded();
    assert_eq!(here.landed(), ["p000", "p001"]);
}
