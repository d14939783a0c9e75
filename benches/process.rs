//! Programs as a bench runs them, and what the kernel says they cost.

use std::process::{Command, Stdio};

pub const AUTOPACK: &str = env!("CARGO_BIN_EXE_autopack");

/// `USER_HZ`: what `/proc` counts in, on every Linux that there is.
pub const TICKS_PER_SECOND: f64 = 100.0;

/// What a program says on its standard output, in one line; nothing where it is not there.
pub fn said(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or("").to_owned();
    output.status.success().then_some(text)
}

/// Processor time of this process and of all children that ended, in seconds.
pub fn cpu_seconds() -> f64 {
    // utime, stime, cutime and cstime are fields 14 to 17; the second one may hold anything, in parentheses.
    times(&std::fs::read_to_string("/proc/self/stat").unwrap_or_default(), 4)
}

fn times(stat: &str, fields: usize) -> f64 {
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(fields);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND
}

/// Runs it to its end, and insists that it worked.
pub fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
