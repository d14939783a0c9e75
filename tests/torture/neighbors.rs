//! Drains that must not consider each other dead: suspended together, with different leases, with deleted lock files;
//! and two repositories on one database, one of which is killed again and again.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::drains::Running;
use super::sizes::{size, summary};
use super::testbed::{Testbed, backlog};
use crate::support::Project;
use crate::support::dice::Dice;

const AGENT: &str = "sleep 0.05; deliver";
/// In seconds; the other drain's lease is longer.
const LEASE: u64 = 2;

fn lease(seconds: u64) -> String {
    format!("executor: {{lease_seconds: {seconds}}}\n")
}

#[test]
fn drains_suspended_together_execute_no_phase_twice() {
    let mut dice = Dice::thrown();
    let seed = dice.seed();
    let (times, phases) = (size("SUSPENDS", 2, 60), size("SUSPEND_PHASES", 60, 3_000));
    let testbed = Testbed::new(AGENT, &lease(LEASE), 1, backlog(phases));
    let mut drains = vec![testbed.start()];
    drains[0].wait_until(|| !testbed.steps().is_empty());
    // The next drains have another lease.
    let config = testbed.project.read(".autopack/config/autopack.yaml");
    let longer = config.replace(&lease(LEASE), &lease(50 * LEASE));
    testbed.project.write(".autopack/config/autopack.yaml", &longer);
    drains.extend([testbed.start(), testbed.start()]);
    let (mut suspended, mut deleted) = (0, 0);
    for _ in 0..times {
        std::thread::sleep(Duration::from_millis(200 + dice.below(800)));
        drains.retain_mut(|drain| !drain.is_over());
        drains.iter_mut().for_each(Running::stop);
        if dice.below(2) == 0 {
            deleted += u64::from(
                std::fs::remove_dir_all(testbed.project.path(".autopack/owners")).is_ok(),
            );
        }
        std::thread::sleep(Duration::from_millis(LEASE * 1_000 + 200 + dice.below(500)));
        if dice.below(2) == 0 {
            drains.reverse();
        }
        drains.iter().for_each(|drain| drain.signal(Signal::SIGCONT));
        suspended += u64::from(!drains.is_empty());
    }
    for drain in drains {
        drain.wait().exited(0);
    }
    testbed.assert_all_complete();
    let history = testbed.check();
    assert_eq!(
        history.attempts.len() as u64,
        phases,
        "an attempt was lost: {:#?}",
        history.attempts
    );
    let text = format!(
        "{suspended} times all drains suspended for longer than a lease of {LEASE} s, beside leases of {} s, {deleted} times \
         without lock files: {phases} phases, one attempt each",
        50 * LEASE
    );
    summary("drains suspended together", seed, &text);
}

#[test]
fn two_repositories_on_one_database_leave_each_others_work_alone() {
    let mut dice = Dice::thrown();
    let seed = dice.seed();
    let (kills, phases) = (size("NEIGHBOR_KILLS", 4, 200), size("NEIGHBOR_PHASES", 8, 120));
    let testbed = Testbed::new(AGENT, "", 1, backlog(phases));
    let database = format!("sqlite:///{}", testbed.database().display());
    let neighbor =
        Project::new().agent("write_deliverables()").env("AUTOPACK_DATABASE_URL", database);
    let (mut killed, mut drained) = (0, 0);
    for round in 0..kills {
        let mut drain = testbed.start();
        let steps = testbed.steps().len() + usize::try_from(dice.below(4)).unwrap();
        drain.wait_until(|| testbed.steps().len() > steps);
        killed += u64::from(drain.kill());
        let (file, run) = (neighbor.outside("plan.json"), format!("other-{round}"));
        let plan = r#"{"phases": [{"phase_id": "theirs", "deliverables": ["ROUND/a.txt"]}]}"#;
        std::fs::write(&file, plan.replace("ROUND", &run)).unwrap();
        neighbor.autopack(["import", file.to_str().unwrap(), "--run-id", &run]).succeeded();
        neighbor.autopack(["drain", "--run-id", &run]).succeeded();
        drained += 1;
    }
    let ended = testbed.start().wait();
    if ended.code == Some(3) {
        testbed.retry_failed();
        testbed.start().wait().exited(0);
    }
    testbed.assert_all_complete();
    testbed.check_after(|history| {
        let theirs: Vec<i64> =
            history.phases.iter().filter(|p| p.phase_id == "theirs").map(|p| p.id).collect();
        history.phases.retain(|phase| !theirs.contains(&phase.id));
        history.attempts.retain(|attempt| !theirs.contains(&attempt.phase));
        history.moves.retain(|step| !theirs.contains(&step.phase));
    });
    let refs = neighbor.git(["for-each-ref", "--format=%(refname)", "refs/autopack"]);
    assert!(!refs.lines().any(|name| name.contains("/run")), "{refs}");
    let text = format!(
        "{killed} kills of one repository's drain, {drained} drains of the other in between: {phases} phases landed once"
    );
    summary("two repositories on one database", seed, &text);
}
