//! Skipping a test for lack of something on this machine, in one place.
//!
//! A skipped test passes and prints `skipped: ...`. `AUTOPACK_TEST_REQUIRE` turns skips into failures: `all` for every need,
//! or a list of needs such as `jq,tmux,docker`. `.ci/run` lists everything it installs.

use std::fmt::Display;
use std::process::{Command, Stdio};

/// Prints why a test is skipped, then the caller returns. `need` names the missing thing, as `AUTOPACK_TEST_REQUIRE` does.
///
/// # Panics
/// If `AUTOPACK_TEST_REQUIRE` contains `need` or `all`.
#[track_caller]
pub fn skip(need: &str, why: impl Display) {
    let required = std::env::var("AUTOPACK_TEST_REQUIRE").unwrap_or_default();
    assert!(
        !is_required(&required, need),
        "AUTOPACK_TEST_REQUIRE={required}, but {why} (need: {need})"
    );
    println!("skipped: {why} (need: {need})");
}

fn is_required(required: &str, need: &str) -> bool {
    required.split(',').map(str::trim).any(|word| word == "all" || word == need)
}

/// Whether `program` succeeds with `args`; otherwise the test is skipped, or fails where the program is required.
#[track_caller]
pub fn has(program: &str, args: &[&str]) -> bool {
    let works = succeeds(program, args);
    if !works {
        skip(program, format_args!("`{program} {}` does not succeed", args.join(" ")));
    }
    works
}

/// Whether python3 has pytest; otherwise the test is skipped, or fails where `pytest` is required.
#[track_caller]
pub fn has_pytest() -> bool {
    let works = succeeds("python3", &["-c", "import pytest"]);
    if !works {
        skip("pytest", "python3 has no pytest");
    }
    works
}

/// Whether a program of this machine starts and ends with exit code 0.
pub fn succeeds(program: &str, args: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[test]
fn a_requirement_is_enforced_by_its_name_and_by_all() {
    assert!(is_required("all", "jq"));
    assert!(is_required("tmux, jq", "jq"));
    assert!(!is_required("", "jq"));
    assert!(!is_required("jq-1.7,tmux", "jq"));
}
