//! Process trees that resist termination, agents that print without end, and what remains of both after the drain is
//! killed: nothing.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::drains::Running;
use super::ground::{Ground, backlog};
use super::sizes::{jobs, size, summary};
use crate::support::Project;
use crate::support::process::{LONG, bearing};
use crate::support::stubborn::STUBBORN;

/// Kinds in the tree of tests/support: ignores SIGTERM and leaves its session; is stopped; keeps forking; keeps forking
/// into new sessions.
const KINDS: u64 = 4;

/// A project whose agent starts the tree and stays in it until the test tells it to end.
fn ground(phases: u64, jobs: u64) -> Ground {
    let project = Project::new();
    let script = project.outside("stubborn.py");
    let stay = "while True: signal.pause()";
    std::fs::write(&script, format!("COUNT = {KINDS}\n{STUBBORN}{stay}\n")).unwrap();
    let script = script.display();
    let agent = format!(
        "if [ ! -e \"$at/calm\" ]; then\n  python3 '{script}' | while read -r up; do echo up >>\"$at/steps\"; done\nfi\ndeliver"
    );
    Ground::on(project, &agent, "", jobs, backlog(phases))
}

fn count(ground: &Ground, step: &str) -> usize {
    ground.steps().iter().filter(|line| line.starts_with(step)).count()
}

/// Time until no process has the project's mark any more.
fn until_gone(ground: &Ground) -> Duration {
    let began = Instant::now();
    let mark = ground.project.outside("").display().to_string();
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
fn killed_with_nine_the_drain_takes_agents_and_all_their_trees_along() {
    let (rounds, jobs) = (size("TREES", 4, 100), jobs(1));
    let ground = ground(rounds / 2 + 1, jobs);
    let mut slowest = Duration::ZERO;
    for _ in 0..rounds {
        let before = count(&ground, "up");
        let mut drain = ground.start();
        assert!(drain.wait_until(|| count(&ground, "up") > before), "{}", drain.said());
        assert!(drain.kill());
        slowest = slowest.max(until_gone(&ground));
    }
    std::fs::write(ground.project.outside("witness/calm"), "").unwrap();
    ground.start().wait().exited(0);
    ground.assert_all_complete();
    ground.check();
    let text = format!(
        "{rounds} kills with trees that ignore SIGTERM, leave the session, are stopped, keep forking; jobs {jobs}: \
         the last process ended at most {} ms after the kill",
        slowest.as_millis()
    );
    summary("kill -9 ends process trees", 0, &text);
}

/// The agent itself ends normally, and leaves its tree behind.
#[test]
fn what_an_agent_leaves_behind_is_gone_when_its_attempt_is() {
    let (phases, jobs) = (size("LEFTOVERS", 3, 60), jobs(1));
    let ground = ground(phases, jobs);
    let agent = ground.project.outside("agent.sh");
    let text = std::fs::read_to_string(&agent).unwrap();
    // In the background, holding the agent's pipes; the agent continues as soon as the tree is up.
    let leave = text
        .replace("done\nfi", "done &\nwhile ! grep -q up \"$at/steps\"; do sleep 0.01; done\nfi");
    assert_ne!(leave, text);
    std::fs::write(&agent, leave).unwrap();
    ground.start().wait().exited(0);
    ground.assert_all_complete();
    ground.check();
    let text =
        format!("{phases} agents with one tree each, jobs {jobs}: no tree survived its attempt");
    summary("process trees left by agents", 0, &text);
}

/// Limit of a log file, as in src/process/job.rs.
const LOG_CAP: u64 = 64 << 20;
const MAY_GROW_KIB: u64 = 16 << 10;

#[test]
fn an_agent_that_prints_without_end_costs_neither_memory_nor_disk() {
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
    let ground = Ground::new(&agent, "", 1, backlog(2));
    let mut drain = ground.start();
    let [before, after] = ["p00000", "p00001"].map(|phase| high_water(&ground, &mut drain, phase));
    drain.wait().exited(0);
    ground.check();
    let log = ground.project.path(".autopack/attempts/run/p00001/1/agent.log");
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
fn high_water(ground: &Ground, drain: &mut Running, phase: &str) -> u64 {
    let printed = format!("printed {phase}");
    assert!(drain.wait_patiently(|| count(ground, &printed) > 0), "{}", drain.said());
    let status = std::fs::read_to_string(format!("/proc/{}/status", drain.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    std::fs::write(ground.project.outside(format!("witness/measured-{phase}")), "").unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn tail(file: &Path) -> String {
    let bytes = std::fs::read(file).unwrap();
    String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(300)..]).into_owned()
}
