//! Process trees that resist termination, agents that print without end, and what remains of both after the drain is
//! killed: nothing.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::drains::Running;
use super::sizes::{jobs, size, summary};
use super::testbed::{Testbed, backlog};
use crate::support::Project;
use crate::support::process::{LONG, bearing};
use crate::support::stubborn::STUBBORN;

/// Kinds in the tree of tests/support: ignores SIGTERM and leaves its session; is stopped; keeps forking; keeps forking
/// into new sessions.
const KINDS: u64 = 4;

/// A project whose agent starts the tree and stays in it until the test tells it to end.
fn testbed(phases: u64, jobs: u64) -> Testbed {
    let project = Project::new();
    let script = project.outside("stubborn.py");
    let stay = "while True: signal.pause()";
    std::fs::write(&script, format!("COUNT = {KINDS}\n{STUBBORN}{stay}\n")).unwrap();
    let script = script.display();
    let agent = format!(
        "if [ ! -e \"$at/calm\" ]; then\n  python3 '{script}' | while read -r up; do echo up >>\"$at/steps\"; done\nfi\ndeliver"
    );
    Testbed::on(project, &agent, "", jobs, backlog(phases))
}

fn count(testbed: &Testbed, step: &str) -> usize {
    testbed.steps().iter().filter(|line| line.starts_with(step)).count()
}

/// Time until no process has the project's mark any more.
fn until_gone(testbed: &Testbed) -> Duration {
    let began = Instant::now();
    let mark = testbed.project.outside("").display().to_string();
    loop {
        let left = bearing(&mark);
        if left.is_empty() {
            return began.elapsed();
        }
        assert!(began.elapsed() < LONG, "still there: {left:#?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_drain_killed_with_sigkill_ends_all_agent_process_trees() {
    let (rounds, jobs) = (size("TREES", 4, 100), jobs(1));
    let testbed = testbed(rounds / 2 + 1, jobs);
    let mut slowest = Duration::ZERO;
    for _ in 0..rounds {
        let before = count(&testbed, "up");
        let mut drain = testbed.start();
        assert!(drain.wait_until(|| count(&testbed, "up") > before), "{}", drain.output());
        assert!(drain.kill());
        slowest = slowest.max(until_gone(&testbed));
    }
    std::fs::write(testbed.project.outside("witness/calm"), "").unwrap();
    testbed.start().wait().exited(0);
    testbed.assert_all_complete();
    testbed.check();
    let text = format!(
        "{rounds} kills with trees that ignore SIGTERM, leave the session, are stopped, keep forking; jobs {jobs}: \
         the last process ended at most {} ms after the kill",
        slowest.as_millis()
    );
    summary("kill -9 ends process trees", 0, &text);
}

/// The agent itself ends normally, and leaves its tree behind.
#[test]
fn leftover_processes_end_with_their_attempt() {
    let (phases, jobs) = (size("LEFTOVERS", 3, 60), jobs(1));
    let testbed = testbed(phases, jobs);
    let agent = testbed.project.outside("agent.sh");
    let text = std::fs::read_to_string(&agent).unwrap();
    // In the background, holding the agent's pipes; the agent continues as soon as the tree is up.
    let leave = text
        .replace("done\nfi", "done &\nwhile ! grep -q up \"$at/steps\"; do sleep 0.01; done\nfi");
    assert_ne!(leave, text);
    std::fs::write(&agent, leave).unwrap();
    testbed.start().wait().exited(0);
    testbed.assert_all_complete();
    testbed.check();
    let text =
        format!("{phases} agents with one tree each, jobs {jobs}: no tree survived its attempt");
    summary("process trees left by agents", 0, &text);
}

/// Limit of a log file, as in src/process/job.rs.
const LOG_CAP: u64 = 64 << 20;
const MAY_GROW_KIB: u64 = 16 << 10;

#[test]
fn endless_output_is_bounded_in_memory_and_on_disk() {
    let megabytes = size("PRINTED_MB", 100, 10_240);
    // The first phase triggers everything that is allocated once. Output: many lines, then one line without an end.
    let agent = format!(
        "n=1; [ $AUTOPACK_PHASE_ID = p00000 ] || n={half}\n\
         yes 'a line of an ordinary length, as compilers print them by the million' | head -c ${{n}}000000\n\
         head -c ${{n}}000000 /dev/zero | tr '\\0' x\n\
         echo \"printed $AUTOPACK_PHASE_ID\" >>\"$at/steps\"\n\
         i=0; while [ ! -e \"$at/measured-$AUTOPACK_PHASE_ID\" ] && [ $i -lt 600 ]; do sleep 0.1; i=$((i + 1)); done\n\
         deliver",
        half = megabytes / 2
    );
    let testbed = Testbed::new(&agent, "", 1, backlog(2));
    let mut drain = testbed.start();
    let [before, after] = ["p00000", "p00001"].map(|phase| high_water(&testbed, &mut drain, phase));
    drain.wait().exited(0);
    testbed.check();
    let log = testbed.project.path(".autopack/attempts/run/p00001/1/agent.log");
    let kept = std::fs::metadata(&log).unwrap();
    assert!(kept.size() < LOG_CAP + 4096, "{} bytes of log", kept.size());
    assert!(tail(&log).contains("bytes left out: this log ends at"), "{}", tail(&log));
    let grown = after.saturating_sub(before);
    assert!(grown < MAY_GROW_KIB, "from {before} to {after} KiB");
    let text = format!(
        "{megabytes} MB printed: memory grew by {grown} KiB (high water {after} KiB), {} bytes of log kept",
        kept.size()
    );
    summary("endless agent output", 0, &text);
}

/// The drain's peak memory in KiB, after this phase has printed everything.
fn high_water(testbed: &Testbed, drain: &mut Running, phase: &str) -> u64 {
    let printed = format!("printed {phase}");
    assert!(drain.wait_patiently(|| count(testbed, &printed) > 0), "{}", drain.output());
    let status = std::fs::read_to_string(format!("/proc/{}/status", drain.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    std::fs::write(testbed.project.outside(format!("witness/measured-{phase}")), "").unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn tail(file: &Path) -> String {
    let bytes = std::fs::read(file).unwrap();
    String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(300)..]).into_owned()
}
