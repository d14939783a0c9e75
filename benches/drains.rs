//! Overhead of a phase beside its agent and its CI: a drain of phases whose agent writes one file and whose CI is
//! `true`.

use std::time::{Duration, Instant};

use autopack::process::view::{ViewMode, probe};
use serde_json::Value;

use super::others;
use super::process::cpu_seconds;
use super::scale::{DrainSize, Scale};
use super::scratch::{AGENT, Scratch};
use super::stats::{Samples, figure};

pub fn section(scale: &Scale) -> String {
    let [small, large] = scale.drains;
    let mut text = format!(
        "{} phases in a row, {} in the large repository: claim, worktree, an agent (`sh`) writing a single file, scope, secrets, CI (`true`), landing\n\
         and finish, all on disk. The table has the milliseconds between two finished phases, including the start of the agent and CI, and the\n\
         processor time of all programs. View: the mode of the sandbox.\n\n\
         | files | jobs | program | a phase, p50 | p99 | processor time |\n|---|---|---|---|---|---|\n",
        small.phases, large.phases
    );
    // Removed at the end: a file system is slow to create files where many were removed before.
    let mut kept = Vec::new();
    let mut first_slots = FirstSlots::default();
    for size in scale.drains {
        for view in views() {
            for jobs in jobs() {
                let scratch = Scratch::new(size.files);
                scratch.agent_in(AGENT, view);
                scratch.plan("r", 0..size.phases);
                let log = drain_with_log(&scratch, jobs);
                let files = size.files;
                let row = log.series.row();
                text += &format!("| {files} | {jobs} | autopack, view {view} | {row} |\n");
                if size.files == large.files && jobs == 1 {
                    first_slots.add(view, &log, &scratch);
                }
                kept.push(scratch);
            }
        }
        text += &others::loops(size, &jobs(), &mut kept);
    }
    for size in scale.drains {
        for view in views() {
            text += &by_step(size, view, &mut kept);
        }
    }
    text + &first_slots.table(large.files)
}

/// The modes of the sandbox that work here.
fn views() -> Vec<&'static str> {
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    match runtime.block_on(probe(ViewMode::Namespaces)) {
        Ok(()) => vec!["off", "namespaces"],
        Err(_) => vec!["off"],
    }
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

/// Times of a drain.
struct DrainLog {
    series: Series,
    /// Steps of all phases, with their begin.
    steps: Vec<(usize, jiff::Timestamp)>,
}

/// Drains the run `r`, and asserts that all phases land.
fn drain_with_log(scratch: &Scratch, jobs: usize) -> DrainLog {
    let jobs = jobs.to_string();
    let args = ["drain", "--run-id", "r", "--jobs", &jobs, "-vv", "--log-format", "json"];
    let before = cpu_seconds();
    let output = scratch.autopack(args).output().expect("autopack starts");
    let cpu_seconds = cpu_seconds() - before;
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the drain ended with {}: {log}", output.status);
    let lines = || log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let at = |line: &Value| line["timestamp"].as_str()?.parse::<jiff::Timestamp>().ok();
    let finished = lines().filter(|line| line["message"] == "phase finished");
    let finished: Vec<jiff::Timestamp> = finished
        .inspect(|line| assert_eq!(line["state"], "COMPLETE", "{line}"))
        .filter_map(|line| at(&line))
        .collect();
    let gaps = finished.windows(2).map(|pair| between(pair[0], pair[1])).collect();
    let steps = lines().filter_map(|line| {
        let message = line["message"].as_str()?;
        Some((STEPS.iter().position(|(name, _)| *name == message)?, at(&line)?))
    });
    DrainLog { series: Series { gaps, cpu_seconds }, steps: steps.collect() }
}

fn between(from: jiff::Timestamp, to: jiff::Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// Log lines with `-vv` in the order of a phase, and the work until the next line.
const STEPS: [(&str, &str); 7] = [
    ("slot taken", "slot: fence, restore files, create the agent's repository"),
    ("preparing the slot", "prompt, view, test of the base in the first phase"),
    ("agent at work", "agent: supervisor, program, end of the process tree"),
    ("reading the diff", "diff: measure, scope, secrets, deliverables, commit"),
    ("running CI", "CI: supervisor, program, end of the process tree"),
    ("landing", "landing: objects, fence and branch"),
    ("judged", "finish, claim, fence of the next phase"),
];

/// Time of each step of a phase, from the drain's own log.
fn by_step(size: DrainSize, view: &str, kept: &mut Vec<Scratch>) -> String {
    let DrainSize { files, phases, .. } = size;
    let scratch = Scratch::new(files);
    scratch.agent_in(AGENT, view);
    scratch.plan("r", 0..phases);
    let times = drain_with_log(&scratch, 1).steps;
    kept.push(scratch);
    let mut spent: [Vec<Duration>; STEPS.len()] = Default::default();
    for pair in times.windows(2) {
        let ((step, from), (_, to)) = (pair[0], pair[1]);
        spent[step].push(between(from, to));
    }
    let mut text = format!(
        "\nBy step, {files} files, 1 job, view {view}:\n\n| step | p50 | p99 |\n|---|---|---|\n"
    );
    for ((_, what), spent) in STEPS.iter().zip(spent).filter(|(_, spent)| !spent.is_empty()) {
        text += &format!("| {what} | {} |\n", Samples::ms(spent).p50_p99());
    }
    text
}

/// Time of the first slot of a repository, beside a worktree of git's.
#[derive(Default)]
struct FirstSlots {
    rows: String,
}

impl FirstSlots {
    fn add(&mut self, view: &str, log: &DrainLog, scratch: &Scratch) {
        let begin = |wanted: &str| {
            let position = STEPS.iter().position(|(name, _)| *name == wanted);
            let found = log.steps.iter().find(|(step, _)| Some(*step) == position);
            found.map(|(_, at)| *at).expect("a drain has every step")
        };
        let slot = between(begin("slot taken"), begin("preparing the slot"));
        let base = between(begin("preparing the slot"), begin("agent at work"));
        let path = scratch.outside("worktree").display().to_string();
        let started = Instant::now();
        scratch.git(["worktree", "add", "-q", "--detach", &path, "HEAD"]);
        let worktree = started.elapsed();
        let ms = |time: Duration| figure(time.as_secs_f64() * 1e3);
        self.rows += &format!("| {view} | {} | {} | {} |\n", ms(slot), ms(base), ms(worktree));
    }

    fn table(&self, files: usize) -> String {
        format!(
            "\nThe first slot of a repository of {files} files, in milliseconds, beside `git worktree add` in the same run. The second\n\
             checkout is CI's, for the test of the base.\n\n\
             | view | the agent's checkout | CI's checkout and the test of the base | `git worktree add` |\n|---|---|---|---|\n{}",
            self.rows
        )
    }
}
