//! Reads summary lines, by which runners report the number of passed and failed tests. Pure.

/// Content of one line: the runner, the numbers of passed and failed tests, and whether any test ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SummaryLine {
    pub runner: &'static str,
    /// Negative if an earlier line counted tests that did not pass.
    pub passed: i64,
    pub failed: u64,
    pub ran: bool,
}

/// Reads a trimmed line; `None` if the line is not a summary.
pub fn read(line: &str) -> Option<SummaryLine> {
    READERS.iter().find_map(|read| read(line))
}

type ReadLine = fn(&str) -> Option<SummaryLine>;

const READERS: [ReadLine; 16] = [
    jest,
    vitest,
    mocha,
    node,
    ava,
    unittest,
    unittest_end,
    pytest,
    libtest,
    nextest,
    go,
    phpunit,
    rspec,
    surefire,
    dotnet,
    deno,
];

/// `all`: passed and failed tests.
fn told(runner: &'static str, passed: u64, all: u64) -> Option<SummaryLine> {
    let failed = all.saturating_sub(passed);
    Some(SummaryLine { runner, passed: i64::try_from(passed).ok()?, failed, ran: all > 0 })
}

/// The number right before `word`: `2` in `1 failed, 2 passed`.
fn before(text: &str, word: &str) -> Option<u64> {
    let end = text.match_indices(word).find(|(at, _)| {
        let next = text[at + word.len()..].chars().next();
        next.is_none_or(|next| !next.is_alphanumeric())
    })?;
    let text = text[..end.0].trim_end();
    let start = text.rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + 1);
    text.get(start..)?.parse().ok()
}

