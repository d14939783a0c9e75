//! The CI plan of a phase: the command, and how results are read and plans are shown, identified and rerun.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::command_line;
use super::imports::CommandPaths;
use super::plan_note::PlanNote;
use super::runners::{self, Author, Invocation, TestRunner, python_tests};
use crate::config::CommandLine;
use crate::phase::PhaseCi;
use crate::phase::words::{hex, quoted};
use crate::process::child_env::Env;

/// Above this number of failing tests, the rerun runs all tests.
const MOST_SINGLE_RERUNS: usize = 100;

/// Everything needed to run CI for a phase and to show the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CiPlan {
    /// Time limit of the whole run.
    pub timeout: Duration,
    /// Why no CI will run, or why CI cannot run.
    pub note: Option<PlanNote>,
    pub(super) command: CommandLine,
    /// None: there is no command.
    pub(super) author: Option<Author>,
    /// The runner, if detected or recognized: starts and reads it.
    pub(super) runner: Option<&'static dyn TestRunner>,
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
    fn new(command: CommandLine, author: Option<Author>, phase: &PhaseCi) -> Self {
        Self {
            timeout: Duration::from_secs(phase.timeout_seconds),
            note: None,
            command,
            author,
            runner: None,
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

    /// A command written by the user or in the phase's plan.
    pub(super) fn of_command(command: CommandLine, phase: &PhaseCi) -> Self {
        let runner = runners::recognize(&command);
        Self { runner, ..Self::new(command, Some(Author::Person), phase) }
    }

    /// A detected runner.
    pub(super) fn of_runner(
        runner: &'static dyn TestRunner,
        invocation: Invocation,
        phase: &PhaseCi,
    ) -> Self {
        let Invocation { argv, tuning, python_path, cannot_start, note } = invocation;
        Self {
            runner: Some(runner),
            tuning,
            python_path,
            cannot_start,
            note,
            ..Self::new(CommandLine::Argv(argv), Some(Author::Autopack), phase)
        }
    }

    /// A Makefile target, judged by the exit code.
    pub(super) fn of_make(target: &str, phase: &PhaseCi) -> Self {
        let argv = ["make", target].map(str::to_owned).to_vec();
        Self::new(CommandLine::Argv(argv), Some(Author::Autopack), phase)
    }

    /// No CI, with the reason.
    pub(super) fn nothing(note: PlanNote) -> Self {
        let command = CommandLine::Argv(Vec::new());
        let plan = Self::new(command, None, &PhaseCi::default());
        Self { note: Some(note), ..plan }
    }

    /// Adapts a written command to a copy of `checkout` with this top, as for a detected runner: watch modes are told to end, and the
    /// sources in the copy precede installed packages.
    #[must_use]
    pub fn for_copy(self, top: &Path, checkout: &Path) -> Self {
        let paths = CommandPaths::new(checkout, &Env::new(), top);
        let dir =
            command_line::directory(&paths.in_command(&self.command), top).unwrap_or_default();
        let here = top.join(&dir);
        let python_path = python_tests::source_dir(&here).map(|source| match dir.as_str() {
            "" => source.to_owned(),
            dir => format!("{dir}/{source}"),
        });
        let (tuning, cannot_start) = match runners::watch_arguments(&self.command, &here) {
            Ok(arguments) => (arguments, None),
            Err(why) => (Vec::new(), Some(why)),
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
        self.author.is_some()
    }

    /// The name of the runner, if detected or recognized.
    pub fn runner_name(&self) -> Option<&'static str> {
        self.runner.map(|runner| runner.name())
    }

    /// Returns this plan for a run before any change, limited to `seconds` whatever the phase's own time limit. A plan
    /// from the phase itself keeps its limit.
    pub fn at_base(&self, seconds: u64) -> Self {
        let mut plan = self.clone();
        if !self.is_own {
            plan.timeout = Duration::from_secs(seconds);
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

    /// The words of the command, to find the programs and files named there.
    pub fn words(&self) -> Vec<OsString> {
        match &self.command {
            CommandLine::Argv(argv) => argv.iter().map(OsString::from).collect(),
            CommandLine::Shell(line) => {
                ["sh", "-c", line.as_str()].into_iter().map(OsString::from).collect()
            }
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
                let tuning = self.all_tuning();
                let words = argv.iter().chain(&tuning);
                let line = words.map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
                match self.dir.as_str() {
                    "" => line,
                    dir => format!("cd {} && {line}", quoted(dir)),
                }
            }
        }
    }

    /// All arguments that change how tests run, with the runner's time limit.
    pub(super) fn all_tuning(&self) -> Vec<String> {
        let limit = self.detected_runner().map(|runner| runner.time_limit(self.timeout.as_secs()));
        self.tuning.iter().cloned().chain(limit.into_iter().flatten()).collect()
    }

    /// The runner of a command written by autopack.
    fn detected_runner(&self) -> Option<&'static dyn TestRunner> {
        self.runner.filter(|_| self.author == Some(Author::Autopack))
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
            // Earlier versions stored results under these words.
            None => {
                let runner = self.runner.map_or("ExitCode", |runner| runner.key());
                format!("Command {runner} {:?}", self.command)
            }
        };
        key_of(&text)
    }

    /// Returns this plan for the failing tests only, if the runner accepts individual tests.
    pub fn rerun_plan(&self, failing: &[String]) -> CiPlan {
        let few = (1..=MOST_SINGLE_RERUNS).contains(&failing.len());
        let is_possible = few && self.arguments_for(failing).is_some();
        let only = if is_possible { failing.to_vec() } else { Vec::new() };
        Self { only, ..self.clone() }
    }

    /// Returns the arguments that limit the command to these tests.
    pub(super) fn arguments_for(&self, tests: &[String]) -> Option<Vec<OsString>> {
        match &self.command {
            CommandLine::Argv(argv) => self.detected_runner()?.only(argv, tests),
            CommandLine::Shell(_) => None,
        }
    }
}

fn key_of(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes())[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(line: &str) -> String {
        CiPlan::of_command(CommandLine::Shell(line.to_owned()), &PhaseCi::default()).command_key()
    }

    /// The results of earlier versions are stored under these keys.
    #[test]
    fn the_key_of_a_command_never_changes() {
        assert_eq!(key("make test"), key_of("Command ExitCode Shell(\"make test\")"));
        assert_eq!(key("pytest -q"), key_of("Command JunitEnvironment Shell(\"pytest -q\")"));
        assert_eq!(key("cargo test"), key_of("Command Libtest Shell(\"cargo test\")"));
        assert_eq!(key("go test"), key_of("Command GoJson Shell(\"go test\")"));
    }

    #[test]
    fn the_time_limit_of_a_detected_runner_follows_the_plan() {
        let go = runners::recognize(&CommandLine::Shell("go test".to_owned())).unwrap();
        let invocation = Invocation::new(&["go", "test", "-json", "./..."], &[]);
        let phase = PhaseCi { timeout_seconds: 60, ..PhaseCi::default() };
        let plan = CiPlan::of_runner(go, invocation, &phase);
        assert_eq!(plan.display(), "go test -json ./... -timeout=60s");
        assert_eq!(plan.at_base(900).display(), "go test -json ./... -timeout=900s");
        let own = CiPlan { is_own: true, ..plan };
        assert_eq!(own.at_base(900).display(), "go test -json ./... -timeout=60s");
    }
}
