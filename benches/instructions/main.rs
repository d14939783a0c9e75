//! Instruction counts of the pure modules, compared with those in `counts.txt`: `make instructions`.
//!
//! Each part runs under callgrind with fixed input and a fixed hash seed. Only instructions of this program count, not those
//! of the C library, whose functions differ between machines and versions; the allocations are counted beside them.
//!
//! `autopack-instructions [--write]` compares or writes the counts, `--part NAME` runs a single part.

#![allow(clippy::disallowed_methods, reason = "starts valgrind and reads no configuration")]

mod allocations;
mod callgrind;
#[allow(dead_code, reason = "modules of the program, of which the parts use some")]
mod config;
mod fixed_seed;
#[allow(dead_code, unused_imports, reason = "as above")]
#[path = "plan_modules.rs"]
mod import;
#[allow(dead_code, reason = "as above")]
#[path = "../../src/merge_queue/member_step.rs"]
mod member_step;
#[path = "../../src/parallel.rs"]
mod parallel;
mod parts;
#[allow(dead_code, unused_imports, reason = "as above")]
#[path = "../../src/phase/mod.rs"]
mod phase;
#[allow(dead_code, unused_imports, reason = "as above")]
#[path = "../../src/prompt/mod.rs"]
mod prompt;
mod recorded;
#[path = "../specs.rs"]
mod specs;
#[allow(dead_code, unused_imports, reason = "as above")]
#[path = "../../src/telemetry/mod.rs"]
mod telemetry;

use std::process::ExitCode;

use recorded::RecordedCounts;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["--part", name] => parts::run(name),
        [] => compare(),
        ["--write"] => write(),
        other => Err(format!("unknown arguments {other:?}; there are --write and --part NAME")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn compare() -> Result<(), String> {
    let recorded = RecordedCounts::read()?;
    let measured = RecordedCounts::measure()?;
    let comparison = recorded.compare(&measured);
    print!("{}", comparison.table);
    comparison.notes.iter().for_each(|note| println!("note: {note}"));
    match comparison.problems {
        problems if problems.is_empty() => Ok(()),
        problems => Err(problems.join("\nerror: ")),
    }
}

fn write() -> Result<(), String> {
    let measured = RecordedCounts::measure()?;
    measured.write()?;
    println!("wrote {} counts to {}", measured.parts.len(), recorded::FILE);
    Ok(())
}
