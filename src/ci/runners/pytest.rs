//! pytest: `python -m pytest`, with results in JUnit XML.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::pytest_junit::JunitReader;
use super::{
    Author, BuildTool, CiOutcome, EndedRun, Evidence, Invocation, PlanNote, PrintedLine,
    ReportOptions, ResultReader, SummaryLine, TestNames, TestReport, TestRunner, TestedProject,
    python_tests,
};
use crate::ci::project_files::read_text;
use crate::phase::PhaseCi;
use crate::phase::words::quoted;

/// The runner.
pub(crate) struct Pytest;

impl TestRunner for Pytest {
    fn name(&self) -> &'static str {
        "pytest"
    }

    fn manifests(&self) -> &'static [&'static str] {
        &["Pipfile", "pyproject.toml", "pytest.ini", "requirements.txt", "setup.py"]
    }

    fn detect(&self, dir: &Path) -> Option<Evidence> {
        if is_configured(dir) {
            return Some(Evidence::Configured);
        }
        python_tests::has_tests(dir).then_some(Evidence::TestFiles)
    }

    fn typed(&self, _dir: &Path) -> String {
        "python -m pytest".to_owned()
    }

    fn python_modules(&self) -> &'static [&'static str] {
        &["pytest", "pytest_timeout"]
    }

    fn invocation(
        &self,
        project: &TestedProject<'_>,
        phase: &PhaseCi,
    ) -> Result<Invocation, PlanNote> {
        let Some(python) = &project.python else {
            // Test files alone, without any mention of pytest, are no reason to require pytest.
            return match is_configured(project.place.dir) {
                true => Ok(missing(&project.default_python)),
                false => Err(python_tests::no_pytest()),
            };
        };
        let mut invocation = Invocation::new(&[&python.program, "-m", "pytest"], &phase.args);
        let set_by_author = phase.args.iter().any(|arg| arg.starts_with("--timeout"));
        // With this variable set, pytest would not know the plugin's option.
        let plugins = !project.place.env.contains_key(OsStr::new("PYTEST_DISABLE_PLUGIN_AUTOLOAD"));
        let has_timeout = plugins && python.has("pytest_timeout");
        if has_timeout && phase.per_test_timeout > 0 && !set_by_author {
            invocation.tuning.push(format!("--timeout={}", phase.per_test_timeout));
        }
        invocation.python_path = python_tests::source_dir(project.place.dir).map(str::to_owned);
        Ok(invocation)
    }

    /// Excludes options to stop at the first failure or to run only the last failures: tests that did not run prove
    /// nothing.
    fn recognizes(&self, words: &[&str]) -> bool {
        let Some((program, args)) = words.split_first() else { return false };
        let name = program.rsplit('/').next().unwrap_or(program);
        let is_pytest =
            matches!(name, "pytest" | "py.test") || is_python(name) && runs_pytest(args);
        is_pytest && !args.iter().any(|arg| is_partial(arg))
    }

    fn report_options(&self, author: Author, results: &Path) -> ReportOptions {
        let options = junit_options(results);
        match author {
            Author::Autopack => ReportOptions { args: options, ..ReportOptions::default() },
            Author::Person => {
                let words = options.iter().map(|option| quoted(&option.to_string_lossy()).into());
                let words: Vec<String> = words.collect();
                let env = vec![("PYTEST_ADDOPTS", words.join(" "))];
                ReportOptions { env, ..ReportOptions::default() }
            }
        }
    }

    fn only(&self, _command: &[String], tests: &[String]) -> Option<Vec<OsString>> {
        Some(tests.iter().map(OsString::from).collect())
    }

    fn reader(&self) -> Box<dyn ResultReader> {
        Box::new(JunitReader)
    }

    fn reports_at(&self, code: i32) -> bool {
        matches!(code, 0..=2)
    }

    /// At exit code 2, the run was interrupted.
    fn is_complete_at(&self, code: i32) -> bool {
        code != 2
    }

    /// Source: <https://docs.pytest.org/en/stable/reference/exit-codes.html>
    fn outcome(&self, ended: &EndedRun<'_>) -> CiOutcome {
        let (report, output) = (ended.report, ended.output);
        let not_collected = report.is_some_and(|report| report.collection_error);
        match ended.code {
            0 if report.is_some_and(TestReport::has_red) => CiOutcome::Failed,
            0 => CiOutcome::Passed,
            1 if report.is_none() && lacks_pytest(output) => ended.could_not_start(),
            1 | 2 if not_collected => CiOutcome::CollectionError,
            // A wrong option concerns the command; other causes, such as a conftest.py that cannot be imported, concern
            // the tests.
            4 if output.contains("unrecognized arguments") || output.contains("usage:") => {
                ended.could_not_start()
            }
            4 if output.contains("file or directory not found: ")
                && !python_tests::has_tests(ended.dir) =>
            {
                CiOutcome::NoTests
            }
            4 => CiOutcome::CollectionError,
            5 => CiOutcome::NoTests,
            _ => CiOutcome::Failed,
        }
    }

    /// `=== 1 failed, 5 passed in 0.10s ===`
    fn summary(&self, line: &str) -> Option<SummaryLine> {
        let line = line.trim_matches(['=', ' ']);
        let (counts, time) = line.rsplit_once(" in ")?;
        time.starts_with(|c: char| c.is_ascii_digit()).then_some(())?;
        let parts = counts.split(", ").map(|part| part.split_once(' '));
        let parts: Option<Vec<(u64, &str)>> =
            parts.map(|part| part.and_then(|(n, word)| Some((n.parse().ok()?, word)))).collect();
        let of = |wanted: &str| {
            let found =
                parts.iter().flatten().find(|(_, word)| word.trim_end_matches('s') == wanted);
            found.map(|(count, _)| *count)
        };
        let kinds = ["passed", "failed", "error", "skipped", "deselected", "xfailed", "xpassed"];
        kinds.iter().any(|kind| of(kind).is_some()).then_some(())?;
        let [passed, failed, errors] =
            ["passed", "failed", "error"].map(|kind| of(kind).unwrap_or(0));
        let line = SummaryLine::new("pytest", passed, passed + failed + errors)?;
        Some(line.with_names(TestNames::Printed(self.name())))
    }

    /// `tests/test_a.py::test_x PASSED [ 50%]`, `[gw0] [ 50%] PASSED tests/test_a.py::test_x`
    fn printed_test(&self, line: &str) -> Option<PrintedLine> {
        let id = match line.split_once("] PASSED ") {
            Some((before, id)) => before.starts_with("[gw").then_some(id)?,
            None => {
                let (id, rest) = line.rsplit_once(" PASSED")?;
                (rest.trim().is_empty() || rest.trim().starts_with('[')).then_some(id)?
            }
        };
        id.contains("::").then(|| PrintedLine::Passed(id.trim().to_owned()))
    }

    fn build_tools(&self) -> &'static [BuildTool] {
        &[BuildTool::Python]
    }

    fn key(&self) -> &'static str {
        "JunitEnvironment"
    }
}

