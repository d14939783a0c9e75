//! unittest: `python -m unittest discover`, for tests of a Python without pytest.

use std::path::Path;

use super::{
    BuildTool, Evidence, Invocation, PlanNote, PrintedLine, SummaryLine, TestNames, TestRunner,
    TestedProject, python_tests, summary_lines,
};
use crate::phase::PhaseCi;

/// The runner.
pub(crate) struct Unittest;

impl TestRunner for Unittest {
    fn name(&self) -> &'static str {
        "unittest"
    }

    /// The manifests of Python are pytest's.
    fn manifests(&self) -> &'static [&'static str] {
        &[]
    }

    fn detect(&self, dir: &Path) -> Option<Evidence> {
        python_tests::has_tests(dir).then_some(Evidence::TestFiles)
    }

    fn typed(&self, _dir: &Path) -> String {
        "python -m unittest".to_owned()
    }

    fn invocation(
        &self,
        project: &TestedProject<'_>,
        phase: &PhaseCi,
    ) -> Result<Invocation, PlanNote> {
        let dir = project.place.dir;
        if !python_tests::has_unittests(dir) {
            return Err(python_tests::no_pytest());
        }
        // Prints each test's name.
        let mut words = vec![project.default_python.as_str(), "-m", "unittest", "discover", "-v"];
        words.extend(start_dir(dir).into_iter().flat_map(|start| ["-s", start]));
        let python_path = python_tests::source_dir(dir).map(str::to_owned);
        Ok(Invocation { python_path, ..Invocation::new(&words, &phase.args) })
    }

    fn summary(&self, line: &str) -> Option<SummaryLine> {
        let line = count(line).or_else(|| count_of_others(line))?;
        Some(line.with_names(TestNames::Printed(self.name())))
    }

    fn printed_test(&self, line: &str) -> Option<PrintedLine> {
        passed(line).or_else(|| announced(line))
    }

    fn found_nothing(&self) -> &'static [&'static str] {
        &["NO TESTS RAN"]
    }

    fn build_tools(&self) -> &'static [BuildTool] {
        &[BuildTool::Python]
    }
}

/// Returns the start directory, to find also tests in a directory without `__init__.py`.
fn start_dir(dir: &Path) -> Option<&'static str> {
    ["tests", "test"].into_iter().find(|name| {
        let tests = dir.join(name);
        tests.is_dir() && !tests.join("__init__.py").is_file()
    })
}

/// `Ran 5 tests in 0.001s`; the next line counts the skipped tests.
fn count(line: &str) -> Option<SummaryLine> {
    let (count, rest) = line.strip_prefix("Ran ")?.split_once(' ')?;
    let count = count.parse().ok().filter(|_| rest.starts_with("test") && rest.contains(" in "))?;
    SummaryLine::new("unittest", count, count)
}

/// `OK (skipped=2, expected failures=1)`, `FAILED (failures=1, errors=2)`
fn count_of_others(line: &str) -> Option<SummaryLine> {
    let rest = line.strip_prefix("OK (").or_else(|| line.strip_prefix("FAILED ("))?;
    let rest = rest.strip_suffix(')')?;
    rest.contains('=').then_some(())?;
    let of = |word: &str| summary_lines::number_after(rest, word).unwrap_or(0);
    // "failures=" is also part of "expected failures=".
    let expected = of("expected failures=");
    let plain = rest.replace("expected failures=", "");
    let failures = summary_lines::number_after(&plain, "failures=").unwrap_or(0);
    let failed = failures.saturating_add(of("errors="));
    let not_passed = of("skipped=").saturating_add(expected).saturating_add(failed);
    let passed = -i64::try_from(not_passed).ok()?;
    Some(SummaryLine { passed, failed, ran: false, ..SummaryLine::new("unittest", 0, 0)? })
}

/// `test_x (tests.test_a.T.test_x) ... ok`; with a description, `Adds two numbers. ... ok`
fn passed(line: &str) -> Option<PrintedLine> {
    let name = line.strip_suffix(" ... ok").filter(|name| !name.is_empty())?;
    // `test a::b ... ok` of libtest
    name.strip_prefix("test ").is_none().then_some(())?;
    let name = with_module(name).unwrap_or_else(|| name.to_owned());
    Some(match is_dotted(&name) {
        true => PrintedLine::Passed(name),
        false => PrintedLine::Described(name),
    })
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
fn is_dotted(name: &str) -> bool {
    name.contains('.') && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn unittest_begins_where_the_tests_are() {
        let dir = tempfile::tempdir().unwrap();
        let tests = dir.path().join("tests");
        fs::create_dir(&tests).unwrap();
        fs::write(tests.join("test_a.py"), "import unittest\n").unwrap();
        assert!(python_tests::has_unittests(dir.path()));
        assert_eq!(start_dir(dir.path()), Some("tests"));
        fs::write(tests.join("__init__.py"), "").unwrap();
        fs::write(tests.join("test_a.py"), "def test_a(): pass\n").unwrap();
        assert!(!python_tests::has_unittests(dir.path()));
        assert_eq!(start_dir(dir.path()), None);
    }
}
