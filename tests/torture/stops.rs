//! A drain is suspended (SIGSTOP) at some step, for longer than its lease. Another drain reclaims its phase. The first
//! resumes (SIGCONT), and its landing and its finish are refused.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use sqlx::Connection as _;

use super::gate::{Gate, When};
use super::history::{History, block_on, connect};
use super::sizes::{is_long, jobs, size, summary};
use super::testbed::{Testbed, backlog};
use crate::support::Project;
use crate::support::dice::Dice;

/// Trials run at once, since they mostly wait for leases and locks.
const AT_ONCE: usize = 6;

/// When the held git call continues.
#[derive(Clone, Copy, Debug)]
enum Release {
    WhileStopped,
    AfterTheRescue,
    AfterWaking,
}

const RELEASES: [Release; 3] =
    [Release::WhileStopped, Release::AfterTheRescue, Release::AfterWaking];

#[derive(Clone, Copy, Debug)]
struct Trial {
    when: When,
    /// The git command (or any), and the number of the call in the drain's life.
    which: &'static str,
    call: u64,
    release: Release,
}

/// Result of a trial.
#[derive(Clone, Copy, Debug, Default)]
struct Refused {
    /// The reclaiming drain's attempt landed, not the suspended one's.
    landing: u64,
    /// The suspended drain had landed already: only its finish came too late.
    finish: u64,
    /// The drain was suspended within a write to the database.
    locked: u64,
}

fn project() -> (Testbed, Gate) {
    let (project, gate) = Gate::on(Project::new());
    let settings = "executor: {lease_seconds: 1}\n";
    (Testbed::on(project, "deliver", settings, jobs(1), backlog(1)), gate)
}

/// The git calls that one phase needs, from the start of the drain.
fn calls() -> Vec<String> {
    let (testbed, _gate) = project();
    testbed.start().wait().exited(0);
    let steps = testbed.steps();
    let calls: Vec<String> =
        steps.into_iter().filter_map(|s| Some(s.strip_prefix("git ")?.to_owned())).collect();
    assert!(calls.len() > 10, "{calls:?}");
    calls
}

/// Half of the trials around the landing itself, the others at every call or, in the short form, at random calls.
fn trials(calls: &[String], dice: &mut Dice) -> Vec<Trial> {
    let wanted = size("STOPS", 12, 500);
    let number = calls.len() as u64;
    let moves = calls.iter().filter(|call| *call == "update-ref").count() as u64;
    let trial = |n: u64, dice: &mut Dice| {
        let when = if n.is_multiple_of(2) { When::Before } else { When::After };
        let (which, call) = match n % 4 {
            0 | 1 => ("update-ref", moves),
            _ if is_long() => ("any", (n / 4) % number + 1),
            _ => ("any", 1 + dice.below(number)),
        };
        Trial { when, which, call, release: *dice.pick(&RELEASES) }
    };
    (0..wanted).map(|n| trial(n, dice)).collect()
}

#[test]
fn a_drain_stopped_past_its_lease_can_neither_land_nor_finish() {
    let mut dice = Dice::thrown();
    let seed = dice.seed();
    let calls = calls();
    let trials = trials(&calls, &mut dice);
    let (next, refused) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(trial) = trials.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    let came = torture(*trial);
                    refused.lock().unwrap().push(came);
                }
            });
        }
    });
    let refused = refused.into_inner().unwrap();
    assert_eq!(refused.len(), trials.len(), "a trial failed");
    let landings: u64 = refused.iter().map(|one| one.landing).sum();
    let finishes: u64 = refused.iter().map(|one| one.finish).sum();
    assert!(landings > 0 && finishes > 0, "{landings} landings and {finishes} finishes refused");
    let locked: u64 = refused.iter().map(|one| one.locked).sum();
    let text = format!(
        "suspended {} times, at {} git calls: {landings} landings and {finishes} finishes refused, {locked} suspended within \
         a write to the database; no phase landed twice",
        trials.len(),
        calls.len()
    );
    summary("suspended past the lease, reclaimed, resumed", seed, &text);
}

fn torture(trial: Trial) -> Refused {
    println!("{trial:?}");
    let (testbed, gate) = project();
    gate.arm(trial.when, trial.which, trial.call);
    let mut first = testbed.start();
    if !first.wait_until(|| gate.held().is_some()) {
        first.wait().exited(0);
        testbed.check();
        return Refused::default();
    }
    first.stop();
    // Each such trial takes two minutes: the short form has none.
    while !is_long() && writes(&testbed) {
        first.signal(Signal::SIGCONT);
        std::thread::sleep(Duration::from_millis(5));
        first.stop();
    }
    if matches!(trial.release, Release::WhileStopped) {
        gate.release();
    }
    // This drain waits until the lease is over, then reclaims the phase.
    let reclaimer = testbed.start().wait();
    // A drain stopped in the middle of a write blocks all writers: this is reported after two minutes, and nothing is
    // reclaimed.
    let locked = reclaimer.code == Some(1) && reclaimer.stderr.contains("keeps it locked");
    if !locked {
        assert_eq!(reclaimer.code, Some(0), "{reclaimer:#?}");
        testbed.assert_all_complete();
    }
    if matches!(trial.release, Release::AfterTheRescue) {
        gate.release();
    }
    first.signal(Signal::SIGCONT);
    gate.release();
    let first = first.wait().exited(0);
    testbed.assert_all_complete();
    let history = testbed.check();
    if locked {
        return Refused { locked: 1, ..Refused::default() };
    }
    refused(&history, &first.stderr, &reclaimer.stderr)
}

/// Whether a suspended drain holds the database.
fn writes(testbed: &Testbed) -> bool {
    block_on(async {
        let mut db = connect(&testbed.database()).await;
        let begun = sqlx::raw_sql("PRAGMA busy_timeout = 0; BEGIN IMMEDIATE; ROLLBACK");
        let held = begun.execute(&mut db).await.is_err();
        db.close().await.unwrap();
        held
    })
}

/// Determines who worked on the phase, and whose commit landed.
fn refused(history: &History, first: &str, reclaimer: &str) -> Refused {
    let attempts = &history.attempts;
    let reclaimed = reclaimer.contains("a drain died during");
    if !reclaimed {
        // The drain had not claimed the phase yet, or had finished it.
        return Refused::default();
    }
    assert!(first.contains("another drain reclaimed this phase"), "{first}\n{reclaimer}");
    let landed = |number: i64| {
        let of = attempts.iter().find(|attempt| attempt.attempt == number);
        of.is_some_and(|attempt| attempt.outcome.as_deref() == Some("landed"))
    };
    assert_ne!(landed(1), landed(2), "{attempts:#?}");
    Refused { landing: u64::from(landed(2)), finish: u64::from(landed(1)), locked: 0 }
}