fn is_configured(dir: &Path) -> bool {
    let in_section = |file: &str, sections: &[&str]| {
        let text = read_text(dir, file);
        text.lines().any(|line| sections.iter().any(|section| line.trim().starts_with(section)))
    };
    let conftest = ["conftest.py", "tests/conftest.py", "test/conftest.py"];
    ["pytest.ini", ".pytest.ini", "pytest.toml"].iter().any(|name| dir.join(name).is_file())
        || conftest.iter().any(|name| dir.join(name).is_file())
        || in_section("pyproject.toml", &["[tool.pytest", "[ tool.pytest"])
        || in_section("setup.cfg", &["[tool:pytest]"])
        || in_section("tox.ini", &["[pytest]"])
}

/// Returns a command that cannot start.
fn missing(python: &str) -> Invocation {
    let why =
        format!("this project is tested with pytest, and {python} has no module named pytest");
    let note = PlanNote { why, hint: python_tests::GET_PYTEST.to_owned() };
    Invocation {
        cannot_start: Some(note.to_string()),
        note: Some(note),
        ..Invocation::new(&[python, "-m", "pytest"], &[])
    }
}

fn is_python(name: &str) -> bool {
    name.strip_prefix("python")
        .is_some_and(|version| version.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

fn runs_pytest(args: &[&str]) -> bool {
    let mut args = args.iter().skip_while(|arg| arg.starts_with('-') && **arg != "-m");
    args.next() == Some(&"-m") && args.next() == Some(&"pytest")
}

fn is_partial(arg: &str) -> bool {
    let short = arg.starts_with('-') && !arg.starts_with("--") && !arg.contains('=');
    (short && arg.contains('x') && !arg.starts_with("-p") && !arg.starts_with("-k"))
        || ["--exitfirst", "--maxfail", "--last-failed", "--stepwise"]
            .iter()
            .any(|o| arg.starts_with(o))
        || matches!(arg, "--lf" | "--sw" | "--junitxml" | "--junit-xml")
        || arg.starts_with("--junit")
}

/// Options that request the report and keep pytest from stopping at the first failure and hiding other results.
fn junit_options(results: &Path) -> Vec<OsString> {
    let mut file = OsString::from("--junitxml=");
    file.push(results);
    let all = ["--maxfail=0", "--continue-on-collection-errors", "-o", "junit_family=xunit2"];
    all.into_iter().map(OsString::from).chain([file]).collect()
}

fn lacks_pytest(output: &str) -> bool {
    output.lines().any(|line| line.trim_end().ends_with("No module named pytest"))
}
