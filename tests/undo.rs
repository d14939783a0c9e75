//! `autopack undo`: a tested revert takes a landing back, or nothing changes.

use std::fs;

use serde_json::{Value, json};

use crate::support::database::texts;
use crate::support::{Project, Ran, has_pytest};

const AGENT: &str = "write_deliverables(f'made by {phase_id}, attempt {attempt}\\n')";

fn phase(id: &str, needs: &[&str]) -> Value {
    json!({
        "phase_id": id, "name": format!("add {id}"), "deliverables": [format!("src/{id}.txt")],
        "depends_on": needs,
    })
}

fn project(ci: &str, phases: &[Value]) -> Project {
    Project::new()
        .agent_with(AGENT, &format!("ci: {{command: {}}}\n", json!(ci)))
        .plan(json!({"phases": phases}))
}

fn drained(phases: &[Value]) -> Project {
    let project = project("true", phases);
    project.drain().succeeded();
    project
}

fn undo(project: &Project, more: &[&str]) -> Ran {
    project.autopack(["undo", "--run-id", "run"].iter().chain(more))
}

fn commit_of(project: &Project, name: &str) -> String {
    project.git(["rev-parse", name]).trim().to_owned()
}

fn files(project: &Project) -> Vec<String> {
    let listed = project.git(["ls-tree", "-r", "--name-only", "autopack/run", "src/"]);
    listed.lines().map(str::to_owned).collect()
}

/// The undo is refused with this text and this hint, and changes neither the branch nor a phase.
#[track_caller]
fn refused(project: &Project, more: &[&str], problem: &str, hint: &str) {
    let state = || (commit_of(project, "autopack/run"), project.states());
    let before = state();
    let ran = undo(project, more).exited(1);
    assert!(ran.stderr.contains(problem), "{ran:#?}");
    assert!(ran.stderr.contains(hint), "{ran:#?}");
    assert_eq!(state(), before);
    assert_eq!(project.git(["for-each-ref", "refs/autopack/undos"]), "");
    let database = project.path(".autopack/autopack.db");
    assert_eq!(texts(&database, "SELECT owner FROM owners"), [""; 0]);
    assert_eq!(texts(&database, "SELECT owner FROM reverts WHERE ended_at IS NULL"), [""; 0]);
}

#[test]
fn an_undone_phase_is_queued_and_lands_again() {
    let project = drained(&[phase("one", &[]), phase("two", &[])]);
    let tip = commit_of(&project, "autopack/run");
    let landed = project.phase("one")["commit"].as_str().unwrap().to_owned();
    let ran = undo(&project, &["one"]).succeeded();
    let revert = commit_of(&project, "autopack/run");
    let expected = format!(
        "one: undid {}, now queued\n  revert {} on autopack/run\n",
        &landed[..10],
        &revert[..10]
    );
    assert_eq!(ran.stdout, expected);
    assert_eq!(commit_of(&project, "autopack/run^"), tip);
    let message = project.git(["log", "-1", "--format=%B", "autopack/run"]);
    let expected =
        format!("Undo add one\n\nThis reverts commit {landed}.\n\nAutopack-Undo: run/one 1");
    assert_eq!(message.trim(), expected);
    assert_eq!(files(&project), ["src/two.txt"]);
    let phase = project.phase("one");
    assert_eq!((&phase["state"], &phase["commit"]), (&json!("QUEUED"), &json!(null)));
    let attempt = &phase["attempt_log"][0];
    assert_eq!((&attempt["outcome"], &attempt["reverted_by"]), (&json!("landed"), &json!(revert)));
    let shown = project.autopack(["phases", "show", "--run-id", "run", "one"]).succeeded().stdout;
    assert!(shown.contains(&format!("undone   by {}", &revert[..10])), "{shown}");
    assert_eq!(project.git(["for-each-ref", "refs/autopack/undos"]), "");
    let again = project.drain().succeeded();
    assert!(!again.stdout.contains("without a matching attempt"), "{again:#?}");
    assert_eq!(project.landed(), ["one", "two", "one"]);
    assert_eq!(files(&project), ["src/one.txt", "src/two.txt"]);
    // The second landing can be undone, too.
    undo(&project, &["run/one"]).succeeded();
    assert_eq!(files(&project), ["src/two.txt"]);
}

