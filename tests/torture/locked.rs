//! Another program keeps the database locked for a while: a drain waits, and nothing is lost or done twice.

use std::time::Duration;

use super::history::{block_on, connect};
use super::sizes::{jobs, size, summary};
use super::testbed::{Testbed, backlog};

use sqlx::Connection as _;

#[test]
fn a_database_that_is_held_locked_is_waited_for() {
    let seconds = size("LOCKED_SECONDS", 3, 30);
    let jobs = jobs(1);
    let testbed = Testbed::new("deliver", "", jobs, backlog(6));
    let mut drain = testbed.start();
    let ci_ran = || testbed.steps().iter().any(|step| step.starts_with("ci"));
    assert!(drain.wait_until(ci_ran), "{}", drain.output());
    hold(&testbed, seconds);
    drain.wait().exited(0);
    testbed.assert_all_complete();
    let history = testbed.check();
    assert_eq!(history.attempts.len(), 6, "no attempt was wasted");
    summary(
        "database held locked",
        0,
        &format!("{seconds} s, jobs {jobs}: waited, no attempt lost"),
    );
}

/// A drain that cannot write its heartbeat looks stuck: it may lose its attempt and continue as a new owner. Nothing
/// lands twice.
#[test]
fn drains_reclaiming_each_other_during_a_database_lock_lose_no_phase() {
    let seconds = size("LOCKED_SECONDS", 3, 30);
    let settings = "executor: {lease_seconds: 1}\n";
    let testbed = Testbed::new("sleep 0.3; deliver", settings, 1, backlog(10));
    let mut drains = [testbed.start(), testbed.start()];
    let ci_ran = || testbed.steps().iter().any(|step| step.starts_with("ci"));
    assert!(drains[0].wait_until(ci_ran), "{}", drains[0].output());
    hold(&testbed, seconds);
    for drain in drains {
        drain.wait().exited(0);
    }
    testbed.assert_all_complete();
    let attempts = testbed.check().attempts.len();
    let text = format!(
        "{seconds} s, longer than the lease, two drains: {attempts} attempts for 10 phases"
    );
    summary("database held locked", 0, &text);
}

/// Reading stays possible meanwhile.
fn hold(testbed: &Testbed, seconds: u64) {
    block_on(async {
        let mut db = connect(&testbed.database()).await;
        sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut db).await.unwrap();
        testbed.project.autopack(["status"]).succeeded();
        // The duration of the lock is the subject of this test.
        std::thread::sleep(Duration::from_secs(seconds));
        sqlx::raw_sql("ROLLBACK").execute(&mut db).await.unwrap();
        db.close().await.unwrap();
    });
}
