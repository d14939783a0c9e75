//! Memory of a drain during a long backlog.

use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::scale::Scale;
use super::scratch::{Scratch, file_of};
use super::stats::{figure, grouped};

/// Each file is rewritten again and again, so that the repository keeps its size.
const FILES: usize = 100;
/// Writes the file named by the last two digits of its phase.
const AGENT: &str = r#"cat >/dev/null; echo "made by $AUTOPACK_PHASE_ID" >"src/p0000/p0000${AUTOPACK_PHASE_ID#p????}.txt""#;
const EVERY: Duration = Duration::from_millis(500);

pub fn section(scale: &Scale) -> String {
    let scratch = Scratch::new(FILES);
    scratch.agent(AGENT);
    scratch.plan_files("r", (0..scale.long_drain).map(|number| (number, file_of(number % FILES))));
    let mut command = scratch.autopack(["drain", "--run-id", "r", "--quiet"]);
    let mut child = command.stdout(Stdio::null()).spawn().expect("autopack starts");
    let started = Instant::now();
    let mut seen = Vec::new();
    while child.try_wait().expect("a child").is_none() {
        seen.extend(MemorySample::at(child.id()));
        sleep(EVERY);
    }
    let took = started.elapsed();
    assert!(child.wait().expect("a child").success(), "the drain failed");
    let rate = scale.long_drain as f64 / took.as_secs_f64();
    let mut text = format!(
        "Memory of the drain process, without agents and CI, in MiB, sampled twice a second over {} phases. The phases write a hundred\n\
         files in turn. Resident memory includes pages of the program file, shared by all its processes; own memory is allocated by\n\
         the drain. The drain took {:.0} s: {} phases/s.\n\n\
         | part of the drain | resident | own |\n|---|---|---|\n",
        grouped(scale.long_drain as i64),
        took.as_secs_f64(),
        figure(rate)
    );
    for (name, from, to) in [("first tenth", 0, 1), ("middle", 4, 6), ("last tenth", 9, 10)] {
        let part = &seen[seen.len() * from / 10..seen.len() * to / 10];
        let largest = |what: fn(&MemorySample) -> u64| {
            part.iter().map(what).max().unwrap_or(0) as f64 / 1024.0
        };
        text += &format!(
            "| {name}, largest | {} | {} |\n",
            figure(largest(|look| look.resident)),
            figure(largest(|look| look.own))
        );
    }
    text
}

/// In KiB.
struct MemorySample {
    resident: u64,
    own: u64,
}

impl MemorySample {
    fn at(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let kib = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        Some(Self { resident: kib("VmRSS:")?, own: kib("RssAnon:")? })
    }
}