#[test]
fn the_result_as_json_names_commits_and_states() {
    let project = drained(&[phase("one", &[])]);
    let landed = project.phase("one")["commit"].clone();
    let undone = project.json(["undo", "one", "--run-id", "run", "--skip", "--json"]);
    let expected = json!({
        "run_id": "run", "phase_id": "one", "outcome": "undone", "branch": "autopack/run",
        "commit": commit_of(&project, "autopack/run"),
        "phases": [{"phase_id": "one", "attempt": 1, "reverted_commit": landed, "state": "SKIPPED"}],
    });
    assert_eq!(undone, expected);
    assert_eq!(project.phase("one")["state"], "SKIPPED");
    let drained = project.drain().succeeded();
    assert!(!drained.stdout.contains("without a matching attempt"), "{drained:#?}");
    assert_eq!(files(&project), [""; 0]);
}

#[test]
fn complete_dependents_are_undone_only_with_the_phase() {
    let project = drained(&[
        phase("one", &[]),
        phase("two", &["one"]),
        phase("three", &["two"]),
        phase("other", &[]),
    ]);
    let hint = "autopack undo --with-dependents --run-id run one";
    refused(&project, &["one"], "complete phases depend on one: two, three", hint);
    let tip = commit_of(&project, "autopack/run");
    undo(&project, &["one", "--with-dependents"]).succeeded();
    assert_eq!(commit_of(&project, "autopack/run^"), tip, "one commit");
    assert_eq!(files(&project), ["src/other.txt"]);
    let trailers = project.git([
        "log",
        "-1",
        "--format=%(trailers:key=Autopack-Undo,valueonly)",
        "autopack/run",
    ]);
    assert_eq!(trailers.trim(), "run/one 1\nrun/two 1\nrun/three 1");
    let subject = project.git(["log", "-1", "--format=%s", "autopack/run"]);
    assert_eq!(subject.trim(), "Undo add one and 2 dependent phases");
    let states: Vec<_> =
        project.states().into_iter().map(|(id, state)| format!("{id} {state}")).collect();
    assert_eq!(states, ["one QUEUED", "other COMPLETE", "three QUEUED", "two QUEUED"]);
    project.drain().succeeded();
    assert_eq!(files(&project), ["src/one.txt", "src/other.txt", "src/three.txt", "src/two.txt"]);
}

#[test]
fn later_landings_on_the_same_lines_are_named() {
    let project = Project::new()
        .file("src/shared.txt", "start\n")
        .commit("shared")
        .agent("write('src/shared.txt', f'{phase_id}\\n')")
        .plan(json!({"phases": [
            {"phase_id": "one", "deliverables": ["src/shared.txt"]},
            {"phase_id": "two", "deliverables": ["src/shared.txt"]},
        ]}));
    project.drain().succeeded();
    let problem =
        "cannot revert one: later commits changed the same places in src/shared.txt (by two)";
    refused(&project, &["one"], problem, "undo that first: autopack undo --run-id run two");
    undo(&project, &["two"]).succeeded();
    undo(&project, &["one"]).succeeded();
    assert_eq!(project.git(["show", "autopack/run:src/shared.txt"]), "start\n");
}

#[test]
fn a_revert_with_red_ci_does_not_land() {
    let project = project(
        "! [ -e src/two.txt ] || [ -e src/one.txt ]",
        &[phase("one", &[]), phase("two", &[])],
    );
    project.drain().succeeded();
    refused(&project, &["one"], "CI is red without one", "undo the phases that need it first");
    undo(&project, &["two"]).succeeded();
    undo(&project, &["one"]).succeeded();
}

