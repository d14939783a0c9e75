//! Landing with several workers: agents and CI only sleep, so that the queue decides how long a drain takes.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::queue_models::{Trace, batch_and_bisect, one_at_a_time, oracle};
use super::scale::Scale;
use super::scratch::{Scratch, id_of};
use super::stats::figure;

/// Phases for each worker.
const PER_WORKER: usize = 4;

/// Sleeps, and writes its phase's file; `RED` in the first attempt of some phases.
const AGENT: &str = r#"cat >/dev/null; sleep "$SECONDS_OF_AGENT"; d=src/${AUTOPACK_PHASE_ID%??}; mkdir -p "$d"
made="made by $AUTOPACK_PHASE_ID"; [ "$AUTOPACK_ATTEMPT" = 1 ] && grep -qx "$AUTOPACK_PHASE_ID" "$RED_PHASES" && made=RED
echo "$made" >"$d/$AUTOPACK_PHASE_ID.txt""#;

/// Cells measured at the same time if they mostly sleep: together they use a part of two processors.
const AT_ONCE: usize = 4;
/// Seconds of agent and CI from which a cell hardly uses the processors.
const MOSTLY_ASLEEP: f64 = 5.0;

pub fn section(scale: &Scale) -> String {
    let own = own_time();
    let text = format!(
        "{PER_WORKER} phases for each worker, at least {}, without common paths; agent and CI sleep. A red phase fails CI in its first attempt. The\n\
         seconds include everything except the test of the base; there is no final test. Efficiency: the seconds of an oracle that knows what is\n\
         red, divided by the seconds of the drain; for the other queues, by their simulated seconds on the same trace. For\n\
         programs, commits and files they get the {} ms that autopack takes for an attempt with one worker, beside the other workers.\n\
         The oracle gets none. If agent and CI together sleep for {MOSTLY_ASLEEP} s or more, {AT_ONCE} drains are measured at the same\n\
         time, each in its own repository and without a common limit for CI; all others are measured alone.\n\n\
         | agent, CI (s) | workers | red | seconds | efficiency | CI runs a landing | one at a time | batch and bisect |\n\
         |---|---|---|---|---|---|---|---|\n",
        2 * PER_WORKER,
        figure(own * 1e3)
    );
    let mut cells = Vec::new();
    for (agent, ci) in times(scale) {
        for workers in workers(scale) {
            cells
                .extend([0, 10, 30].map(|red| Cell { red, trace: trace(workers, agent, ci, red) }));
        }
    }
    text + &rows(&cells, own).concat()
}

/// A row of the table, to be measured.
struct Cell {
    red: usize,
    trace: Trace,
}

impl Cell {
    fn is_mostly_asleep(&self) -> bool {
        self.trace.agent + self.trace.ci >= MOSTLY_ASLEEP
    }
}

/// Measures the cells, and returns their rows in the same order.
fn rows(cells: &[Cell], own: f64) -> Vec<String> {
    let mut rows = vec![String::new(); cells.len()];
    for (is_mostly_asleep, at_once) in [(false, 1), (true, AT_ONCE)] {
        let mut group: Vec<usize> = (0..cells.len())
            .filter(|cell| cells[*cell].is_mostly_asleep() == is_mostly_asleep)
            .collect();
        if is_mostly_asleep {
            // The longest first, so that all end at about the same time.
            let seconds = |cell: &usize| one_at_a_time(&cells[*cell].trace);
            group.sort_by(|a, b| seconds(b).total_cmp(&seconds(a)));
        }
        let (group, next) = (&group, &AtomicUsize::new(0));
        std::thread::scope(|scope| {
            let measure = || {
                let mut measured = Vec::new();
                while let Some(cell) = group.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let row = row(&cells[*cell], own);
                    // The whole matrix takes most of an hour: an interrupted run still tells what it measured.
                    eprint!("{row}");
                    measured.push((*cell, row));
                }
                measured
            };
            let threads: Vec<_> = (0..at_once).map(|_| scope.spawn(measure)).collect();
            for thread in threads {
                for (cell, row) in thread.join().expect("every drain of the section succeeds") {
                    rows[cell] = row;
                }
            }
        });
    }
    rows
}

