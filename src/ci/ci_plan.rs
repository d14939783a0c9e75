//! What is run as CI, and how it is shown, compared and run once more.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::command_line::{self, Shape};
use super::detect;
use super::node_scripts::{ScriptEnd, script_end};
use crate::config::CommandLine;
use crate::phase::PhaseCi;
use crate::phase::words::quoted;
use crate::process::which;

/// More failing tests than this are run once more by running everything.
const MOST_SINGLE_RERUNS: usize = 100;

/// Where CI runs.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// The copy that is tested: where a runner is looked for and commands are run.
    pub dir: &'a Path,
    /// The user's checkout, which may hold the `.venv` to use.
    pub workspace: &'a Path,
    /// The whole environment that CI will get.
    pub env: &'a BTreeMap<OsString, OsString>,
}

impl Site<'_> {
    /// Whether a program is on the PATH that CI gets, or at this path.
    pub(super) fn has_program(&self, program: &str) -> bool {
        let path = self.env.get(OsStr::new("PATH")).map(OsString::as_os_str);
        matches!(which::find(program.as_ref(), self.dir, path), which::Found::Program(_))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runner {
    Pytest,
    CargoTest,
    GoTest,
    NpmTest,
    /// `python -m unittest`, or Django's.
    Unittest,
    /// A command of the user's or of the phase's.
    Command,
    None,
}

/// How single results are got out of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reporting {
    /// The exit code is all there is.
    ExitCode,
    /// `--junitxml` among the arguments: the command is ours.
    JunitArgument,
    /// `--junitxml` through `PYTEST_ADDOPTS`: the command is somebody else's.
    JunitEnvironment,
    /// libtest's lines in the output.
    Libtest,
    /// `go test -json` in the output.
    GoJson,
}

/// What is wrong, and what to do about it: for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub why: String,
    pub hint: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.why, self.hint)
    }
}

/// Everything that `run` has to know, and what is shown of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CiPlan {
    pub runner: Runner,
    pub timeout: Duration,
    /// Why nothing will run, or why nothing can.
    pub note: Option<Note>,
    pub(super) command: CommandLine,
    pub(super) reporting: Reporting,
    /// Arguments that say how and not what: left out of the key.
    pub(super) tuning: Vec<String>,
    /// Only these tests, by id.
    pub(super) only: Vec<String>,
    /// Where the project is in the copy, relative to its top; empty for the top.
    pub(super) dir: String,
    /// Where what it reports is relative to, from the top of the copy.
    pub(super) reported_from: String,
    /// Relative to the copy, before everything else on Python's path.
    pub(super) python_path: Option<String>,
    /// Why the runner is known to be unable to start.
    pub(super) cannot_start: Option<String>,
    /// Whether the phase brings it, in whole or in its arguments: it may make sense only once the phase's work is done.
    pub is_own: bool,
    /// What is added to a runner that is detected: whichever that is, its results are compared with each other.
    pub(super) detected_with: Option<Vec<String>>,
}

/// The phase's own check, `test_cmd`, which runs after CI and is judged without a baseline.
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

    /// A command that somebody wrote out gets in a copy with this top what a detected one gets: an end where it would
    /// watch for ever, and the sources of the copy before what is installed.
    #[must_use]
    pub fn for_copy(self, top: &Path) -> Self {
        let dir = command_line::directory(&self.command).unwrap_or_default();
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

    /// The same for a project in this directory of the copy.
    pub(super) fn inside(self, dir: String) -> Self {
        if dir.is_empty() {
            return self;
        }
        let python_path = self.python_path.map(|path| format!("{dir}/{path}"));
        Self { reported_from: dir.clone(), dir, python_path, ..self }
    }

    /// Where it is run, in a copy with this top.
    pub(super) fn directory(&self, top: &Path) -> PathBuf {
        if self.dir.is_empty() { top.to_owned() } else { top.join(&self.dir) }
    }

    /// Whether anything will be run at all.
    pub fn is_configured(&self) -> bool {
        self.runner != Runner::None
    }

    /// Whether the project's files decide what is run.
    pub fn is_detected(&self) -> bool {
        self.detected_with.is_some()
    }

    /// The same before any change, within `seconds`: how long a phase may take says nothing about it. What a phase brings
    /// itself keeps its own limit.
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

    /// The program that is started, where it is not a line for the shell.
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

    /// A line for the shell with what says how it is run.
    pub(super) fn tuned(&self, line: &str) -> String {
        let words = std::iter::once(line.into()).chain(self.tuning.iter().map(|word| quoted(word)));
        words.collect::<Vec<std::borrow::Cow<'_, str>>>().join(" ")
    }

    /// Names what is run, so that results of the same plan can be compared: what it runs, not how long it may take.
    pub fn command_key(&self) -> String {
        let text = match &self.detected_with {
            Some(args) => format!("detected {args:?}"),
            None => format!("{:?} {:?} {:?}", self.runner, self.reporting, self.command),
        };
        let digest = Sha256::digest(text.as_bytes());
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The same run for the failing tests only, where the runner can be asked for single tests.
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
