//! Reads summary lines, by which runners report the number of passed and failed tests. Pure.

use super::{RUNNERS, printed_tests};

/// Content of one line: the numbers of passed and failed tests, and whether any test ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SummaryLine {
    /// Name under which numbers are added up, stored and shown.
    pub label: &'static str,
    /// Negative if an earlier line counted tests that did not pass.
    pub passed: i64,
    pub failed: u64,
    pub ran: bool,
    pub names: TestNames,
}

/// Where the names of the counted tests are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestNames {
    /// Not printed.
    Unprinted,
    /// In lines of this family, see [`printed_tests::read`].
    Printed(&'static str),
    /// Not here: the line counts a whole package, whose tests are counted by others.
    OfPackages,
}

impl SummaryLine {
    /// `all`: passed and failed tests.
    pub fn new(label: &'static str, passed: u64, all: u64) -> Option<Self> {
        let failed = all.saturating_sub(passed);
        let passed = i64::try_from(passed).ok()?;
        Some(Self { label, passed, failed, ran: all > 0, names: TestNames::Unprinted })
    }

    pub fn with_names(self, names: TestNames) -> Self {
        Self { names, ..self }
    }
}

/// Reads a trimmed line; `None` if the line is not a summary.
pub fn read(line: &str) -> Option<SummaryLine> {
    let of_runner = RUNNERS.iter().find_map(|runner| runner.summary(line));
    of_runner.or_else(|| FRAMEWORKS.iter().find_map(|read| read(line)))
}

type ReadLine = fn(&str) -> Option<SummaryLine>;

/// Frameworks that are no runners of their own.
const FRAMEWORKS: [ReadLine; 9] =
    [jest, vitest, mocha, ava, nextest, phpunit, rspec, surefire, dotnet];

fn javascript(label: &'static str, passed: u64, all: u64) -> Option<SummaryLine> {
    let line = SummaryLine::new(label, passed, all)?;
    Some(line.with_names(TestNames::Printed(printed_tests::JAVASCRIPT)))
}

/// The number right before `word`: `2` in `1 failed, 2 passed`.
pub fn number_before(text: &str, word: &str) -> Option<u64> {
    let end = text.match_indices(word).find(|(at, _)| {
        let next = text[at + word.len()..].chars().next();
        next.is_none_or(|next| !next.is_alphanumeric())
    })?;
    let text = text[..end.0].trim_end();
    let start = text.rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + 1);
    text.get(start..)?.parse().ok()
}

/// The number right after `word`: `2` in `Passed:   2,`.
pub fn number_after(text: &str, word: &str) -> Option<u64> {
    let rest = text[text.find(word)? + word.len()..].trim_start();
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// `Tests:       1 failed, 2 skipped, 10 passed, 13 total`
fn jest(line: &str) -> Option<SummaryLine> {
    let rest = line.strip_prefix("Tests:")?;
    let all = rest.trim_end().ends_with("total").then(|| number_before(rest, "total"))??;
    let skipped =
        number_before(rest, "skipped").unwrap_or(0) + number_before(rest, "todo").unwrap_or(0);
    javascript("jest", number_before(rest, "passed").unwrap_or(0), all.saturating_sub(skipped))
}

/// `Tests  1 failed | 10 passed | 2 skipped (13)`
fn vitest(line: &str) -> Option<SummaryLine> {
    let rest = line.strip_prefix("Tests ").filter(|rest| rest.ends_with(')'))?;
    let passed = number_before(rest, "passed");
    let failed = number_before(rest, "failed");
    passed.or(failed).or(number_before(rest, "skipped")).or(number_before(rest, "todo"))?;
    javascript("vitest", passed.unwrap_or(0), passed.unwrap_or(0) + failed.unwrap_or(0))
}

/// `10 passing (12ms)`; failures have a line of their own.
fn mocha(line: &str) -> Option<SummaryLine> {
    let (count, rest) = line.split_once(' ')?;
    let count = count.parse().ok()?;
    match rest {
        "failing" => javascript("mocha", 0, count),
        _ => rest.starts_with("passing").then(|| javascript("mocha", count, count))?,
    }
}

/// `10 tests passed`, `1 test failed`
fn ava(line: &str) -> Option<SummaryLine> {
    let line = line.trim_start_matches(['✔', '✘', ' ']);
    let (count, word) = line.split_once(" test")?;
    let count = count.parse().ok()?;
    match word.trim_start_matches('s') {
        " passed" => javascript("ava", count, count),
        " failed" => javascript("ava", 0, count),
        _ => None,
    }
}

/// `Summary [   0.010s] 5 tests run: 4 passed, 1 failed, 1 skipped`
fn nextest(line: &str) -> Option<SummaryLine> {
    let rest = line.strip_prefix("Summary [").filter(|rest| rest.contains(" run: "))?;
    let passed = number_before(rest, "passed").unwrap_or(0);
    let failed = number_before(rest, "failed").unwrap_or(0);
    let line = SummaryLine::new("nextest", passed, passed + failed)?;
    Some(line.with_names(TestNames::Printed(printed_tests::NEXTEST)))
}

/// `OK (5 tests, 10 assertions)`, `Tests: 5, Assertions: 10, Failures: 1, Skipped: 1.`
fn phpunit(line: &str) -> Option<SummaryLine> {
    if let Some(rest) = line.strip_prefix("OK (").filter(|rest| rest.contains(" assertion")) {
        let count = number_before(rest, "tests").or_else(|| number_before(rest, "test"))?;
        return SummaryLine::new("phpunit", count, count);
    }
    let rest = line.strip_prefix("Tests: ").filter(|rest| rest.contains("Assertions: "))?;
    let all = rest.split(',').next()?.trim().parse().ok()?;
    let of = |word: &str| number_after(rest, word).unwrap_or(0);
    let off = of("Skipped: ") + of("Incomplete: ");
    let red = of("Failures: ") + of("Errors: ");
    SummaryLine::new("phpunit", u64::saturating_sub(all, off + red), u64::saturating_sub(all, off))
}

/// `5 examples, 1 failure, 1 pending`
fn rspec(line: &str) -> Option<SummaryLine> {
    let all = number_before(line, "examples").or_else(|| number_before(line, "example"))?;
    let red = number_before(line, "failures").or_else(|| number_before(line, "failure"))?;
    let ran = all.saturating_sub(number_before(line, "pending").unwrap_or(0));
    SummaryLine::new("rspec", ran.saturating_sub(red), ran)
}

/// `[INFO] Tests run: 5, Failures: 0, Errors: 0, Skipped: 1`; lines of single classes also have their time.
fn surefire(line: &str) -> Option<SummaryLine> {
    let at = line.find("Tests run: ").filter(|_| !line.contains("Time elapsed"))?;
    let all = number_after(&line[at..], "Tests run: ")?;
    let of = |word: &str| number_after(line, word).unwrap_or(0);
    let ran = all.saturating_sub(of("Skipped: "));
    SummaryLine::new("surefire", ran.saturating_sub(of("Failures: ") + of("Errors: ")), ran)
}

/// `Passed!  - Failed:     0, Passed:     5, Skipped:     0, Total:     5`
fn dotnet(line: &str) -> Option<SummaryLine> {
    let is_summary = line.starts_with("Passed! ") || line.starts_with("Failed! ");
    let passed = is_summary.then(|| number_after(line, " Passed:"))??;
    SummaryLine::new("dotnet test", passed, passed + number_after(line, " Failed:").unwrap_or(0))
}
