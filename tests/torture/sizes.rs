//! Size of a scenario: short with the other tests, long under `make torture`, or set by a variable; and the scenario's
//! line in the table of results.

use std::io::Write;

fn variable(name: &str) -> Option<String> {
    std::env::var(format!("AUTOPACK_TORTURE_{name}")).ok()
}

pub fn is_long() -> bool {
    std::env::var("AUTOPACK_TORTURE").is_ok_and(|form| form == "long")
}

/// `AUTOPACK_TORTURE_<name>`, else the size of the current form.
pub fn size(name: &str, short: u64, long: u64) -> u64 {
    let size = if is_long() { long } else { short };
    variable(name).map_or(size, |text| text.parse().expect("a number"))
}

/// Phases that a drain executes at once: `AUTOPACK_TORTURE_JOBS`, else the scenario's default.
pub fn jobs(usual: u64) -> u64 {
    variable("JOBS").map_or(usual, |text| text.parse().expect("a number"))
}

/// Writes the scenario's line to stdout, and to the file shown at the end of `make torture`.
pub fn summary(scenario: &str, seed: u64, text: &str) {
    println!("torture: {scenario}: {text}");
    let Some(report) = variable("REPORT") else { return };
    let mut file = std::fs::File::options().append(true).create(true).open(report).unwrap();
    writeln!(file, "| {scenario} | {text} | {seed} |").unwrap();
}
