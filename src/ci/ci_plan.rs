//! The CI plan of a phase: the command, and how results are read and plans are shown, identified and rerun.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::command_line::{self, Shape};
use super::detect;
use super::imports::CommandPaths;
use super::node_scripts::{ScriptEnd, script_end};
use crate::config::CommandLine;
use crate::phase::PhaseCi;
use crate::phase::words::quoted;
use crate::process::child_env::Env;
use crate::process::which;

/// Above this number of failing tests, the rerun runs all tests.
const MOST_SINGLE_RERUNS: usize = 100;

/// Place and environment of a CI run.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// Directory of the tested copy; runners are searched and commands run here.
    pub dir: &'a Path,
    /// The user's checkout, which may contain the `.venv` to use.
    pub workspace: &'a Path,
    /// The whole environment of the CI process.
    pub env: &'a BTreeMap<OsString, OsString>,
}

impl Site<'_> {
    /// Whether a program is on CI's PATH, or exists at this path.
    pub(super) fn has_program(&self, program: &str) -> bool {
        let path = self.env.get(OsStr::new("PATH")).map(OsString::as_os_str);
        matches!(which::find(program.as_ref(), self.dir, path), which::ProgramLookup::Program(_))
    }
}

/// The program that runs the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runner {
    /// `python -m pytest`.
    Pytest,
    /// `cargo test`.
    CargoTest,
    /// `go test`.
    GoTest,
    /// The test script of `package.json`, by any package manager.
    NpmTest,
    /// `python -m unittest`, or Django's test command.
    Unittest,
    /// A command written by the user or in the phase's plan.
    Command,
    /// No tests: there is no CI.
    None,
}

/// Source of individual test results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reporting {
    /// No individual results; only the exit code.
    ExitCode,
    /// `--junitxml` as an argument: autopack wrote the command.
    JunitArgument,
    /// `--junitxml` through `PYTEST_ADDOPTS`: the command comes from the user or the phase.
    JunitEnvironment,
    /// libtest's lines in the output.
    Libtest,
    /// `go test -json` in the output.
    GoJson,
}

/// A problem with the plan and the remedy, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The problem.
    pub why: String,
    /// The remedy.
    pub hint: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.why, self.hint)
    }
}

/// Everything needed to run CI for a phase and to show the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CiPlan {
    /// The program that runs the tests.
    pub runner: Runner,
    /// Time limit of the whole run.
    pub timeout: Duration,
    /// Why no CI will run, or why CI cannot run.
    pub note: Option<Note>,
    pub(super) command: CommandLine,
    pub(super) reporting: Reporting,
    /// Arguments that change how tests run but not the selection of tests; they are not part of the key.
    pub(super) tuning: Vec<String>,
    /// Ids of the tests to run; empty: all.
    pub(super) only: Vec<String>,
    /// The project's directory, relative to the top of the copy; empty for the top.
    pub(super) dir: String,
    /// Base directory of reported file names, relative to the top of the copy.
    pub(super) reported_from: String,
    /// Directory put first on Python's path, relative to the copy.
    pub(super) python_path: Option<String>,
    /// Reason why the runner is known to be unable to start.
    pub(super) cannot_start: Option<String>,
    /// Whether the command or its arguments come from the phase and may make sense only after the phase's work.
    pub is_own: bool,
    /// Extra arguments for a detected runner. Results of detected plans are comparable with each other, whatever the
    /// runner.
    pub(super) detected_with: Option<Vec<String>>,
}

/// Returns the plan of the phase's own check (`test_cmd`), which runs after CI and is judged without a baseline.
pub fn check_plan(phase: &PhaseCi) -> Option<CiPlan> {
    let line = phase.test_cmd.as_ref().filter(|line| !line.trim().is_empty())?;
    Some(CiPlan { is_own: true, ..CiPlan::of_command(CommandLine::Shell(line.clone()), phase) })
}

impl CiPlan {
    pub(super) fn new(
        runner: Runner,
        reporting: Reporting,
        argv: Vec<String>,
        phase: &PhaseCi,
    ) -> Self {
        Self {
            runner,
            timeout: Duration::from_secs(phase.timeout_seconds),
            note: None,
            command: CommandLine::Argv(argv),
            reporting,
            tuning: Vec::new(),
            only: Vec::new(),
            dir: String::new(),
            reported_from: String::new(),
            python_path: None,
            cannot_start: None,
            is_own: false,
            detected_with: None,
        }
    }

    pub(super) fn of_command(command: CommandLine, phase: &PhaseCi) -> Self {
        let reporting = match command_line::shape(&command) {
            Shape::Pytest => Reporting::JunitEnvironment,
            Shape::CargoTest => Reporting::Libtest,
            Shape::GoTest => Reporting::GoJson,
            Shape::Other => Reporting::ExitCode,
        };
        Self { command, ..Self::new(Runner::Command, reporting, Vec::new(), phase) }
    }

