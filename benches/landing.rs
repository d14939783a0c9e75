//! Landing with several workers: agents and CI only sleep, so that the queue decides how long a drain takes.

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

pub fn section(scale: &Scale) -> String {
    let mut text = format!(
        "{PER_WORKER} phases for each worker, without common paths; agent and CI sleep. A red phase fails CI in its first attempt. The seconds\n\
         include everything except the test of the base; there is no final test. Efficiency: the seconds of an oracle that knows what is\n\
         red, divided by the seconds of the drain; for the other queues, by their simulated seconds on the same trace.\n\n\
         | agent, CI (s) | workers | red | seconds | efficiency | CI runs a landing | one at a time | batch and bisect |\n\
         |---|---|---|---|---|---|---|---|\n"
    );
    for (agent, ci) in times(scale) {
        for workers in workers(scale) {
            for red in [0, 10, 30] {
                let row = row(&trace(workers, agent, ci, red), red);
                // The whole matrix takes hours: an interrupted run still tells what it measured.
                eprint!("{row}");
                text += &row;
            }
        }
    }
    text
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

fn row(trace: &Trace, red: usize) -> String {
    let Drained { seconds, ci_runs } = drain(trace);
    let ideal = oracle(trace);
    let Trace { workers, agent, ci, .. } = trace;
    format!(
        "| {agent}, {ci} | {workers} | {red}% | {} | {} | {} | {} | {} |\n",
        figure(seconds),
        figure(ideal / seconds),
        figure(ci_runs as f64 / trace.red.len() as f64),
        figure(ideal / one_at_a_time(trace)),
        figure(ideal / batch_and_bisect(trace)),
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
