//! How large a scenario is: short with the other tests, long under `make torture`, or as a variable says; and the line
//! that it leaves for the table.

use std::io::Write;

fn variable(name: &str) -> Option<String> {
    std::env::var(format!("AUTOPACK_TORTURE_{name}")).ok()
}

pub fn is_long() -> bool {
    std::env::var("AUTOPACK_TORTURE").is_ok_and(|form| form == "long")
}

/// `AUTOPACK_TORTURE_<name>`, else the size of the form that is run.
pub fn size(name: &str, short: u64, long: u64) -> u64 {
    let size = if is_long() { long } else { short };
    variable(name).map_or(size, |text| text.parse().expect("a number"))
}

/// How many phases a drain executes at once: `AUTOPACK_TORTURE_JOBS`, else what the scenario likes.
pub fn jobs(usual: u64) -> u64 {
    variable("JOBS").map_or(usual, |text| text.parse().expect("a number"))
}

/// The scenario's line: on stdout, and in the file that `make torture` shows at its end.
pub fn summary(scenario: &str, seed: u64, text: &str) {
    println!("torture: {scenario}: {text}");
    let Some(report) = variable("REPORT") else { return };
    let mut file = std::fs::File::options().append(true).create(true).open(report).unwrap();
    writeln!(file, "| {scenario} | {text} | {seed} |").unwrap();
}
