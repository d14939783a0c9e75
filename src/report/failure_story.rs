//! A failure in a report, cleaned, with the first entries of its lists.

use super::excerpt;
use crate::phase::Failure;
use crate::phase::verdict::FailingTest;
use crate::process::Redactor;

/// Limit for the lists of a failure.
const LISTED: usize = 20;

/// A failure in the report.
pub struct FailureStory {
    /// Kind of failure.
    pub kind: String,
    /// Reason.
    pub message: String,
    /// Exit code of the failed program.
    pub exit_code: Option<i32>,
    /// Breaches and missing deliverables.
    pub particulars: Vec<String>,
    /// Failing tests, each with the message in separate lines.
    pub tests: Vec<String>,
    /// Number of failing tests left out.
    pub more_tests: usize,
}

impl FailureStory {
    /// Cleans a failure.
    pub fn new(failure: &Failure, redactor: &Redactor) -> Self {
        let detail = &failure.detail;
        let test = |test: &FailingTest| {
            let message = excerpt::block(&test.message, redactor);
            let lines = message.trim().lines().map(|line| format!("\n    {line}"));
            excerpt::line(&test.name, redactor) + &lines.collect::<String>()
        };
        let all: Vec<String> = detail
            .breaches
            .iter()
            .chain(&detail.missing)
            .map(|text| excerpt::line(text, redactor))
            .collect();
        let mut particulars = all;
        let more = particulars.len().saturating_sub(LISTED);
        particulars.truncate(LISTED);
        if more > 0 {
            particulars.push(format!("and {more} more"));
        }
        Self {
            kind: failure.kind.as_str().to_owned(),
            message: excerpt::line(&failure.message, redactor),
            exit_code: failure.exit_code,
            particulars,
            tests: detail.failing_tests.iter().take(LISTED).map(test).collect(),
            more_tests: detail.failing_tests.len().saturating_sub(LISTED),
        }
    }
}
