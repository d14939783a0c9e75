//! Detects the runners of a directory by its files. Starts no process.

use std::cmp::Reverse;
use std::path::Path;

use super::project_files::read_text;
use super::runners::{Evidence, TestRunner};

/// A runner that may test a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub evidence: Evidence,
    pub runner: &'static dyn TestRunner,
}

/// Returns the runners that may test a directory, the most certain first; equally certain runners in the order of the
/// registry.
pub fn detect_runners(runners: &[&'static dyn TestRunner], dir: &Path) -> Vec<Candidate> {
    let candidate = |runner: &&'static dyn TestRunner| {
        Some(Candidate { evidence: runner.detect(dir)?, runner: *runner })
    };
    let mut candidates: Vec<Candidate> = runners.iter().filter_map(candidate).collect();
    candidates.sort_by_key(|candidate| Reverse(candidate.evidence));
    candidates
}

/// Returns a test target of a Makefile.
pub fn make_target(dir: &Path) -> Option<&'static str> {
    let text = ["GNUmakefile", "makefile", "Makefile"]
        .into_iter()
        .map(|name| read_text(dir, name))
        .find(|text| !text.is_empty())?;
    let is_target = |target: &str| {
        text.lines().any(|line| {
            let names = line.split_once(':').filter(|(_, rest)| !rest.starts_with('='));
            !line.starts_with(['\t', ' ', '#', '.'])
                && names
                    .is_some_and(|(names, _)| names.split_whitespace().any(|name| name == target))
        })
    };
    ["test", "check", "tests"].into_iter().find(|target| is_target(target))
}

#[cfg(test)]
#[path = "detect_tests.rs"]
mod tests;
