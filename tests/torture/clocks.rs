//! The wall clock jumps by an hour and by a day, both ways, while two drains are at work: neither considers the other
//! dead, and neither waits for a time that is now far away.

use super::sizes::{jobs, size, summary};
use super::testbed::{Testbed, backlog};
use crate::support::Project;
use crate::support::preload::Clock;

const HOUR: i64 = 3600;
const JUMPS: [i64; 5] = [HOUR, -HOUR, 24 * HOUR, -24 * HOUR, 0];

#[test]
fn a_clock_that_jumps_expires_no_lease_and_loses_no_phase() {
    let project = Project::new();
    // Outside the project: LD_PRELOAD does not support a path with a space.
    let directory = tempfile::tempdir().unwrap();
    let Some(clock) = Clock::built_in(directory.path()) else { return };
    let project = project
        .env("LD_PRELOAD", clock.library.display().to_string())
        .env("TEST_CLOCK", clock.file.display().to_string());
    let (rounds, jobs) = (size("CLOCK_ROUNDS", 1, 10), jobs(1));
    let jumps = rounds * JUMPS.len() as u64;
    // This lease is short compared with each jump, and long compared with a late heartbeat.
    let settings = "executor: {lease_seconds: 30}\n";
    let testbed = Testbed::on(project, "sleep 0.1; deliver", settings, jobs, backlog(jumps * 3));
    let mut drains = [testbed.start(), testbed.start()];
    for jump in 0..jumps {
        let enough = (jump + 1) * 2;
        let agents = || testbed.steps().iter().filter(|s| s.starts_with("agent")).count() as u64;
        assert!(drains[0].wait_until(|| agents() >= enough), "{}", drains[0].output());
        clock.set(JUMPS[(jump as usize) % JUMPS.len()]);
    }
    for drain in drains {
        drain.wait().exited(0);
    }
    testbed.assert_all_complete();
    let history = testbed.check_after(|history| history.steady_clock = false);
    let reclaimed =
        history.attempts.iter().filter(|a| a.outcome.as_deref() == Some("crashed")).count();
    assert_eq!(reclaimed, 0, "a live drain was considered dead");
    let shifted = history.attempts.iter().any(|a| a.ended_at.is_some_and(|end| end < a.started_at));
    println!("attempts with an end before their start: {shifted}");
    let text = format!(
        "{jumps} jumps of an hour and a day, both ways, two drains, jobs {jobs}: no lease expired"
    );
    summary("clock jumps", 0, &text);
}
