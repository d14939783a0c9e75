//! Overhead of a phase beside its agent and its CI: a drain of phases whose agent writes one file and whose CI is
//! `true`.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::others;
use super::process::cpu_seconds;
use super::scale::{DrainSize, Scale};
use super::scratch::Scratch;
use super::stats::{Samples, figure};

pub fn section(scale: &Scale) -> String {
    let mut text = format!(
        "{} phases in a row, {} in the large repository: claim, worktree, an agent (`sh`) writing a single file, scope, secrets, CI (`true`), landing\n\
         and finish, all on disk. The table has the milliseconds between two finished phases, including the start of the agent and CI, and the\n\
         processor time of all programs.\n\n\
         | files | jobs | program | a phase, p50 | p99 | processor time |\n|---|---|---|---|---|---|\n",
        scale.drains[0].phases, scale.drains[1].phases
    );
    let mut steps = String::new();
    for size in scale.drains {
        for jobs in jobs() {
            let scratch = Scratch::new(size.files);
            scratch.plan("r", 0..size.phases);
            let drained = drain(&scratch, jobs);
            let files = size.files;
            text += &format!("| {files} | {jobs} | autopack | {} |\n", drained.row());
        }
        text += &others::loops(size, &jobs());
    }
    for size in scale.drains {
        steps += &by_step(size);
    }
    text + &steps
}

/// One job, and as many as there are processors.
fn jobs() -> Vec<usize> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores > 1 { vec![1, cores] } else { vec![1] }
}

/// Times of a series of phases.
pub struct Series {
    /// From one landing to the next.
    pub gaps: Vec<Duration>,
    pub cpu_seconds: f64,
}

impl Series {
    pub fn row(&self) -> String {
        let cpu = self.cpu_seconds * 1e3 / (self.gaps.len() + 1) as f64;
        format!("{} | {}", Samples::ms(self.gaps.iter().copied()).p50_p99(), figure(cpu))
    }
}

/// Drains the run `r`, and asserts that all phases land.
fn drain(scratch: &Scratch, jobs: usize) -> Series {
    let mut command = scratch.autopack(["drain", "--run-id", "r", "--json"]);
    if jobs > 1 {
        command.args(["--jobs", &jobs.to_string()]);
    }
    let before = cpu_seconds();
    let mut child = command.stdout(Stdio::piped()).spawn().expect("autopack starts");
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut finished = Vec::new();
    for line in lines.map_while(Result::ok) {
        if line.contains(r#""event":"phase_finished""#) {
            assert!(line.contains(r#""state":"COMPLETE""#), "{line}");
            finished.push(Instant::now());
        }
    }
    let status = child.wait().expect("it ends");
    assert!(status.success(), "the drain ended with {status}");
    let gaps = finished.windows(2).map(|pair| pair[1] - pair[0]).collect();
    Series { gaps, cpu_seconds: cpu_seconds() - before }
}

/// Log lines with `-vv` in the order of a phase, and the work until the next line.
const STEPS: [(&str, &str); 6] = [
    ("slot taken", "slot: restore files, create the agent's repository, prompt"),
    ("agent at work", "agent: supervisor, program, end of the process tree"),
    ("reading the diff", "diff: measure, scope, secrets, deliverables, commit"),
    ("running CI", "CI: supervisor, program, end of the process tree"),
    ("landing", "landing: objects, fence and branch"),
    ("judged", "finish, claim, fence of the next phase"),
];

/// Time of each step of a phase, from the drain's own log.
fn by_step(size: DrainSize) -> String {
    let DrainSize { files, phases, .. } = size;
    let scratch = Scratch::new(files);
    scratch.plan("r", 0..phases);
    let args = ["drain", "--run-id", "r", "-vv", "--log-format", "json"];
    let output = scratch.autopack(args).output().expect("autopack starts");
    let log = String::from_utf8_lossy(&output.stderr);
    let times: Vec<(usize, jiff::Timestamp)> = log.lines().filter_map(step).collect();
    let mut spent: [Vec<Duration>; STEPS.len()] = Default::default();
    for pair in times.windows(2) {
        let ((step, from), (_, to)) = (pair[0], pair[1]);
        spent[step].extend(Duration::try_from(to.duration_since(from)));
    }
    let mut text =
        format!("\nBy step, {files} files, 1 job:\n\n| step | p50 | p99 |\n|---|---|---|\n");
    for ((_, what), spent) in STEPS.iter().zip(spent).filter(|(_, spent)| !spent.is_empty()) {
        text += &format!("| {what} | {} |\n", Samples::ms(spent).p50_p99());
    }
    text
}

/// A log line that starts a step.
fn step(line: &str) -> Option<(usize, jiff::Timestamp)> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let message = line["message"].as_str()?;
    let step = STEPS.iter().position(|(name, _)| *name == message)?;
    Some((step, line["timestamp"].as_str()?.parse().ok()?))
}
