//! The counts in `counts.txt`: reading, writing and comparing them.

use std::process::Command;

use super::callgrind::{Costs, measure};
use super::parts::PARTS;

/// The file, from the root of the repository.
pub const FILE: &str = "benches/instructions/counts.txt";
const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/counts.txt");
const HEADER: &str = "# Instructions and allocations of the pure parts, compared by `make instructions`. Written by `make instructions-write`.\n";
/// Largest increase, in percent.
const BOUND: u64 = 5;
/// How to accept new counts.
const ANEW: &str = "`make instructions-write` writes the file anew";

/// Counts of all parts, and the compiler that they were made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedCounts {
    /// Version and host of the compiler.
    pub compiler: String,
    /// Name and costs of each part.
    pub parts: Vec<(String, Costs)>,
}

/// Result of a comparison, for people.
pub struct Comparison {
    pub table: String,
    pub notes: Vec<String>,
    pub problems: Vec<String>,
}

impl RecordedCounts {
    /// Measures all parts.
    pub fn measure() -> Result<Self, String> {
        let parts = PARTS.iter().map(|part| Ok((part.name.to_owned(), measure(part.name)?)));
        Ok(Self { compiler: compiler()?, parts: parts.collect::<Result<_, String>>()? })
    }

    /// Reads the file.
    pub fn read() -> Result<Self, String> {
        let text =
            std::fs::read_to_string(PATH).map_err(|error| format!("{FILE}: {error}; {ANEW}"))?;
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let compiler = lines.next().unwrap_or_default().to_owned();
        let part = |line: &str| {
            let mut words = line.split_whitespace();
            let name = words.next()?.to_owned();
            let mut number = || words.next()?.parse().ok();
            Some((name, Costs { instructions: number()?, allocations: number()? }))
        };
        let parts = lines
            .map(|line| part(line).ok_or_else(|| format!("{FILE}: not a count: {line:?}; {ANEW}")));
        Ok(Self { compiler, parts: parts.collect::<Result<_, _>>()? })
    }

    /// Writes the file.
    pub fn write(&self) -> Result<(), String> {
        let rows = self.parts.iter().map(|(name, costs)| {
            format!("{name:<28} {:>9} {:>6}\n", costs.instructions, costs.allocations)
        });
        let text = format!("{HEADER}{}\n{}", self.compiler, rows.collect::<String>());
        std::fs::write(PATH, text).map_err(|error| format!("{FILE}: {error}"))
    }

    /// Compares with counts measured now.
    pub fn compare(&self, now: &Self) -> Comparison {
        let mut found =
            Comparison { table: String::new(), notes: Vec::new(), problems: Vec::new() };
        let made_with = format!("{} made the counts, this is {}", self.compiler, now.compiler);
        if host(&self.compiler) != host(&now.compiler) {
            found.notes.push(format!("{made_with}: other processors are not compared"));
            return found;
        }
        let cause = match self.compiler == now.compiler {
            true => format!("if this is intended, {ANEW}"),
            false => {
                found.notes.push(format!("{made_with}; {ANEW}"));
                format!("{made_with}, possibly the cause; {ANEW}")
            }
        };
        for (name, costs) in &now.parts {
            let Some((_, before)) = self.parts.iter().find(|(known, _)| known == name) else {
                found.problems.push(format!("{name} is not in {FILE}; {ANEW}"));
                continue;
            };
            found.table +=
                &format!("{name:<28} {:>9} {:>6}", costs.instructions, costs.allocations);
            found.table += &format!("  {}\n", percent(before.instructions, costs.instructions));
            for (what, before, after) in [
                ("instructions", before.instructions, costs.instructions),
                ("allocations", before.allocations, costs.allocations),
            ] {
                let change = percent(before, after);
                if after * 100 > before * (100 + BOUND) {
                    found.problems.push(format!(
                        "{name}: {after} {what} instead of {before} ({change}); {cause}"
                    ));
                } else if after * (100 + BOUND) < before * 100 {
                    found.notes.push(format!(
                        "{name}: {after} {what} instead of {before} ({change}); {ANEW}"
                    ));
                }
            }
        }
        let gone =
            self.parts.iter().filter(|(name, _)| !now.parts.iter().any(|(known, _)| known == name));
        found.problems.extend(gone.map(|(name, _)| format!("{name} in {FILE} is no part; {ANEW}")));
        found
    }
}

/// Returns the processor and system of a compiler.
fn host(compiler: &str) -> Option<&str> {
    compiler.split(' ').next_back()
}

fn percent(before: u64, after: u64) -> String {
    format!("{:+.1} %", (after as f64 / before.max(1) as f64 - 1.0) * 100.0)
}

/// Returns the compiler's version and host.
fn compiler() -> Result<String, String> {
    let run = Command::new("rustc")
        .arg("-vV")
        .output()
        .map_err(|error| format!("cannot start rustc: {error}"))?;
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    Ok(format!("{} {host}", text.lines().next().unwrap_or_default()))
}
