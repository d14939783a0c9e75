//! Reads names of passed tests from the lines of individual results. Pure.
//!
//! Files and modules are part of a name if a runner prints them, so that no test takes another's place.

use std::sync::LazyLock;

use regex::Regex;

use super::RUNNERS;

/// Check marks and TAP: jest, vitest, mocha, node, ava.
pub const JAVASCRIPT: &str = "JavaScript";
pub const NEXTEST: &str = "nextest";

/// Content of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrintedLine {
    Passed(String),
    /// A passed test of which the line has only the description. The name may be in the line before, as
    /// [`Announced`](Self::Announced).
    Described(String),
    /// A failed test in TAP.
    FailedTap,
    /// Another TAP line that is no passed test.
    OtherTap,
    /// The name of a test whose description and result follow.
    Announced(String),
    /// Start of a group of tests, or of a test with subtests; ended by a pass with the same name.
    Opened(String),
    /// The previous line was a group, not a test.
    WasGroup,
}

/// Reads a trimmed line. Returns the family of runners with the same format too; families are counted separately.
pub fn read(line: &str) -> Option<(&'static str, PrintedLine)> {
    let of_javascript = tap(line).or_else(|| mark(line));
    of_javascript
        .map(|printed| (JAVASCRIPT, printed))
        .or_else(|| {
            let mut runners = RUNNERS.iter();
            runners.find_map(|runner| Some((runner.name(), runner.printed_test(line)?)))
        })
        .or_else(|| Some((NEXTEST, PrintedLine::Passed(nextest(line)?))))
}

/// `ok 1 - name`, `ok 1 name`, `not ok 2 - name`, `ok 3 - name # SKIP`
fn tap(line: &str) -> Option<PrintedLine> {
    if line == "type: 'suite'" {
        return Some(PrintedLine::WasGroup);
    }
    let is_red = line.starts_with("not ");
    let rest = line.strip_prefix("not ").unwrap_or(line).strip_prefix("ok ")?;
    let (number, name) = rest.split_once(' ').unwrap_or((rest, ""));
    number.parse::<u64>().ok()?;
    let (name, directive) = name.split_once(" # ").unwrap_or((name, ""));
    let directive = directive.to_ascii_lowercase();
    let name = name.trim().strip_prefix("- ").unwrap_or(name.trim());
    // node reports each file as a test of its own.
    let is_file = name.starts_with('/');
    let is_test = !is_file && !directive.starts_with("skip") && !directive.starts_with("todo");
    Some(match (is_test, is_red) {
        (true, false) => PrintedLine::Passed(without_times(name)),
        (true, true) => PrintedLine::FailedTap,
        (false, _) => PrintedLine::OtherTap,
    })
}

/// `✓ name (3 ms)`; `▶ group`, which ends with `✔ group`.
fn mark(line: &str) -> Option<PrintedLine> {
    if let Some(name) = line.strip_prefix("▶ ") {
        return Some(PrintedLine::Opened(without_times(name)));
    }
    let rest = ["✓ ", "✔ ", "√ "].iter().find_map(|mark| line.strip_prefix(mark))?;
    // vitest prints a summary for each file.
    let is_test =
        !FILE_OF_TESTS.is_match(rest) && !rest.ends_with("# SKIP") && !rest.ends_with("# TODO");
    is_test.then(|| PrintedLine::Passed(without_times(rest)))
}

static FILE_OF_TESTS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\(\d+ tests?\b[^()]*\)").expect("a pattern"));
static TIMES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:\s+\(?\d+(?:\.\d+)?\s?(?:ms|s|m)\)?|\s+\(retry x\d+\))+$").expect("a pattern")
});

fn without_times(name: &str) -> String {
    TIMES.replace(name.trim(), "").trim().to_owned()
}

/// `PASS [   0.010s] (1/5) calc tests::adds`
fn nextest(line: &str) -> Option<String> {
    let (time, name) = line.strip_prefix("PASS [")?.split_once("] ")?;
    time.trim().ends_with('s').then_some(())?;
    let name = name.trim_start();
    let name = match name.strip_prefix('(').and_then(|rest| rest.split_once(") ")) {
        Some((_, name)) => name,
        None => name,
    };
    Some(name.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_without_their_times() {
        for (line, family, name) in [
            ("ok 1 - adds: two numbers", JAVASCRIPT, "adds: two numbers"),
            ("ok 2 adds in bats", JAVASCRIPT, "adds in bats"),
            ("ok 3 - adds # time=3ms", JAVASCRIPT, "adds"),
            ("✓ adds (3 ms)", JAVASCRIPT, "adds"),
            ("✓ adds", JAVASCRIPT, "adds"),
            ("✔ adds (0.291415ms)", JAVASCRIPT, "adds"),
            ("✓ src/a.test.ts > calc > adds 2ms", JAVASCRIPT, "src/a.test.ts > calc > adds"),
            ("✓ adds 12ms (retry x1)", JAVASCRIPT, "adds"),
            ("tests/test_a.py::test_x PASSED        [ 50%]", "pytest", "tests/test_a.py::test_x"),
            ("[gw0] [ 50%] PASSED tests/test_a.py::test_x", "pytest", "tests/test_a.py::test_x"),
            ("test tests::adds ... ok", "cargo", "tests::adds"),
            ("test src/lib.rs - add (line 12) ... ok", "cargo", "src/lib.rs - add"),
            ("test_x (tests.test_a.T.test_x) ... ok", "unittest", "tests.test_a.T.test_x"),
            ("test_x (tests.test_a.T) ... ok", "unittest", "tests.test_a.T.test_x"),
            ("PASS [   0.010s] (1/5) calc tests::adds", NEXTEST, "calc tests::adds"),
            ("--- PASS: TestX/sub (0.00s)", "go", "TestX/sub"),
        ] {
            assert_eq!(read(line), Some((family, PrintedLine::Passed(name.to_owned()))), "{line}");
        }
        let described = PrintedLine::Described("Adds two numbers.".to_owned());
        assert_eq!(read("Adds two numbers. ... ok"), Some(("unittest", described)));
    }

    #[test]
    fn what_did_not_pass_has_no_name() {
        for line in [
            "not ok 1 - adds # TODO",
            "ok 2 - adds # SKIP later",
            "ok 3 - adds # TODO",
            "ok 4 - /a/b.js",
        ] {
            assert_eq!(read(line), Some((JAVASCRIPT, PrintedLine::OtherTap)), "{line}");
        }
        assert_eq!(read("not ok 1 - adds"), Some((JAVASCRIPT, PrintedLine::FailedTap)));
        for line in [
            "✕ adds (3 ms)",
            "✓ src/a.test.ts (3 tests) 5ms",
            "✓ src/a.test.ts  (3 tests | 1 skipped) 5ms",
            "tests/test_a.py::test_x FAILED [ 50%]",
            "ok, then",
            "ok  \tm/a\t0.01s",
            "test tests::adds ... FAILED",
            "--- FAIL: TestX (0.00s)",
            "... ok",
            "",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
