//! Import of a large backlog into the database, and its repair there.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::process::succeed;
use super::scale::Scale;
use super::scratch::{Scratch, size};
use super::specs::shapes;
use super::stats::{Samples, figure, grouped, timed};

const ROUNDS: usize = 3;

pub fn section(scale: &Scale) -> String {
    let scratch = Scratch::new(1);
    let plan = scratch.write("backlog.jsonl", &backlog(scale.backlog));
    let megabytes = size(&plan) as f64 / 1e6;
    let plan = plan.display().to_string();
    let (mut import, mut repair, mut again, mut jq) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        // A new database each time.
        let _ = std::fs::remove_dir_all(scratch.root().join(".autopack"));
        import.push(run(&mut scratch.autopack(["import", &plan, "--run-id", "r"])));
        repair.push(run(&mut scratch.autopack(["fix-phases", "--run-id", "r"])));
        again.push(run(&mut scratch.autopack(["fix-phases", "--run-id", "r"])));
        jq.extend(copy_by_jq(&plan));
    }
    let mut text = format!(
        "Whole commands, from start to end, into a synced database. The plan has {} phases of eight shapes (JSONL, {megabytes:.0} MB); most\n\
         need repair.\n\n| | seconds | spread | phases/s |\n|---|---|---|---|\n",
        grouped(scale.backlog as i64)
    );
    for (name, times) in [
        ("`import`", import),
        ("`fix-phases`: repair and store", repair),
        ("`fix-phases` again: nothing to repair", again),
        ("for comparison: `jq -c .`, only reads and writes the plan", jq),
    ] {
        if times.is_empty() {
            continue;
        }
        let seconds = Samples::of(times.iter().map(Duration::as_secs_f64));
        let rate = scale.backlog as f64 / seconds.median();
        let (median, spread) = (figure(seconds.median()), seconds.spread());
        text += &format!("| {name} | {median} | {spread} | {} |\n", figure(rate));
    }
    text
}

fn run(command: &mut Command) -> Duration {
    timed(|| succeed(command)).0
}

fn copy_by_jq(plan: &str) -> Option<Duration> {
    super::process::first_line_of("jq", &["--version"])?;
    Some(run(Command::new("jq").args(["-c", "."]).arg(plan)))
}

fn backlog(phases: usize) -> String {
    let shapes = shapes();
    let mut lines = String::new();
    for number in 0..phases {
        let mut phase = shapes[number % shapes.len()].clone();
        if let Value::Object(fields) = &mut phase {
            fields.insert("phase_id".into(), format!("p{number:06}").into());
            fields.remove("depends_on");
        }
        lines += &format!("{phase}\n");
    }
    lines
}
