//! SIGKILL to a drain at any moment: by time, and in steps of agent, CI, git and database. Every phase lands exactly
//! once.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::drains::Running;
use super::gate::{Gate, When};
use super::sizes::{jobs, size, summary};
use super::testbed::{Testbed, backlog};
use crate::support::Project;
use crate::support::dice::Dice;

/// Approximate number of git calls at a start and in one attempt.
const CALLS: u64 = 45;

/// Moment of the kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    Time,
    Agent,
    Ci,
    /// At any git call.
    Git,
    /// At a git call before CI.
    Work,
    /// At a change of a ref: the fence, or the branch.
    Refs,
    /// After the first write to the database.
    Database,
    /// Right after the branch has moved: the attempt has landed, but is not finished.
    Landing,
}

use Moment::{Agent, Ci, Database, Git, Landing, Refs, Time, Work};

/// After these moments the phase may have landed.
const ANY: [Moment; 7] = [Time, Agent, Ci, Git, Refs, Database, Landing];
/// At these moments the phase cannot have landed. A time may be long enough for several.
const EARLY: [Moment; 4] = [Agent, Ci, Work, Database];
/// Git commands that read an attempt's work.
const WORK: [&str; 4] = ["read-tree", "add", "write-tree", "diff-tree"];

/// Short, so that not every moment falls into the agent.
const AGENT: &str = "sleep 0.02; deliver";

#[test]
fn killed_at_any_moment_every_phase_lands_once() {
    torture(&mut Dice::thrown(), jobs(1));
}

#[test]
fn killed_with_several_jobs_every_phase_lands_once() {
    torture(&mut Dice::thrown(), jobs(8));
}

fn torture(dice: &mut Dice, jobs: u64) {
    let seed = dice.seed();
    let (kills, phases) = (size("KILLS", 25, 1_000), size("KILL_PHASES", 12, 160));
    let (project, gate) = Gate::on(Project::new());
    let testbed = Testbed::on(project, AGENT, "", jobs, backlog(phases));
    let aim = aim(phases, jobs);
    let mut killed: BTreeMap<Moment, u64> = BTreeMap::new();
    let (mut done, mut empty) = (0, 0);
    while done < kills {
        // Phases must last until the end: landed phases cannot be interrupted any more.
        let landed = landed(&testbed);
        let (ahead, behind) =
            (landed * kills >= (done + 1) * aim, (landed + 2) * kills < done * aim);
        let moment = match (ahead, behind) {
            (true, _) => *dice.pick(&EARLY),
            (_, true) => Landing,
            _ => *dice.pick(&ANY),
        };
        if strike(&testbed, &gate, dice, moment) {
            *killed.entry(moment).or_default() += 1;
            done += 1;
        } else {
            empty += 1;
            assert!(empty < kills, "{landed} landed after {done} kills");
            testbed.retry_failed();
            if landed == phases {
                // A fast machine lands more between two kills than remains for the last of them.
                assert!(done * 2 >= kills, "all landed after {done} kills");
                break;
            }
        }
    }
    gate.release();
    testbed.retry_failed();
    // The last kill may have been a phase's tenth crash, which is counted when the next drain starts.
    if testbed.start().wait().code == Some(3) {
        testbed.retry_failed();
        testbed.start().wait().exited(0);
    }
    testbed.assert_all_complete();
    let history = testbed.check();
    let attempts = history.attempts.len();
    let text = format!(
        "{done} kills {killed:?}, {phases} phases, jobs {jobs}: {attempts} attempts, each phase landed once"
    );
    summary("kill -9 at any moment", seed, &text);
}

/// Number of phases that may land before the last kill. Some are kept back, since a drain may land more between two
/// kills than intended: as many as it executes at once, and one in 16.
fn aim(phases: u64, jobs: u64) -> u64 {
    phases.saturating_sub(phases / 16 + jobs).max(1)
}

/// Starts a drain and kills it. `false`: the drain ended before the moment came.
fn strike(testbed: &Testbed, gate: &Gate, dice: &mut Dice, moment: Moment) -> bool {
    // A git call held when the last drain died continues now, or while the next drain is at work.
    let late = dice.below(3) == 0;
    if !late {
        gate.release();
    }
    let when = *dice.pick(&[When::Before, When::After]);
    match moment {
        Git => gate.arm(when, "any", 1 + dice.below(CALLS)),
        Refs => gate.arm(when, "update-ref", 1 + dice.below(4)),
        Work => gate.arm(when, dice.pick::<&str>(&WORK), 1),
        _ => {}
    }
    let mut drain = testbed.start();
    if late && !matches!(moment, Git | Refs | Work) {
        std::thread::sleep(Duration::from_millis(dice.below(300)));
        gate.release();
    }
    let came = match moment {
        Time => drain.wait_until(|| true),
        Agent => wait_for_step(&mut drain, testbed, "agent"),
        Ci => wait_for_step(&mut drain, testbed, "ci"),
        Git | Refs | Work => drain.wait_until(|| gate.held().is_some()),
        Database => wait_for_change(&mut drain, &testbed.database().with_extension("db-wal")),
        Landing => {
            wait_for_change(&mut drain, &testbed.project.path(".git/refs/heads/autopack/run"))
        }
    };
    let pause = match moment {
        Time => 30 + dice.below(150),
        _ => dice.below(12),
    };
    // The moment is random by design.
    std::thread::sleep(Duration::from_millis(pause));
    if came && !drain.is_over() {
        return drain.kill();
    }
    let over = drain.wait();
    // Phases may have failed: ten crashes are enough for one.
    assert!(matches!(over.code, Some(0 | 3)), "{over:#?}");
    false
}

/// Waits for one more step of this kind.
fn wait_for_step(drain: &mut Running, testbed: &Testbed, step: &str) -> bool {
    let count = || testbed.steps().iter().filter(|line| line.starts_with(step)).count();
    let before = count();
    drain.wait_until(|| count() > before)
}

/// Waits for one more write to a file: the database's write-ahead log, or the branch.
fn wait_for_change(drain: &mut Running, file: &Path) -> bool {
    let state = || std::fs::metadata(file).map(|meta| (meta.len(), meta.modified().ok())).ok();
    let before = state();
    drain.wait_until(|| state() != before)
}

fn landed(testbed: &Testbed) -> u64 {
    let range = ["rev-list", "--count", "autopack/run", "^HEAD"];
    let counted = testbed.git_command().args(range).output().unwrap();
    String::from_utf8_lossy(&counted.stdout).trim().parse().unwrap_or(0)
}
