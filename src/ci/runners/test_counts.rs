//! Counts passed and failed tests, and names passed tests, from printed output, for commands without other individual results. Pure.
//!
//! A label before each line (`packages/app test: `) assigns the line to a stream, even if lines of several packages
//! alternate. Summaries of the same runner are added up. Names are used only if a stream prints as many names as passed
//! tests: a runner may print some of its tests only, such as slow tests, and others the next time.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::line_prefix;
use super::printed_tests::{self, Family, PrintedLine, is_dotted};
use super::summary_lines::{self, SummaryLine};
use crate::ci::results::PrintedTests;

/// Most labels tracked, and most names kept, in one run.
const MOST_LABELS: usize = 10_000;
const MOST_NAMES: usize = 50_000;
/// A label before fewer lines is a coincidence.
const LEAST_LINES: u32 = 2;
/// Runner name for TAP without a summary; tests are counted by their lines.
const TAP: &str = "TAP";

/// Accepts the output line by line.
#[derive(Debug, Default)]
pub struct Reader {
    streams: BTreeMap<String, StreamReader>,
    /// Number of lines with each label.
    lines: HashMap<String, u32>,
    /// The package announced for the following unlabeled lines.
    heading: String,
    names: usize,
}

#[derive(Debug, Default)]
struct StreamReader {
    passed: BTreeMap<&'static str, u64>,
    failed: BTreeMap<&'static str, u64>,
    /// Failed tests in lines of TAP.
    failed_lines: u64,
    /// The name of a test whose description is printed in the next line.
    announced: Option<String>,
    names: BTreeMap<Family, Vec<String>>,
    /// Started groups and tests with subtests, and the ended among them.
    opened: Vec<String>,
    closed: Vec<String>,
    /// Whether any test ran, with any result.
    any_ran: bool,
    is_labeled: bool,
}

/// Counts and names read from the output.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Passed tests, by runner.
    pub counts: BTreeMap<String, u64>,
    /// Failed tests, by runner.
    pub failed: BTreeMap<String, u64>,
    /// The passed tests by stream.
    pub printed: BTreeMap<String, PrintedTests>,
    /// Whether any test ran, with any result.
    pub any_ran: bool,
}

impl Reader {
    pub fn line(&mut self, line: &str) {
        if let Some(heading) = line_prefix::heading(line.trim()) {
            self.heading = heading;
            return;
        }
        if self.take(None, line) {
            return;
        }
        let mut is_taken = false;
        for (label, rest) in line_prefix::splits(line) {
            if self.lines.len() < MOST_LABELS || self.lines.contains_key(&label) {
                *self.lines.entry(label.clone()).or_default() += 1;
            }
            is_taken = is_taken || self.take(Some(label), rest);
        }
    }

    /// Reads a line; `None`: without a label.
    fn take(&mut self, label: Option<String>, text: &str) -> bool {
        let text = text.trim();
        let summary = summary_lines::read(text);
        let printed = printed_tests::read(text);
        if summary.is_none() && printed.is_none() {
            return false;
        }
        let is_labeled = label.is_some();
        let name = label.filter(|label| !label.is_empty()).unwrap_or_else(|| self.heading.clone());
        let stream = self.streams.entry(name).or_default();
        stream.is_labeled |= is_labeled;
        if let Some(line) = summary {
            stream.count(line);
        }
        if let Some(line) = printed.filter(|_| self.names < MOST_NAMES) {
            self.names += 1;
            stream.print(line);
        }
        true
    }

    pub fn finish(self) -> Summary {
        let Self { streams, lines, .. } = self;
        let mut summary = Summary::default();
        for (label, stream) in streams {
            let seen = lines.get(&label).copied().unwrap_or_default();
            if stream.is_labeled && !label.is_empty() && seen < LEAST_LINES {
                continue;
            }
            summary.any_ran |= stream.any_ran;
            let counts = stream.counts();
            for (runner, count) in &counts {
                let all = summary.counts.entry((*runner).to_owned()).or_default();
                *all = all.saturating_add(*count);
            }
            for (runner, count) in stream.failures() {
                let all = summary.failed.entry(runner.to_owned()).or_default();
                *all = all.saturating_add(count);
            }
            if !counts.is_empty() {
                let printed = PrintedTests {
                    passed: counts.values().fold(0, |all, count| all.saturating_add(*count)),
                    names: stream.names(&counts),
                };
                summary.printed.insert(label, printed);
            }
        }
        summary
    }
}

