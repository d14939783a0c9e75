//! The registry of CI runners: programs that run a project's tests.
//!
//! Each runner is one file: how a project is detected, which command tests it, and how results are read. A new runner is
//! that file, its `mod` line and its entry in [`RUNNERS`] here, fixtures in `tests/fixtures/ci/<name>/`, and rows in
//! docs/configuration.md and docs/reliability.md. Frameworks started by a project's own script (jest, PHPUnit) are no
//! runners: [`summary_lines`] and [`printed_tests`] read their output.

mod cargo;
mod cargo_names;
mod cargo_test;
mod deno;
mod django;
pub mod ended_run;
mod go;
mod go_test;
pub mod go_workspace;
mod line_prefix;
mod node;
mod node_project;
mod node_scripts;
mod printed_tests;
mod pytest;
mod pytest_junit;
pub mod python_tests;
mod runner_paths;
mod summary_lines;
pub mod test_counts;
pub mod test_report;
mod unittest;

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use super::ci_place::CiPlace;
use super::command_line;
use super::imports::BuildTool;
use super::plan_note::PlanNote;
use super::pythons::Python;
use super::results::{CiOutcome, TestCase, TestStatus};
use crate::config::CommandLine;
use crate::phase::PhaseCi;
use ended_run::EndedRun;
use printed_tests::PrintedLine;
use summary_lines::{SummaryLine, TestNames};
use test_counts::CountReader;
use test_report::TestReport;

/// All runners. Equally certain runners of a directory are tried in this order.
pub(crate) static RUNNERS: &[&dyn TestRunner] = &[
    &pytest::Pytest,
    &django::Django,
    &unittest::Unittest,
    &cargo::Cargo,
    &go::Go,
    &node::Node,
    &deno::Deno,
];

/// A program that runs tests. One value serves all runs; the state of a run is in its [`ResultReader`].
pub(crate) trait TestRunner: Sync {
    /// Name, unique; also the directory of its fixtures.
    fn name(&self) -> &'static str;

    /// Files that make a directory below the top a project of its own.
    fn manifests(&self) -> &'static [&'static str];

    /// Returns how certainly this runner tests the project in a directory. Reads files and starts nothing.
    fn detect(&self, dir: &Path) -> Option<Evidence>;

    /// Explains [`Evidence::Placeholder`], if nothing else is found.
    fn explain_placeholder(&self) -> Option<PlanNote> {
        None
    }

    /// The command as a person would type it, for hints.
    fn typed(&self, dir: &Path) -> String;

    /// Python modules used by the command. The first is necessary: [`TestedProject::python`] is a Python that has it.
    fn python_modules(&self) -> &'static [&'static str] {
        &[]
    }

    /// Returns the command for all tests of a project, with the phase's arguments.
    ///
    /// # Errors
    ///
    /// The reason if the runner cannot test this project here. The next candidate is tried; if none is left, the first
    /// reason is shown.
    fn invocation(
        &self,
        project: &TestedProject<'_>,
        phase: &PhaseCi,
    ) -> Result<Invocation, PlanNote>;

    /// Whether a person's command certainly is this runner for the whole suite: with a wrong guess, results of one test
    /// program would pass for all. `words` are without variables and launchers such as `uv run`.
    fn recognizes(&self, _words: &[&str]) -> bool {
        false
    }

    /// Returns the arguments that make a person's command end, if it would watch for changes.
    ///
    /// # Errors
    ///
    /// The reason if nothing makes the command end.
    fn watch_arguments(&self, _words: &[&str], _dir: &Path) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }

    /// Returns the options by which the runner reports single results, for example to the file `results`. A person's
    /// command gets only variables.
    fn report_options(&self, _author: Author, _results: &Path) -> ReportOptions {
        ReportOptions::default()
    }

    /// Returns arguments for the time limit of the whole run, if the runner has a shorter limit of its own.
    fn time_limit(&self, _seconds: u64) -> Vec<String> {
        Vec::new()
    }

    /// Returns arguments that limit this command to some tests, by id; `None` if all tests must run again.
    fn only(&self, _command: &[String], _tests: &[String]) -> Option<Vec<OsString>> {
        None
    }

    /// Creates the reader of one run.
    fn reader(&self) -> Box<dyn ResultReader> {
        Box::new(CountReader::default())
    }

    /// Whether single results can be trusted at this exit code: the tests decided, and the report is complete.
    fn reports_at(&self, _code: i32) -> bool {
        false
    }

    /// Whether all tests ran that the runner was asked for, at an exit code with trusted results.
    fn is_complete_at(&self, _code: i32) -> bool {
        true
    }

    /// Returns the outcome of a run that ended by itself.
    fn outcome(&self, ended: &EndedRun<'_>) -> CiOutcome {
        ended.by_exit_code()
    }

    /// Reads a summary line, in the output of any command. The line is trimmed.
    fn summary(&self, _line: &str) -> Option<SummaryLine> {
        None
    }

    /// Reads a line about a single test, in the output of any command. The line is trimmed.
    fn printed_test(&self, _line: &str) -> Option<PrintedLine> {
        None
    }

    /// Beginnings of the message that there are no tests yet, among the last lines of the output.
    fn found_nothing(&self) -> &'static [&'static str] {
        &[]
    }

    /// Build tools whose files take part in a run. CI does not start if such a file names your checkout.
    fn build_tools(&self) -> &'static [BuildTool] {
        &BuildTool::ALL
    }

    /// Identifies stored results of a person's command, and never changes.
    fn key(&self) -> &'static str {
        self.name()
    }
}

