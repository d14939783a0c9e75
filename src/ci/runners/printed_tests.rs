//! Reads names of passed tests from the lines of individual results. Pure.
//!
//! Files and modules are part of a name if a runner prints them, so that no test takes another's place.

use std::sync::LazyLock;

use regex::Regex;

/// Runners with the same line format; each family is counted separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Check marks and TAP: jest, vitest, mocha, node, ava.
    JavaScript,
    Pytest,
    Unittest,
    Libtest,
    Nextest,
    Go,
}

/// Content of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrintedLine {
    Passed(Family, String),
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

impl Family {
    /// Returns the family of a runner, by the name in a summary.
    pub fn of(runner: &str) -> Option<Self> {
        Some(match runner {
            "jest" | "vitest" | "mocha" | "node:test or TAP" | "ava" => Self::JavaScript,
            "pytest" => Self::Pytest,
            "unittest" => Self::Unittest,
            "cargo test" => Self::Libtest,
            "nextest" => Self::Nextest,
            "go test -v" => Self::Go,
            _ => return None,
        })
    }
}

/// Reads a trimmed line.
pub fn read(line: &str) -> Option<PrintedLine> {
    tap(line)
        .or_else(|| mark(line))
        .or_else(|| passed(Family::Pytest, pytest(line)))
        .or_else(|| passed(Family::Libtest, libtest(line)))
        .or_else(|| passed(Family::Unittest, unittest(line)))
        .or_else(|| passed(Family::Nextest, nextest(line)))
        .or_else(|| passed(Family::Go, go(line)))
        .or_else(|| announced(line))
}

fn passed(family: Family, name: Option<String>) -> Option<PrintedLine> {
    name.map(|name| PrintedLine::Passed(family, name))
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
        (true, false) => PrintedLine::Passed(Family::JavaScript, without_times(name)),
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
    is_test.then(|| PrintedLine::Passed(Family::JavaScript, without_times(rest)))
}

static FILE_OF_TESTS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\(\d+ tests?\b[^()]*\)").expect("a pattern"));
static TIMES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:\s+\(?\d+(?:\.\d+)?\s?(?:ms|s|m)\)?|\s+\(retry x\d+\))+$").expect("a pattern")
});

fn without_times(name: &str) -> String {
    TIMES.replace(name.trim(), "").trim().to_owned()
}

/// `tests/test_a.py::test_x PASSED [ 50%]`, `[gw0] [ 50%] PASSED tests/test_a.py::test_x`
fn pytest(line: &str) -> Option<String> {
    let id = match line.split_once("] PASSED ") {
        Some((before, id)) => before.starts_with("[gw").then_some(id)?,
        None => {
            let (id, rest) = line.rsplit_once(" PASSED")?;
            (rest.trim().is_empty() || rest.trim().starts_with('[')).then_some(id)?
        }
    };
    id.contains("::").then(|| id.trim().to_owned())
}

/// `test a::b ... ok`; doctests are excluded, since their names contain line numbers, which change.
fn libtest(line: &str) -> Option<String> {
    static LINE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r" \(line \d+\)").expect("a pattern"));
    let name = line.strip_prefix("test ")?.strip_suffix(" ... ok")?;
    Some(LINE.replace(name, "").into_owned())
}

/// `test_x (tests.test_a.T.test_x) ... ok`
fn unittest(line: &str) -> Option<String> {
    let name = line.strip_suffix(" ... ok")?;
    (!name.is_empty()).then(|| with_module(name).unwrap_or_else(|| name.to_owned()))
}

/// The first of two lines for a test with a description.
fn announced(line: &str) -> Option<PrintedLine> {
    let is_whole = line.starts_with("test") && line.ends_with(')');
    is_whole.then(|| with_module(line).map(PrintedLine::Announced))?
}

/// `test_x (tests.test_a.T.test_x)`; before Python 3.11, `test_x (tests.test_a.T)`
fn with_module(text: &str) -> Option<String> {
    let (test, rest) = text.split_once(" (")?;
    let place = rest.split_once(')')?.0;
    (is_dotted(place) && !test.contains(' ')).then_some(())?;
    Some(match place.rsplit_once('.') {
        Some((_, last)) if last == test => place.to_owned(),
        _ => format!("{place}.{test}"),
    })
}

/// Whether this is a dotted name of Python.
pub fn is_dotted(name: &str) -> bool {
    name.contains('.') && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'))
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

/// `--- PASS: TestX/sub (0.00s)`
fn go(line: &str) -> Option<String> {
    let (name, _) = line.strip_prefix("--- PASS: ")?.split_once(" (")?;
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_without_their_times() {
        for (line, family, name) in [
            ("ok 1 - adds: two numbers", Family::JavaScript, "adds: two numbers"),
            ("ok 2 adds in bats", Family::JavaScript, "adds in bats"),
            ("ok 3 - adds # time=3ms", Family::JavaScript, "adds"),
            ("✓ adds (3 ms)", Family::JavaScript, "adds"),
            ("✓ adds", Family::JavaScript, "adds"),
            ("✔ adds (0.291415ms)", Family::JavaScript, "adds"),
            (
                "✓ src/a.test.ts > calc > adds 2ms",
                Family::JavaScript,
                "src/a.test.ts > calc > adds",
            ),
            ("✓ adds 12ms (retry x1)", Family::JavaScript, "adds"),
            (
                "tests/test_a.py::test_x PASSED        [ 50%]",
                Family::Pytest,
                "tests/test_a.py::test_x",
            ),
            (
                "[gw0] [ 50%] PASSED tests/test_a.py::test_x",
                Family::Pytest,
                "tests/test_a.py::test_x",
            ),
            ("test tests::adds ... ok", Family::Libtest, "tests::adds"),
            ("test src/lib.rs - add (line 12) ... ok", Family::Libtest, "src/lib.rs - add"),
            ("test_x (tests.test_a.T.test_x) ... ok", Family::Unittest, "tests.test_a.T.test_x"),
            ("test_x (tests.test_a.T) ... ok", Family::Unittest, "tests.test_a.T.test_x"),
            ("Adds two numbers. ... ok", Family::Unittest, "Adds two numbers."),
            ("PASS [   0.010s] (1/5) calc tests::adds", Family::Nextest, "calc tests::adds"),
            ("--- PASS: TestX/sub (0.00s)", Family::Go, "TestX/sub"),
        ] {
            assert_eq!(read(line), Some(PrintedLine::Passed(family, name.to_owned())), "{line}");
        }
    }

    #[test]
    fn what_did_not_pass_has_no_name() {
        for line in [
            "not ok 1 - adds # TODO",
            "ok 2 - adds # SKIP later",
            "ok 3 - adds # TODO",
            "ok 4 - /a/b.js",
        ] {
            assert_eq!(read(line), Some(PrintedLine::OtherTap), "{line}");
        }
        assert_eq!(read("not ok 1 - adds"), Some(PrintedLine::FailedTap));
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
