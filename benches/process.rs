//! Programs run by a bench, and their costs according to the kernel.

use std::process::{Command, Stdio};

pub const AUTOPACK: &str = env!("CARGO_BIN_EXE_autopack");

/// `USER_HZ`: the unit of `/proc`, the same on every Linux.
pub const TICKS_PER_SECOND: f64 = 100.0;

/// A program's standard output as one line; `None` if the program is missing.
pub fn first_line_of(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or("").to_owned();
    output.status.success().then_some(text)
}

/// Processor time of this process and of all ended children, in seconds.
pub fn cpu_seconds() -> f64 {
    // utime, stime, cutime and cstime are fields 14 to 17; the second field may contain any text, in parentheses.
    times(&std::fs::read_to_string("/proc/self/stat").unwrap_or_default(), 4)
}

fn times(stat: &str, fields: usize) -> f64 {
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(fields);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND
}

/// Runs a command to its end, and asserts success.
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
