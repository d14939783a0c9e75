//! SIGKILL to `autopack undo` at its git calls. The next drain or undo settles it: the phase is complete as long as its
//! files are on the branch, and queued once they are not.

use serde_json::json;

use super::drains::Running;
use super::gate::{Gate, When};
use super::sizes::{size, summary};
use crate::support::Project;
use crate::support::database::texts;
use crate::support::dice::Dice;

/// Approximate number of git calls of an undo.
const CALLS: u64 = 50;
/// Changes of refs by an undo: the fence, and the landing.
const REF_CALLS: u64 = 2;

#[test]
fn an_undo_killed_at_any_moment_is_settled_by_the_next_drain_or_undo() {
    let mut dice = Dice::thrown();
    let seed = dice.seed();
    let (project, gate) = Gate::on(Project::new());
    let phase = |id: &str| json!({"phase_id": id, "deliverables": [format!("src/{id}.txt")]});
    let project = project
        .agent_with("write_deliverables(f'attempt {attempt}\\n')", "ci: {command: \"true\"}\n")
        .plan(json!({"phases": [phase("one"), phase("two")]}));
    project.drain().succeeded();
    let mut moments: Vec<(When, &str, u64)> = Vec::new();
    for nth in 1..=REF_CALLS {
        moments.extend([(When::Before, "update-ref", nth), (When::After, "update-ref", nth)]);
    }
    for _ in 0..size("UNDO_KILLS", 10, 300) {
        moments.push((*dice.pick(&[When::Before, When::After]), "any", 1 + dice.below(CALLS)));
    }
    let (mut kills, mut landed) = (0, 0);
    for (when, which, nth) in moments {
        let at = format!("{when:?} {which} {nth}, seed {seed}");
        gate.arm(when, which, nth);
        let command = project.command(["undo", "--run-id", "run", "one"]);
        let mut undoing = Running::start(command, project.beside("undo"));
        let is_held = undoing.wait_until(|| gate.held().is_some());
        if is_held {
            assert!(undoing.kill(), "{at}");
            kills += 1;
            // In the middle of the next process, or before it.
            let is_late = dice.below(2) == 0;
            if !is_late {
                gate.release();
            }
            if dice.below(2) == 0 {
                // Settled, and done if it was not.
                let ran = project.autopack(["undo", "--run-id", "run", "one"]);
                let is_done = ran.stderr.contains("phase one is queued");
                assert!(ran.code == Some(0) || is_done, "{at}: {ran:#?}");
                landed += u64::from(is_done);
                gate.release();
                assert_settled(&project, &at);
                assert_eq!(project.states()["one"], "QUEUED", "{at}");
            }
            gate.release();
        } else {
            gate.release();
            undoing.wait().exited(0);
        }
        let drained = project.drain();
        assert_eq!(drained.code, Some(0), "{at}: {drained:#?}");
        assert!(!drained.stdout.contains("without a matching attempt"), "{at}: {drained:#?}");
        assert_settled(&project, &at);
        assert_eq!(project.states()["one"], "COMPLETE", "{at}");
    }
    assert!(kills >= 4, "{kills} kills");
    let text =
        format!("{kills} kills, {landed} after the landing, each settled by the next command");
    summary("kill -9 during an undo", seed, &text);
}

/// The states of the store are those of the branch.
fn assert_settled(project: &Project, at: &str) {
    let database = project.path(".autopack/autopack.db");
    let open = texts(&database, "SELECT owner FROM reverts WHERE ended_at IS NULL");
    assert_eq!(open, [""; 0], "{at}");
    let listed = project.git(["ls-tree", "-r", "--name-only", "autopack/run", "src/"]);
    for (id, state) in project.states() {
        let is_there = listed.lines().any(|path| path == format!("src/{id}.txt"));
        assert_eq!(is_there, state == "COMPLETE", "{at}: {id} is {state}, files: {listed}");
    }
    // A revert on the branch is a recorded one.
    let log = project.git(["log", "--format=%H", "--grep=^Autopack-Undo: ", "autopack/run"]);
    let mut recorded =
        texts(&database, "SELECT revert_commit FROM reverts WHERE outcome = 'undone'");
    let mut on_branch: Vec<String> = log.lines().map(str::to_owned).collect();
    recorded.sort();
    on_branch.sort();
    assert_eq!(on_branch, recorded, "{at}");
}
