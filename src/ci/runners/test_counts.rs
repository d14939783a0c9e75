//! Which and how many tests passed, as runners print it: for commands whose results come in no other way. Pure.
//!
//! A label before each line (`packages/app test: `) makes the lines behind it one stream, however those of several
//! packages alternate. Summaries of one runner add up. Names count where a stream prints as many as it counts: runners
//! that print some of their tests only, such as slow ones, print others the next time.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::line_prefix;
use super::printed_tests::{self, Family, PrintedLine};
use super::summary_lines::{self, SummaryLine};
use crate::ci::results::PrintedTests;

/// Labels that are looked for, and names that are kept, in one run.
const MOST_LABELS: usize = 10_000;
const MOST_NAMES: usize = 50_000;
/// A label that stands before a single line is a coincidence.
const LEAST_LINES: u32 = 2;
/// TAP without a summary counts by its lines.
const TAP: &str = "TAP";

/// Takes in the output line by line.
#[derive(Debug, Default)]
pub struct Reader {
    streams: BTreeMap<String, StreamReader>,
    /// Lines behind each label.
    lines: HashMap<String, u32>,
    /// Whose output follows, where lines bear no label.
    heading: String,
    names: usize,
}

#[derive(Debug, Default)]
struct StreamReader {
    passed: BTreeMap<&'static str, u64>,
    names: BTreeMap<Family, Vec<String>>,
    /// Groups and tests with subtests that have begun, and those of them that have ended.
    opened: Vec<String>,
    closed: Vec<String>,
    /// Whether a test ran, whatever it came to.
    any_ran: bool,
    is_labeled: bool,
}

/// What the output said.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Tests that passed, by runner.
    pub counts: BTreeMap<String, u64>,
    /// The same by stream.
    pub printed: BTreeMap<String, PrintedTests>,
    /// Whether a test ran, whatever it came to.
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

    /// `None`: the line bears no label.
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
        self.any_ran |= line.ran;
    }

    fn print(&mut self, line: PrintedLine) {
        match line {
            PrintedLine::Passed(family, name) => {
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
            PrintedLine::OtherTap => self.any_ran = true,
        }
    }

    fn counts(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = self.passed.clone();
        let of_family = |runner: &&str| Family::of(runner) == Some(Family::JavaScript);
        let names = self.names.get(&Family::JavaScript).map_or(0, Vec::len);
        if names > 0 && !counts.keys().any(|runner| of_family(&runner)) {
            counts.insert(TAP, names as u64);
        }
        counts
    }

    /// All of them, or none: each family has to print as many as it counts.
    fn names(&self, counts: &BTreeMap<&'static str, u64>) -> Option<BTreeSet<String>> {
        let mut expected: BTreeMap<Family, u64> = BTreeMap::new();
        for (runner, count) in counts {
            let family = if *runner == TAP { Some(Family::JavaScript) } else { Family::of(runner) };
            match family {
                Some(family) => *expected.entry(family).or_default() += count,
                // Whole packages: their tests are not counted.
                None if *runner == "go test, packages" => {}
                None => return None,
            }
        }
        let mut all = BTreeSet::new();
        for (family, count) in expected {
            let names = self.names.get(&family).map_or(&[][..], Vec::as_slice);
            // Whether those with tests below them are tests is up to the runner.
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

/// Tests of the same name are told apart by their number.
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