/// How certainly a runner tests a directory, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Evidence {
    /// A script written by a generator, which always fails. Another project may be below the directory.
    Placeholder,
    /// A test script, or a task.
    Script,
    /// Files that the runner would collect.
    TestFiles,
    /// The manifest of the runner's language.
    Manifest,
    /// The runner is configured here.
    Configured,
}

/// The author of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Author {
    /// The runner was detected.
    Autopack,
    /// The command is from the configuration or the phase.
    Person,
}

/// A project to test.
pub(crate) struct TestedProject<'a> {
    /// The place, with the project's directory.
    pub place: CiPlace<'a>,
    /// The first Python with the runner's first module.
    pub python: Option<Python>,
    /// The first Python of the project, with any modules.
    pub default_python: String,
}

/// A command for all tests of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Invocation {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Arguments that change how tests run, but not the selection of tests.
    pub tuning: Vec<String>,
    /// Directory put first on Python's path, relative to the project.
    pub python_path: Option<String>,
    /// Reason why the command is known to be unable to start.
    pub cannot_start: Option<String>,
    /// A problem for people.
    pub note: Option<PlanNote>,
}

/// Arguments and variables. The value of a variable is appended to what the variable contains, after a space.
#[derive(Debug, Default)]
pub(crate) struct ReportOptions {
    pub args: Vec<OsString>,
    pub env: Vec<(&'static str, String)>,
}

/// Reads the results of one run.
pub(crate) trait ResultReader: Send {
    /// Takes a line of the output: both streams in their order, without colors.
    fn line(&mut self, line: &str);

    /// Returns the results. `dir` is the directory to which reported file names are relative; `results` is the file of
    /// [`TestRunner::report_options`].
    fn finish(self: Box<Self>, dir: &Path, results: &Path) -> ReadResults;
}

/// What a reader found.
#[derive(Debug, Default)]
pub(crate) struct ReadResults {
    pub report: Option<TestReport>,
    /// The end of the output for people, if the printed output is for programs.
    pub tail: Option<String>,
}

impl Invocation {
    pub fn new(words: &[&str], args: &[String]) -> Self {
        let words = words.iter().map(|word| (*word).to_owned());
        Self { argv: words.chain(args.iter().cloned()).collect(), ..Self::default() }
    }
}

/// Runners are equal if their names are.
impl PartialEq for dyn TestRunner {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for dyn TestRunner {}

impl fmt::Debug for dyn TestRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Returns the runner of a person's command, if certain.
pub(super) fn recognize(command: &CommandLine) -> Option<&'static dyn TestRunner> {
    let words = command_line::only_command(command, &is_ours)?;
    RUNNERS.iter().find(|runner| runner.recognizes(&words)).copied()
}

/// Returns the arguments that make a person's command end, if it would watch for changes.
///
/// # Errors
///
/// The reason if nothing makes the command end.
pub(super) fn watch_arguments(command: &CommandLine, dir: &Path) -> Result<Vec<String>, String> {
    let words = command_line::last_command(command, &is_ours).unwrap_or_default();
    for runner in RUNNERS {
        let arguments = runner.watch_arguments(&words, dir)?;
        if !arguments.is_empty() {
            return Ok(arguments);
        }
    }
    Ok(Vec::new())
}

/// Whether autopack sets this variable: an assignment in a command would override it.
fn is_ours(variable: &str) -> bool {
    let options = RUNNERS.iter().map(|runner| runner.report_options(Author::Person, Path::new("")));
    options.flat_map(|options| options.env).any(|(name, _)| name == variable)
}

#[cfg(test)]
mod recognition_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod toy;