    /// Adapts a written command to a copy of `checkout` with this top, as for a detected runner: watch modes are told to end, and the
    /// sources in the copy precede installed packages.
    #[must_use]
    pub fn for_copy(self, top: &Path, checkout: &Path) -> Self {
        let paths = CommandPaths::new(checkout, &Env::new(), top);
        let dir =
            command_line::directory(&paths.in_command(&self.command), top).unwrap_or_default();
        let here = top.join(&dir);
        let python_path = detect::python_source(&here).map(|source| match dir.as_str() {
            "" => source.to_owned(),
            dir => format!("{dir}/{source}"),
        });
        let script = command_line::node_script(&self.command);
        let end = script.as_ref().map(|script| script_end(&here, &script.name));
        let cannot_start = end.as_ref().and_then(ScriptEnd::refusal);
        let tuning = match (script, end) {
            (Some(script), Some(ScriptEnd::Told { arguments, .. })) => script.arguments(arguments),
            _ => Vec::new(),
        };
        Self { python_path, tuning, cannot_start, reported_from: dir, ..self }
    }

    /// Returns this plan with the command for a copy: without paths of the user's checkout.
    pub(super) fn moved(&self, paths: &CommandPaths) -> Self {
        let tuning = self.tuning.iter().map(|word| paths.in_word(word)).collect();
        Self { command: paths.in_command(&self.command), tuning, ..self.clone() }
    }

    /// Returns this plan for a project in a directory of the copy.
    pub(super) fn inside(self, dir: String) -> Self {
        if dir.is_empty() {
            return self;
        }
        let python_path = self.python_path.map(|path| format!("{dir}/{path}"));
        Self { reported_from: dir.clone(), dir, python_path, ..self }
    }

    /// The working directory, in a copy with this top.
    pub(super) fn directory(&self, top: &Path) -> PathBuf {
        if self.dir.is_empty() { top.to_owned() } else { top.join(&self.dir) }
    }

    /// Whether there is a command to run.
    pub fn is_configured(&self) -> bool {
        self.runner != Runner::None
    }

    /// Whether the runner was detected from the project's files.
    pub fn is_detected(&self) -> bool {
        self.detected_with.is_some()
    }

    /// Returns this plan for a run before any change, limited to `seconds` whatever the phase's own time limit. A plan
    /// from the phase itself keeps its limit.
    pub fn at_base(&self, seconds: u64) -> Self {
        let mut plan = self.clone();
        if !self.is_own {
            plan.timeout = Duration::from_secs(seconds);
            let of_go = |word: &mut String| {
                if self.runner == Runner::GoTest && word.starts_with("-timeout=") {
                    *word = format!("-timeout={seconds}s");
                }
            };
            plan.tuning.iter_mut().for_each(of_go);
        }
        plan
    }

    /// The program to start; `None` for a shell line.
    pub fn program(&self) -> Option<&str> {
        match &self.command {
            CommandLine::Argv(argv) => argv.first().map(String::as_str),
            CommandLine::Shell(_) => None,
        }
    }

    /// The command as a person would type it.
    pub fn display(&self) -> String {
        match &self.command {
            CommandLine::Shell(line) => self.tuned(line.trim()),
            CommandLine::Argv(argv) => {
                if let Some(line) = command_line::shell_line(argv) {
                    return self.tuned(line.trim());
                }
                let words = argv.iter().chain(&self.tuning);
                let line = words.map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
                match self.dir.as_str() {
                    "" => line,
                    dir => format!("cd {} && {line}", quoted(dir)),
                }
            }
        }
    }

    /// Adds the tuning arguments to a shell line.
    pub(super) fn tuned(&self, line: &str) -> String {
        let words = std::iter::once(line.into()).chain(self.tuning.iter().map(|word| quoted(word)));
        words.collect::<Vec<std::borrow::Cow<'_, str>>>().join(" ")
    }

    /// Identifies the selection of tests, to compare results of the same plan. Time limits and tuning do not count.
    pub fn command_key(&self) -> String {
        let text = match &self.detected_with {
            Some(args) => format!("detected {args:?}"),
            None => format!("{:?} {:?} {:?}", self.runner, self.reporting, self.command),
        };
        let digest = Sha256::digest(text.as_bytes());
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Returns this plan for the failing tests only, if the runner accepts individual tests.
    pub fn rerun_plan(&self, failing: &[String]) -> CiPlan {
        let single = match self.reporting {
            Reporting::JunitArgument => true,
            Reporting::Libtest => self.runner == Runner::CargoTest && !self.has_separator(),
            _ => false,
        };
        let few = (1..=MOST_SINGLE_RERUNS).contains(&failing.len());
        let only = if single && few { failing.to_vec() } else { Vec::new() };
        Self { only, ..self.clone() }
    }

    fn has_separator(&self) -> bool {
        matches!(&self.command, CommandLine::Argv(argv) if argv.iter().any(|word| word == "--"))
    }
}