#[test]
fn failing_tests_are_named_and_tests_of_the_undone_phase_may_go() {
    if !has_pytest() {
        return;
    }
    let agent = "
if phase_id == 'one':
    write('lib.py', 'def one():\\n    return 1\\n')
    write('tests/test_one.py', 'from lib import one\\ndef test_one():\\n    assert one() == 1\\n')
else:
    write('tests/test_two.py', 'import lib\\ndef test_two():\\n    assert lib.one() == 1\\n')
";
    let project = Project::new()
        .file("conftest.py", "")
        .file("tests/test_start.py", "def test_start():\n    pass\n")
        .commit("tests")
        .agent(agent)
        .plan(json!({"phases": [
            {"phase_id": "one", "deliverables": ["lib.py", "tests/test_one.py"]},
            {"phase_id": "two", "deliverables": ["tests/test_two.py"]},
        ]}));
    project.drain().succeeded();
    refused(&project, &["one"], "tests/test_two.py", "undo the phases that need it first");
    undo(&project, &["two"]).succeeded();
    undo(&project, &["one"]).succeeded();
    let listed = project.git(["ls-tree", "-r", "--name-only", "autopack/run"]);
    assert_eq!(listed, "README.md\nconftest.py\ntests/test_start.py\n");
}

#[test]
fn only_landed_phases_can_be_undone() {
    let project = Project::new().agent("if phase_id != 'empty': write_deliverables()").plan(
        json!({"phases": [
            phase("one", &[]),
            {"phase_id": "empty", "deliverables": ["src/empty.txt"], "allow_no_change": true},
        ]}),
    );
    let hint = "autopack phases skip --run-id run one";
    let ran = undo(&project, &["one"]).exited(1);
    assert!(ran.stderr.contains("phase one is queued") && ran.stderr.contains(hint), "{ran:#?}");
    project.drain();
    if project.phase("empty")["state"] == "COMPLETE" {
        let hint = "autopack phases retry --redo --run-id run empty";
        refused(&project, &["empty"], "phase empty is complete without a commit", hint);
    }
    let unknown = undo(&project, &["on"]).exited(1);
    assert!(unknown.stderr.contains("has no phase called"), "{unknown:#?}");
}

#[test]
fn a_rewritten_branch_and_a_revert_by_hand_are_told() {
    let project = drained(&[phase("one", &[])]);
    project.git(["switch", "-q", "autopack/run"]);
    project.git(["revert", "--no-edit", "HEAD"]);
    project.git(["switch", "-q", "main"]);
    let hint = "autopack phases retry --redo --run-id run one";
    refused(&project, &["one"], "the change of one is no longer on the run's branch", hint);
    project.git(["branch", "-f", "autopack/run", "main"]);
    refused(&project, &["one"], "the branch was rewritten", hint);
}

#[test]
fn a_running_drain_refuses_an_undo() {
    let agent = "
if phase_id == 'two':
    write(os.environ['WITNESS'] + '/started')
    while not os.path.exists(os.environ['WITNESS'] + '/go'):
        time.sleep(0.02)
write_deliverables()
";
    let project = Project::new();
    let witness = project.outside("").display().to_string();
    let project = project
        .agent(agent)
        .env("WITNESS", witness)
        .plan(json!({"phases": [phase("one", &[]), phase("two", &[])]}));
    let mut drain = project.spawn(["drain", "--run-id", "run"]);
    while !project.outside("started").exists() {
        assert!(drain.try_wait().unwrap().is_none(), "the drain ended");
        std::thread::yield_now();
    }
    let ran = undo(&project, &["one"]).exited(1);
    assert!(ran.stderr.contains("another autopack works on run run (process "), "{ran:#?}");
    assert!(ran.stderr.contains("autopack stop --run-id run"), "{ran:#?}");
    fs::write(project.outside("go"), "").unwrap();
    project.wait(drain).succeeded();
    undo(&project, &["one"]).succeeded();
}

#[test]
fn a_drain_does_not_start_during_an_undo() {
    let project = Project::new();
    let witness = project.outside("").display().to_string();
    let ci = "[ ! -e \"$WITNESS/hold\" ] || { touch \"$WITNESS/testing\"; \
              while [ -e \"$WITNESS/hold\" ]; do sleep 0.02; done; }";
    let project = project
        .agent_with(AGENT, &format!("ci: {{command: {}}}\n", json!(ci)))
        .env("WITNESS", witness)
        .plan(json!({"phases": [phase("one", &[]), phase("two", &[])]}));
    project.drain().succeeded();
    fs::write(project.outside("hold"), "").unwrap();
    let mut undoing = project.spawn(["undo", "--run-id", "run", "one"]);
    while !project.outside("testing").exists() {
        assert!(undoing.try_wait().unwrap().is_none(), "the undo ended");
        std::thread::yield_now();
    }
    for command in [&["drain", "--run-id", "run"][..], &["undo", "--run-id", "run", "two"]] {
        let ran = project.autopack(command).exited(1);
        assert!(ran.stderr.contains("an undo of run run is under way"), "{ran:#?}");
    }
    let ran = project.autopack(["runs", "remove", "run"]);
    assert_ne!(ran.code, Some(0), "{ran:#?}");
    fs::remove_file(project.outside("hold")).unwrap();
    project.wait(undoing).succeeded();
    project.drain().succeeded();
    assert_eq!(project.landed(), ["one", "two", "one"]);
}

