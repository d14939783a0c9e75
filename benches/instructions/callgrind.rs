//! A part under callgrind: starts this program again and adds up the instructions.

use std::path::Path;
use std::process::Command;

use super::parts::COUNTED;

/// Measured costs of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Costs {
    /// Instructions of this program.
    pub instructions: u64,
    /// Allocations and reallocations.
    pub allocations: u64,
}

/// Runs a part under callgrind.
pub fn measure(part: &str) -> Result<Costs, String> {
    let program =
        std::env::current_exe().map_err(|error| format!("no path of this program: {error}"))?;
    let out = program.with_file_name(format!("callgrind.{part}"));
    let run = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--collect-atstart=no",
            "--compress-strings=no",
            "--compress-pos=no",
        ])
        .args(["--demangle=no", &format!("--toggle-collect={COUNTED}")])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(&program)
        .args(["--part", part])
        .output()
        .map_err(|error| {
            format!("cannot start valgrind: {error}; install it with your system's packages")
        })?;
    if !run.status.success() {
        return Err(format!("{part}: valgrind failed: {}", String::from_utf8_lossy(&run.stderr)));
    }
    let profile =
        std::fs::read_to_string(&out).map_err(|error| format!("{}: {error}", out.display()))?;
    let _ = std::fs::remove_file(&out);
    let instructions = own_instructions(&profile, &program);
    let printed = String::from_utf8_lossy(&run.stdout).trim().parse();
    match (instructions, printed) {
        (0, _) => Err(format!("{part}: callgrind counted no instructions of {COUNTED}")),
        (_, Err(error)) => Err(format!("{part}: no number of allocations: {error}")),
        (instructions, Ok(allocations)) => Ok(Costs { instructions, allocations }),
    }
}

/// Adds up the instructions of the program's own functions. Functions of the crate `memchr` are left out: it chooses them by
/// the processor.
fn own_instructions(profile: &str, program: &Path) -> u64 {
    let (mut is_own, mut is_counted, mut is_call, mut sum) = (false, false, false, 0);
    for line in profile.lines() {
        if let Some(object) = line.strip_prefix("ob=") {
            is_own = Path::new(object) == program;
        } else if let Some(function) = line.strip_prefix("fn=") {
            is_counted = is_own && !function.contains("6memchr");
        } else if line.starts_with("calls=") {
            // The next line has the costs of the callee, which are counted there.
            is_call = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit()) {
            let cost = line.split(' ').nth(1).and_then(|cost| cost.parse::<u64>().ok());
            if is_counted && !is_call {
                sum += cost.unwrap_or(0);
            }
            is_call = false;
        }
    }
    sum
}