fn times(scale: &Scale) -> Vec<(f64, f64)> {
    if scale.quick {
        return vec![(1.0, 2.0)];
    }
    let seconds = [0.2, 1.0, 5.0];
    let all = seconds.into_iter().flat_map(|agent| seconds.map(|ci| (agent, ci)));
    std::iter::once((1.0, 2.0)).chain(all).collect()
}

fn workers(scale: &Scale) -> Vec<usize> {
    if scale.quick { vec![1, 8] } else { vec![1, 2, 4, 8, 16] }
}

fn trace(workers: usize, agent: f64, ci: f64, red: usize) -> Trace {
    let phases = PER_WORKER * workers.max(2);
    // The same phases each time, spread over the plan.
    let is_red = |phase: usize| (phase * 37 + 11) % 100 < red;
    Trace { workers, agent, ci, red: (0..phases).map(is_red).collect() }
}

/// Returns autopack's own seconds for an attempt, with one worker.
fn own_time() -> f64 {
    let trace = trace(1, 0.2, 0.2, 0);
    (drain(&trace).seconds - oracle(&trace)) / trace.red.len() as f64
}

fn row(Cell { red, trace }: &Cell, own: f64) -> String {
    let Drained { seconds, ci_runs } = drain(trace);
    let ideal = oracle(trace);
    let with_own = Trace { agent: trace.agent + own, ..trace.clone() };
    let Trace { workers, agent, ci, .. } = trace;
    format!(
        "| {agent}, {ci} | {workers} | {red}% | {} | {} | {} | {} | {} |\n",
        figure(seconds),
        figure(ideal / seconds),
        figure(ci_runs as f64 / trace.red.len() as f64),
        figure(ideal / one_at_a_time(&with_own)),
        figure(ideal / batch_and_bisect(&with_own)),
    )
}

struct Drained {
    seconds: f64,
    ci_runs: usize,
}

fn drain(trace: &Trace) -> Drained {
    let scratch = Scratch::new(100);
    let red: Vec<String> =
        (0..trace.red.len()).filter(|phase| trace.red[*phase]).map(id_of).collect();
    let red_phases = scratch.write("red", &format!("{}\n", red.join("\n")));
    let runs = scratch.write("ci-runs", "");
    let env = json!({"SECONDS_OF_AGENT": trace.agent.to_string(), "RED_PHASES": red_phases.display().to_string()});
    let agents = json!({"default": "sleeper",
        "sleeper": {"kind": "command", "command": ["sh", "-c", AGENT], "env": env}});
    let ci = format!("echo run >>'{}'; sleep {}; ! grep -rqx RED src", runs.display(), trace.ci);
    scratch.configure(&json!({
        "agents": agents,
        "ci": {"command": ["sh", "-c", ci], "final": "off"},
        "executor": {"circuit_breaker": 0, "repeat_limit": 0},
        "sandbox": {"mode": "off"},
    }));
    scratch.plan("r", 0..trace.red.len());
    let jobs = trace.workers.to_string();
    let output = scratch
        .autopack(["drain", "--run-id", "r", "--json", "--jobs", &jobs])
        // Permits of `ci.jobs` are locks of the user, in this directory.
        .env("XDG_RUNTIME_DIR", scratch.outside("runtime"))
        .output()
        .expect("autopack starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let last: Value = serde_json::from_str(text.lines().last().expect("events")).expect("JSON");
    let all = last["duration_ms"].as_f64().expect("a duration") / 1e3;
    let runs = std::fs::read_to_string(runs).expect("CI ran").lines().count();
    // CI runs once on the base, before the first agent.
    Drained { seconds: all - trace.ci, ci_runs: runs - 1 }
}
