//! Common part of all output readers: a growing list of tests, and the search for their files.

use std::collections::BTreeMap;

use crate::ci::results::{PrintedTests, TestCase, TestStatus};

/// Longer messages keep only their beginning and end.
const MESSAGE_CHARS: usize = 2_000;

/// Finds in the repository a path named by a runner, optionally with its crate: `src/lib.rs` of some package is
/// `crates/core/src/lib.rs`. `None` if there is no such file.
pub type FindFile<'a> = dyn Fn(&str, Option<&str>) -> Option<String> + 'a;

/// Results read from a runner's output.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TestReport {
    pub tests: BTreeMap<String, TestCase>,
    /// Tests could not be loaded or compiled.
    pub collection_error: bool,
    /// Part of the output could not be read, so a test missing here may have run.
    pub partial: bool,
    /// Number of passed tests by runner, if the output only counts them.
    pub counts: BTreeMap<String, u64>,
    /// Number of failed tests by runner, from the same summaries.
    pub failed: BTreeMap<String, u64>,
    /// The passed tests by stream of the output.
    pub printed: BTreeMap<String, PrintedTests>,
    /// Whether tests ran whose names are unknown.
    pub unnamed_ran: bool,
}

impl TestReport {
    /// Adds a test. A test may be reported more than once (its call, then its teardown): the worst status counts, and
    /// every message is kept.
    pub fn add(&mut self, id: String, test: TestCase) {
        match self.tests.get_mut(&id) {
            None => {
                self.tests.insert(id, test);
            }
            Some(known) => {
                if known.is_red() && test.is_red() {
                    known.message = format!("{}\n{}", known.message, test.message);
                } else if test.status > known.status {
                    *known = test;
                }
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.tests.is_empty()
    }

    pub fn has_red(&self) -> bool {
        self.tests.values().any(|test| test.status == TestStatus::Failed)
    }

    /// Makes file names relative to the top of the repository, for a report from this directory.
    pub fn below(mut self, dir: &str) -> Self {
        if !dir.is_empty() {
            for file in self.tests.values_mut().filter_map(|test| test.file.as_mut()) {
                *file = format!("{dir}/{file}");
            }
        }
        self
    }

    /// Prepares messages for storage: redacted, without colors, shortened.
    pub fn tidy(mut self, redact: &dyn Fn(&str) -> String) -> Self {
        for test in self.tests.values_mut().filter(|test| !test.message.is_empty()) {
            let plain = console::strip_ansi_codes(&test.message).into_owned();
            test.message = shortened(redact(&plain).trim(), MESSAGE_CHARS);
        }
        self
    }
}

/// Returns beginning and end of a text longer than `most` characters.
pub fn shortened(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let head: String = text.chars().take(most / 2).collect();
    let tail: String = text.chars().skip(count - most / 2).collect();
    format!("{head}\n... {} characters left out ...\n{tail}", count - 2 * (most / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_two_reports_counts() {
        let mut report = TestReport::default();
        report.add("a".into(), TestCase::new(TestStatus::Passed, None));
        report.add("a".into(), TestCase::red(None, "call"));
        report.add("a".into(), TestCase::new(TestStatus::Passed, None));
        report.add("a".into(), TestCase::red(None, "teardown"));
        assert_eq!(report.tests["a"].message, "call\nteardown");
    }

    #[test]
    fn long_messages_keep_both_ends() {
        let text = format!("{}é{}", "a".repeat(50), "z".repeat(50));
        let short = shortened(&text, 10);
        assert_eq!(short, "aaaaa\n... 91 characters left out ...\nzzzzz");
        assert_eq!(shortened("short", 10), "short");
    }

    #[test]
    fn kept_messages_are_plain_and_redacted() {
        let mut report = TestReport::default();
        report.add("a".into(), TestCase::red(None, " \u{1b}[31mkey s3cret\u{1b}[0m \n"));
        let report = report.tidy(&|text| text.replace("s3cret", "***"));
        assert_eq!(report.tests["a"].message, "key ***");
    }
}
