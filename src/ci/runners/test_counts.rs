//! Counts passed and failed tests, and names passed tests, from printed output, for commands without other individual results. Pure.
//!
//! A label before each line (`packages/app test: `) assigns the line to a stream, even if lines of several packages
//! alternate. Summaries of the same runner are added up. Names are used only if a stream prints as many names as passed
//! tests: a runner may print some of its tests only, such as slow tests, and others the next time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use super::line_prefix;
use super::printed_tests::{self, JAVASCRIPT, PrintedLine};
use super::summary_lines::{self, SummaryLine, TestNames};
use super::test_report::TestReport;
use super::{ReadResults, ResultReader};
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
pub struct CountReader {
    streams: BTreeMap<String, StreamReader>,
    /// Number of lines with each label.
    lines: HashMap<String, u32>,
    /// The package announced for the following unlabeled lines.
    heading: String,
    names: usize,
}

#[derive(Debug, Default)]
struct StreamReader {
    /// Passed tests, by label of their summaries.
    passed: BTreeMap<&'static str, u64>,
    failed: BTreeMap<&'static str, u64>,
    /// Failed tests in lines of TAP.
    failed_lines: u64,
    /// The name of a test whose description is printed in the next line.
    announced: Option<String>,
    /// Names of passed tests, by family of runners.
    names: BTreeMap<&'static str, Vec<String>>,
    /// Where the names of a label's tests are.
    named_in: BTreeMap<&'static str, TestNames>,
    /// Started groups and tests with subtests, and the ended among them.
    opened: Vec<String>,
    closed: Vec<String>,
    /// Whether any test ran, with any result.
    any_ran: bool,
    is_labeled: bool,
}

/// Counts and names read from the output.
#[derive(Debug, Default, PartialEq, Eq)]
struct PrintedSummary {
    /// Passed tests, by runner.
    pub counts: BTreeMap<String, u64>,
    /// Failed tests, by runner.
    pub failed: BTreeMap<String, u64>,
    /// The passed tests by stream.
    pub printed: BTreeMap<String, PrintedTests>,
    /// Whether any test ran, with any result.
    pub any_ran: bool,
}

impl ResultReader for CountReader {
    fn line(&mut self, line: &str) {
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

    fn finish(self: Box<Self>, _dir: &Path, _results: &Path) -> ReadResults {
        let PrintedSummary { counts, failed, printed, any_ran } = self.summary();
        let report =
            TestReport { counts, failed, printed, unnamed_ran: any_ran, ..TestReport::default() };
        ReadResults { report: Some(report), tail: None }
    }
}

impl CountReader {
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
        if let Some((family, line)) = printed.filter(|_| self.names < MOST_NAMES) {
            self.names += 1;
            stream.print(family, line);
        }
        true
    }

    fn summary(self) -> PrintedSummary {
        let Self { streams, lines, .. } = self;
        let mut summary = PrintedSummary::default();
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
        let count = self.passed.entry(line.label).or_default();
        *count = count.saturating_add_signed(line.passed);
        if line.failed > 0 {
            let failed = self.failed.entry(line.label).or_default();
            *failed = failed.saturating_add(line.failed);
        }
        self.named_in.insert(line.label, line.names);
        self.any_ran |= line.ran;
    }

    fn print(&mut self, family: &'static str, line: PrintedLine) {
        match line {
            PrintedLine::Passed(name) => {
                self.announced = None;
                self.pass(family, name);
            }
            PrintedLine::Described(description) => {
                let name = self.announced.take().unwrap_or(description);
                self.pass(family, name);
            }
            PrintedLine::Opened(name) => self.opened.push(name),
            PrintedLine::WasGroup => {
                self.names.get_mut(JAVASCRIPT).and_then(Vec::pop);
            }
            PrintedLine::Announced(name) => self.announced = Some(name),
            PrintedLine::FailedTap => {
                self.any_ran = true;
                self.failed_lines += 1;
            }
            PrintedLine::OtherTap => self.any_ran = true,
        }
    }

    fn pass(&mut self, family: &'static str, name: String) {
        let is_end = self.opened.iter().rposition(|opened| *opened == name);
        match is_end {
            Some(at) => {
                self.opened.truncate(at);
                self.closed.push(name);
            }
            None => self.names.entry(family).or_default().push(name),
        }
    }

    /// Where the names of the tests with this label are.
    fn names_of(&self, label: &str) -> TestNames {
        match self.named_in.get(label) {
            Some(names) => *names,
            None if label == TAP => TestNames::Printed(JAVASCRIPT),
            None => TestNames::Unprinted,
        }
    }

    /// Whether a summary counted the tests in JavaScript's lines.
    fn has_javascript_summary(&self) -> bool {
        self.passed.keys().any(|label| self.names_of(label) == TestNames::Printed(JAVASCRIPT))
    }

    fn counts(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = self.passed.clone();
        let names = self.names.get(JAVASCRIPT).map_or(0, Vec::len);
        if names > 0 && !self.has_javascript_summary() {
            counts.insert(TAP, names as u64);
        }
        counts
    }

    fn failures(&self) -> BTreeMap<&'static str, u64> {
        let mut failed = self.failed.clone();
        if self.failed_lines > 0 && !self.has_javascript_summary() {
            failed.insert(TAP, self.failed_lines);
        }
        failed
    }

    /// Returns all names or none: each family has to print as many names as it counts.
    fn names(&self, counts: &BTreeMap<&'static str, u64>) -> Option<BTreeSet<String>> {
        let mut expected: BTreeMap<&'static str, u64> = BTreeMap::new();
        for (label, count) in counts {
            match self.names_of(label) {
                TestNames::Printed(family) => *expected.entry(family).or_default() += count,
                TestNames::OfPackages => {}
                TestNames::Unprinted => return None,
            }
        }
        let mut all = BTreeSet::new();
        for (family, count) in expected {
            let names = self.names.get(family).map_or(&[][..], Vec::as_slice);
            // Runners differ in counting tests that have subtests.
            let closed = if family == JAVASCRIPT { self.closed.as_slice() } else { &[] };
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
