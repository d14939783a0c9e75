//! Time from start to the first output.

use std::process::Command;
use std::time::Duration;

use super::process::{cpu_seconds, first_line_of, succeed};
use super::scale::Scale;
use super::scratch::Scratch;
use super::stats::{Samples, figure, timed};

pub fn section(scale: &Scale) -> String {
    let scratch = Scratch::new(100);
    scratch.plan("r", 0..100);
    let mut text = format!(
        "{} starts each, from start to end, in milliseconds. `status` and `health` run in a workspace with 100 queued phases and without\n\
         memory.\n\n| command | p50 | p99 | processor time |\n|---|---|---|---|\n",
        scale.starts
    );
    for args in [&["--version"][..], &["status"], &["health", "--no-autostart"]] {
        text += &row(scale, &format!("autopack {}", args.join(" ")), || scratch.autopack(args));
    }
    for others in [
        &["git", "--version"][..],
        &["pueue", "--version"],
        &["parallel", "--version"],
        &["python3", "-c", "pass"],
    ] {
        if first_line_of(others[0], &others[1..]).is_some() {
            text += &row(scale, &others.join(" "), || {
                let mut command = scratch.command(others[0]);
                command.args(&others[1..]);
                command
            });
        }
    }
    text
}

fn row(scale: &Scale, name: &str, command: impl Fn() -> Command) -> String {
    let run = || timed(|| succeed(&mut command())).0;
    run();
    let before = cpu_seconds();
    let times: Vec<Duration> = (0..scale.starts).map(|_| run()).collect();
    let cpu = (cpu_seconds() - before) * 1e3 / scale.starts as f64;
    format!("| `{name}` | {} | {} |\n", Samples::ms(times).p50_p99(), figure(cpu))
}
