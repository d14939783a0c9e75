//! SIGKILL to `autopack update` at its git calls. The next update finds the merge that landed, or starts again; landed
//! commits stay.

use serde_json::json;

use super::drains::Running;
use super::gate::{Gate, When};
use super::sizes::{size, summary};
use crate::support::Project;
use crate::support::database::texts;
use crate::support::dice::Dice;

/// Approximate number of git calls of an update.
const CALLS: u64 = 50;
/// Changes of refs by an update: the fence, and the landing.
const REF_CALLS: u64 = 2;

#[test]
fn an_update_killed_at_any_moment_is_settled_by_the_next_drain_or_update() {
    let mut dice = Dice::thrown();
    let seed = dice.seed();
    let (project, gate) = Gate::on(Project::new());
    let mut project = project
        .agent_with("write_deliverables()\n", "ci: {command: \"true\"}\n")
        .plan(json!({"phases": [{"phase_id": "one", "deliverables": ["src/one.txt"]}]}));
    project.drain().succeeded();
    let mut moments: Vec<(When, &str, u64)> = Vec::new();
    for nth in 1..=REF_CALLS {
        moments.extend([(When::Before, "update-ref", nth), (When::After, "update-ref", nth)]);
    }
    for _ in 0..size("UPDATE_KILLS", 6, 300) {
        moments.push((*dice.pick(&[When::Before, When::After]), "any", 1 + dice.below(CALLS)));
    }
    let (mut kills, mut landed) = (0, 0);
    for (round, (when, which, nth)) in moments.into_iter().enumerate() {
        let at = format!("{when:?} {which} {nth}, seed {seed}");
        project = project.file("news.txt", &format!("{round}\n")).commit("news");
        let tip = project.git(["rev-parse", "autopack/run"]);
        gate.arm(when, which, nth);
        let command = project.command(["update", "run"]);
        let mut updating = Running::start(command, project.beside("update"));
        if updating.wait_until(|| gate.held().is_some()) {
            assert!(updating.kill(), "{at}");
            kills += 1;
            // In the middle of the next process, or before it.
            let is_late = dice.below(2) == 0;
            if !is_late {
                gate.release();
            }
            if dice.below(2) == 0 {
                project.drain().succeeded();
            }
            let ran = project.autopack(["update", "run"]).succeeded();
            landed += u64::from(ran.stdout.contains("up to date"));
            gate.release();
        } else {
            gate.release();
            updating.wait().exited(0);
        }
        let parents = project.git(["log", "-1", "--format=%P", "autopack/run"]);
        let main = project.git(["rev-parse", "main"]);
        assert_eq!(parents.trim(), format!("{} {}", tip.trim(), main.trim()), "{at}");
        let database = project.path(".autopack/autopack.db");
        let open = texts(&database, "SELECT owner FROM reverts WHERE ended_at IS NULL");
        assert_eq!(open, [""; 0], "{at}");
        // A merge on the branch is a recorded one.
        let recorded = texts(
            &database,
            "SELECT revert_commit FROM reverts WHERE outcome = 'undone' ORDER BY id DESC LIMIT 1",
        );
        assert_eq!(recorded, [project.git(["rev-parse", "autopack/run"]).trim()], "{at}");
    }
    assert!(kills >= 4, "{kills} kills");
    let text =
        format!("{kills} kills, {landed} after the landing, each settled by the next command");
    summary("kill -9 during an update", seed, &text);
}