#[test]
fn the_runs_branch_checked_out_gets_the_revert_when_it_is_free() {
    let project = drained(&[phase("one", &[])]);
    project.git(["switch", "-q", "autopack/run"]);
    let ran = undo(&project, &["one"]).succeeded();
    assert!(ran.stdout.contains("your branch has it, too"), "{ran:#?}");
    assert!(project.path("src/one.txt").exists(), "the checkout is the user's");
    project.git(["switch", "-q", "main"]);
    project.drain().succeeded();
    assert_eq!(project.landed(), ["one", "one"]);
}

#[test]
fn a_second_merge_takes_the_undone_phase_out_of_the_users_branch() {
    for squash in [&[][..], &["--squash"]] {
        let project = drained(&[phase("one", &[]), phase("two", &[])]);
        project.autopack(["merge", "run"].iter().chain(squash)).succeeded();
        assert!(project.path("src/one.txt").exists());
        let ran = undo(&project, &["one", "--skip"]).succeeded();
        if squash.is_empty() {
            assert!(ran.stdout.contains("your branch has it, too: autopack merge run"), "{ran:#?}");
        }
        let merged = project.autopack(["merge", "run"].iter().chain(squash)).succeeded();
        assert!(merged.stdout.starts_with("merged 1 undone phase of run into main"), "{merged:#?}");
        assert!(!project.path("src/one.txt").exists(), "{squash:?}");
        assert!(project.path("src/two.txt").exists());
        assert_eq!(project.git(["status", "--porcelain"]), "");
    }
}

#[test]
fn an_undo_makes_the_final_test_run_again() {
    let project = Project::new()
        .unset("AUTOPACK_CI_FINAL")
        .agent_with(AGENT, "ci: {command: \"true\"}\n")
        .plan(json!({"phases": [phase("one", &[]), phase("two", &[])]}));
    project.drain().succeeded();
    undo(&project, &["one", "--skip"]).succeeded();
    let ran = project.autopack(["merge", "run", "--to-green"]).exited(1);
    assert!(ran.stderr.contains("still has the undone phase one"), "{ran:#?}");
    let drained = project.drain().succeeded();
    assert!(drained.stdout.contains("\ntested   CI is green in a clean clone at "), "{drained:#?}");
    let green = commit_of(&project, "refs/autopack/green/run");
    assert_eq!(green, commit_of(&project, "autopack/run"));
}

#[test]
fn all_landings_of_a_phase_that_was_done_again_are_taken_back() {
    let project = drained(&[phase("one", &[]), phase("two", &["one"])]);
    project.autopack(["phases", "retry", "run/one", "--redo"]).succeeded();
    project.drain().succeeded();
    assert_eq!(project.landed(), ["one", "two", "one"]);
    refused(&project, &["one"], "two", "--with-dependents");
    undo(&project, &["one", "--with-dependents"]).succeeded();
    assert_eq!(files(&project), [""; 0]);
    refused(&project, &["one"], "queued", "");
}

/// A phase that waits to be done again has its landing still on the branch.
#[test]
fn a_queued_dependent_with_a_landing_is_taken_back_too() {
    let project = drained(&[phase("one", &[]), phase("two", &["one"])]);
    project.autopack(["phases", "retry", "run/two", "--redo"]).succeeded();
    refused(&project, &["one"], "two", "--with-dependents");
    undo(&project, &["one", "--with-dependents"]).succeeded();
    assert_eq!(files(&project), [""; 0]);
    assert_eq!(project.states()["two"], "QUEUED");
}