/// The number right after `word`: `2` in `Passed:   2,`.
fn behind(text: &str, word: &str) -> Option<u64> {
    let rest = text[text.find(word)? + word.len()..].trim_start();
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// `Tests:       1 failed, 2 skipped, 10 passed, 13 total`
fn jest(line: &str) -> Option<SummaryLine> {
    let rest = line.strip_prefix("Tests:")?;
    let all = rest.trim_end().ends_with("total").then(|| before(rest, "total"))??;
    let skipped = before(rest, "skipped").unwrap_or(0) + before(rest, "todo").unwrap_or(0);
    told("jest", before(rest, "passed").unwrap_or(0), all.saturating_sub(skipped))
}

/// `Tests  1 failed | 10 passed | 2 skipped (13)`
fn vitest(line: &str) -> Option<SummaryLine> {
    let rest = line.strip_prefix("Tests ").filter(|rest| rest.ends_with(')'))?;
    let passed = before(rest, "passed");
    let failed = before(rest, "failed");
    passed.or(failed).or(before(rest, "skipped")).or(before(rest, "todo"))?;
    told("vitest", passed.unwrap_or(0), passed.unwrap_or(0) + failed.unwrap_or(0))
}

/// `10 passing (12ms)`; failures have a line of their own.
fn mocha(line: &str) -> Option<SummaryLine> {
    let (count, rest) = line.split_once(' ')?;
    let count = count.parse().ok()?;
    match rest {
        "failing" => told("mocha", 0, count),
        _ => rest.starts_with("passing").then(|| told("mocha", count, count))?,
    }
}

/// `# pass 4` in TAP, `ℹ pass 4` in node's own format.
fn node(line: &str) -> Option<SummaryLine> {
    let rest = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ "))?;
    let (word, count) = rest.split_once(' ')?;
    let count = count.trim().parse().ok()?;
    match word {
        "pass" => told("node:test or TAP", count, count),
        "fail" => told("node:test or TAP", 0, count),
        _ => None,
    }
}

/// `10 tests passed`, `1 test failed`
fn ava(line: &str) -> Option<SummaryLine> {
    let line = line.trim_start_matches(['✔', '✘', ' ']);
    let (count, word) = line.split_once(" test")?;
    let count = count.parse().ok()?;
    match word.trim_start_matches('s') {
        " passed" => told("ava", count, count),
        " failed" => told("ava", 0, count),
        _ => None,
    }
}

/// `Ran 5 tests in 0.001s`; the next line counts the skipped tests.
fn unittest(line: &str) -> Option<SummaryLine> {
    let (count, rest) = line.strip_prefix("Ran ")?.split_once(' ')?;
    let count = count.parse().ok().filter(|_| rest.starts_with("test") && rest.contains(" in "))?;
    told("unittest", count, count)
}

/// `OK (skipped=2, expected failures=1)`, `FAILED (failures=1, errors=2)`
fn unittest_end(line: &str) -> Option<SummaryLine> {
    let rest = line.strip_prefix("OK (").or_else(|| line.strip_prefix("FAILED ("))?;
    let rest = rest.strip_suffix(')')?;
    rest.contains('=').then_some(())?;
    let of = |word: &str| behind(rest, word).unwrap_or(0);
    // "failures=" is also part of "expected failures=".
    let expected = of("expected failures=");
    let plain = rest.replace("expected failures=", "");
    let failures = behind(&plain, "failures=").unwrap_or(0);
    let failed = failures.saturating_add(of("errors="));
    let not_passed = of("skipped=").saturating_add(expected).saturating_add(failed);
    let passed = -i64::try_from(not_passed).ok()?;
    Some(SummaryLine { runner: "unittest", passed, failed, ran: false })
}

/// `=== 1 failed, 5 passed in 0.10s ===`
fn pytest(line: &str) -> Option<SummaryLine> {
    let line = line.trim_matches(['=', ' ']);
    let (counts, time) = line.rsplit_once(" in ")?;
    time.starts_with(|c: char| c.is_ascii_digit()).then_some(())?;
    let parts = counts.split(", ").map(|part| part.split_once(' '));
    let parts: Option<Vec<(u64, &str)>> =
        parts.map(|part| part.and_then(|(n, word)| Some((n.parse().ok()?, word)))).collect();
    let of = |wanted: &str| {
        let found = parts.iter().flatten().find(|(_, word)| word.trim_end_matches('s') == wanted);
        found.map(|(count, _)| *count)
    };
    let kinds = ["passed", "failed", "error", "skipped", "deselected", "xfailed", "xpassed"];
    kinds.iter().any(|kind| of(kind).is_some()).then_some(())?;
    let [passed, failed, errors] = ["passed", "failed", "error"].map(|kind| of(kind).unwrap_or(0));
    told("pytest", passed, passed + failed + errors)
}

/// `test result: ok. 5 passed; 0 failed; 1 ignored; ...`
fn libtest(line: &str) -> Option<SummaryLine> {
    let rest = line.strip_prefix("test result: ")?;
    let (passed, failed) = (before(rest, "passed")?, before(rest, "failed")?);
    told("cargo test", passed, passed + failed)
}

/// `Summary [   0.010s] 5 tests run: 4 passed, 1 failed, 1 skipped`
fn nextest(line: &str) -> Option<SummaryLine> {
    let rest = line.strip_prefix("Summary [").filter(|rest| rest.contains(" run: "))?;
    let passed = before(rest, "passed").unwrap_or(0);
    told("nextest", passed, passed + before(rest, "failed").unwrap_or(0))
}

/// `--- PASS: TestX (0.00s)` with `-v`; whole packages without: `ok  \tm/a\t0.01s`,
/// `FAIL\tm/a\t0.01s`.
fn go(line: &str) -> Option<SummaryLine> {
    if line.starts_with("--- PASS: ") {
        return told("go test -v", 1, 1);
    }
    if line.starts_with("--- FAIL: ") {
        return told("go test -v", 0, 1);
    }
    if line.starts_with("FAIL\t") {
        return told("go test, packages", 0, 1);
    }
    let rest = line.strip_prefix("ok ").filter(|rest| rest.contains('\t'))?;
    (!rest.contains("[no tests to run]")).then(|| told("go test, packages", 1, 1))?
}

/// `OK (5 tests, 10 assertions)`, `Tests: 5, Assertions: 10, Failures: 1, Skipped: 1.`
fn phpunit(line: &str) -> Option<SummaryLine> {
    if let Some(rest) = line.strip_prefix("OK (").filter(|rest| rest.contains(" assertion")) {
        let count = before(rest, "tests").or_else(|| before(rest, "test"))?;
        return told("phpunit", count, count);
    }
    let rest = line.strip_prefix("Tests: ").filter(|rest| rest.contains("Assertions: "))?;
    let all = rest.split(',').next()?.trim().parse().ok()?;
    let of = |word: &str| behind(rest, word).unwrap_or(0);
    let off = of("Skipped: ") + of("Incomplete: ");
    let red = of("Failures: ") + of("Errors: ");
    told("phpunit", u64::saturating_sub(all, off + red), u64::saturating_sub(all, off))
}

/// `5 examples, 1 failure, 1 pending`
fn rspec(line: &str) -> Option<SummaryLine> {
    let all = before(line, "examples").or_else(|| before(line, "example"))?;
    let red = before(line, "failures").or_else(|| before(line, "failure"))?;
    let ran = all.saturating_sub(before(line, "pending").unwrap_or(0));
    told("rspec", ran.saturating_sub(red), ran)
}

/// `[INFO] Tests run: 5, Failures: 0, Errors: 0, Skipped: 1`; lines of single classes also have their time.
fn surefire(line: &str) -> Option<SummaryLine> {
    let at = line.find("Tests run: ").filter(|_| !line.contains("Time elapsed"))?;
    let all = behind(&line[at..], "Tests run: ")?;
    let of = |word: &str| behind(line, word).unwrap_or(0);
    let ran = all.saturating_sub(of("Skipped: "));
    told("surefire", ran.saturating_sub(of("Failures: ") + of("Errors: ")), ran)
}

/// `Passed!  - Failed:     0, Passed:     5, Skipped:     0, Total:     5`
fn dotnet(line: &str) -> Option<SummaryLine> {
    let is_summary = line.starts_with("Passed! ") || line.starts_with("Failed! ");
    let passed = is_summary.then(|| behind(line, " Passed:"))??;
    told("dotnet test", passed, passed + behind(line, " Failed:").unwrap_or(0))
}

/// `ok | 5 passed | 0 failed (10ms)`
fn deno(line: &str) -> Option<SummaryLine> {
    let rest = line.strip_prefix("ok | ").or_else(|| line.strip_prefix("FAILED | "))?;
    let passed = before(rest, "passed")?;
    told("deno", passed, passed + before(rest, "failed").unwrap_or(0))
}