impl StreamReader {
    fn count(&mut self, line: SummaryLine) {
        let count = self.passed.entry(line.runner).or_default();
        *count = count.saturating_add_signed(line.passed);
        if line.failed > 0 {
            let failed = self.failed.entry(line.runner).or_default();
            *failed = failed.saturating_add(line.failed);
        }
        self.any_ran |= line.ran;
    }

    fn print(&mut self, line: PrintedLine) {
        match line {
            PrintedLine::Passed(family, name) => {
                let announced = self.announced.take();
                let is_described = family == Family::Unittest && !is_dotted(&name);
                let name = announced.filter(|_| is_described).unwrap_or(name);
                let is_end = self.opened.iter().rposition(|opened| *opened == name);
                match is_end {
                    Some(at) => {
                        self.opened.truncate(at);
                        self.closed.push(name);
                    }
                    None => self.names.entry(family).or_default().push(name),
                }
            }
            PrintedLine::Opened(name) => self.opened.push(name),
            PrintedLine::WasGroup => {
                self.names.get_mut(&Family::JavaScript).and_then(Vec::pop);
            }
            PrintedLine::Announced(name) => self.announced = Some(name),
            PrintedLine::FailedTap => {
                self.any_ran = true;
                self.failed_lines += 1;
            }
            PrintedLine::OtherTap => self.any_ran = true,
        }
    }

    fn counts(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = self.passed.clone();
        let of_family = |runner: &&str| Family::of(runner) == Some(Family::JavaScript);
        let names = self.names.get(&Family::JavaScript).map_or(0, Vec::len);
        if names > 0 && !counts.keys().any(of_family) {
            counts.insert(TAP, names as u64);
        }
        counts
    }

    fn failures(&self) -> BTreeMap<&'static str, u64> {
        let mut failed = self.failed.clone();
        let of_family = |runner: &&str| Family::of(runner) == Some(Family::JavaScript);
        if self.failed_lines > 0 && !self.passed.keys().any(of_family) {
            failed.insert(TAP, self.failed_lines);
        }
        failed
    }

    /// Returns all names or none: each family has to print as many names as it counts.
    fn names(&self, counts: &BTreeMap<&'static str, u64>) -> Option<BTreeSet<String>> {
        let mut expected: BTreeMap<Family, u64> = BTreeMap::new();
        for (runner, count) in counts {
            let family = if *runner == TAP { Some(Family::JavaScript) } else { Family::of(runner) };
            match family {
                Some(family) => *expected.entry(family).or_default() += count,
                // Whole packages, whose tests are not counted.
                None if *runner == "go test, packages" => {}
                None => return None,
            }
        }
        let mut all = BTreeSet::new();
        for (family, count) in expected {
            let names = self.names.get(&family).map_or(&[][..], Vec::as_slice);
            // Runners differ in counting tests that have subtests.
            let closed = match family {
                Family::JavaScript => self.closed.as_slice(),
                _ => &[],
            };
            let is_whole = |names: usize| u64::try_from(names) == Ok(count);
            let closed = match closed {
                _ if is_whole(names.len()) => &[][..],
                closed if is_whole(names.len() + closed.len()) => closed,
                _ => return None,
            };
            for name in names.iter().chain(closed) {
                insert_numbered(&mut all, name);
            }
        }
        Some(all)
    }
}

/// Adds a number to the name of a test whose name is taken.
fn insert_numbered(names: &mut BTreeSet<String>, name: &str) {
    if names.insert(name.to_owned()) {
        return;
    }
    let numbered = (2..).map(|number: usize| format!("{name} ({number})"));
    let _ = numbered.take(MOST_NAMES).any(|name| names.insert(name));
}

#[cfg(test)]
#[path = "test_counts_tests.rs"]
mod tests;
