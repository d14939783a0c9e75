//! What to run: the phase's own command, `ci.command`, a detected runner, or nothing.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::command_line::{self, Shape};
use super::detect::{self, Found};
use super::python::Pythons;
use crate::config::{CiSettings, CommandLine};
use crate::phase::PhaseCi;
use crate::phase::words::quoted;

/// More failing tests than this are run once more by running everything.
const MOST_SINGLE_RERUNS: usize = 100;

/// Where CI runs.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// The slot: the working directory, and where a runner is looked for.
    pub dir: &'a Path,
    /// The user's checkout, which may hold the `.venv` to use.
    pub workspace: &'a Path,
    /// The whole environment that CI will get.
    pub env: &'a BTreeMap<OsString, OsString>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runner {
    Pytest,
    CargoTest,
    GoTest,
    NpmTest,
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
    pub hint: &'static str,
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
    /// Environment variables to set where they are not set.
    pub(super) defaults: Vec<(&'static str, &'static str)>,
    /// Of the slot, before everything else on Python's path.
    pub(super) python_path: Option<&'static str>,
    /// Why the runner is known to be unable to start.
    pub(super) cannot_start: Option<String>,
    /// Whether the phase brings it, in whole or in its arguments: it may make sense only once the phase's work is done.
    pub is_own: bool,
    /// What is added to a runner that is detected: whichever that is, its results are compared with each other.
    pub(super) detected_with: Option<Vec<String>>,
}

/// What CI means for a phase in a slot, as the slot's files are now.
pub async fn plan(
    site: &Site<'_>,
    settings: &CiSettings,
    phase: &PhaseCi,
    pythons: &Pythons,
) -> CiPlan {
    if let Some(argv) = phase.command.clone() {
        let plan = CiPlan::of_command(CommandLine::Argv(argv), phase);
        return CiPlan { is_own: true, ..plan };
    }
    if let Some(command) = settings.command.clone() {
        return CiPlan::of_command(command, phase);
    }
    let plan = detected(site, phase, pythons).await;
    CiPlan { is_own: !phase.args.is_empty(), detected_with: Some(phase.args.clone()), ..plan }
}

async fn detected(site: &Site<'_>, phase: &PhaseCi, pythons: &Pythons) -> CiPlan {
    match detect::find(site.dir) {
        Found::Pytest { certain } => match pythons.with_pytest(site).await {
            Some(python) => CiPlan::pytest(&python, site, phase),
            None if certain => CiPlan::pytest_missing(pythons.first(site), phase),
            None => detect::find_other(site.dir)
                .map(|runner| CiPlan::detected(runner, phase))
                .unwrap_or_else(|| CiPlan::nothing(NO_PYTEST, GET_PYTEST)),
        },
        Found::Other(runner) => CiPlan::detected(runner, phase),
        Found::Nothing => CiPlan::nothing(
            "no ci: nothing here suggests a test runner",
            "set ci.command in autopack.yaml to have one",
        ),
    }
}

const NO_PYTEST: &str = "no ci: there are python tests here, and no python that has pytest";
const GET_PYTEST: &str = "install it into .venv or set ci.command in autopack.yaml";

/// The phase's own check, `test_cmd`, which runs after CI and is judged without a baseline.
pub fn check_plan(phase: &PhaseCi) -> Option<CiPlan> {
    let line = phase.test_cmd.as_ref().filter(|line| !line.trim().is_empty())?;
    Some(CiPlan { is_own: true, ..CiPlan::of_command(CommandLine::Shell(line.clone()), phase) })
}

impl CiPlan {
    fn new(runner: Runner, reporting: Reporting, argv: Vec<String>, phase: &PhaseCi) -> Self {
        Self {
            runner,
            timeout: Duration::from_secs(phase.timeout_seconds),
            note: None,
            command: CommandLine::Argv(argv),
            reporting,
            tuning: Vec::new(),
            only: Vec::new(),
            defaults: Vec::new(),
            python_path: None,
            cannot_start: None,
            is_own: false,
            detected_with: None,
        }
    }

    fn of_command(command: CommandLine, phase: &PhaseCi) -> Self {
        let reporting = match command_line::shape(&command) {
            Shape::Pytest => Reporting::JunitEnvironment,
            Shape::CargoTest => Reporting::Libtest,
            Shape::GoTest => Reporting::GoJson,
            Shape::Other => Reporting::ExitCode,
        };
        Self { command, ..Self::new(Runner::Command, reporting, Vec::new(), phase) }
    }

    fn nothing(why: &str, hint: &'static str) -> Self {
        let plan = Self::new(Runner::None, Reporting::ExitCode, Vec::new(), &PhaseCi::default());
        Self { note: Some(Note { why: why.to_owned(), hint }), ..plan }
    }

    fn pytest(python: &super::python::Python, site: &Site<'_>, phase: &PhaseCi) -> Self {
        let mut argv = words(&[&python.program, "-m", "pytest"]);
        argv.extend(phase.args.iter().cloned());
        let mut plan = Self::new(Runner::Pytest, Reporting::JunitArgument, argv, phase);
        let set_by_author = phase.args.iter().any(|arg| arg.starts_with("--timeout"));
        if python.has_timeout && phase.per_test_timeout > 0 && !set_by_author {
            plan.tuning.push(format!("--timeout={}", phase.per_test_timeout));
        }
        plan.python_path = detect::python_source(site.dir);
        plan
    }

    fn pytest_missing(python: String, phase: &PhaseCi) -> Self {
        let why =
            format!("this project is tested with pytest, and {python} has no module named pytest");
        let note = Note { why, hint: GET_PYTEST };
        let argv = words(&[&python, "-m", "pytest"]);
        let plan = Self::new(Runner::Pytest, Reporting::JunitArgument, argv, phase);
        Self { cannot_start: Some(note.to_string()), note: Some(note), ..plan }
    }

    fn detected(runner: Runner, phase: &PhaseCi) -> Self {
        let with_args = |words_: &[&str]| {
            let mut argv = words(words_);
            argv.extend(phase.args.iter().cloned());
            argv
        };
        match runner {
            Runner::GoTest => {
                let argv = with_args(&["go", "test", "-json", "./..."]);
                let mut plan = Self::new(runner, Reporting::GoJson, argv, phase);
                // Go's own limit is ten minutes a package, whatever ours is.
                plan.tuning.push(format!("-timeout={}s", phase.timeout_seconds));
                plan
            }
            Runner::NpmTest => {
                let mut argv = words(&["npm", "test"]);
                if !phase.args.is_empty() {
                    argv.push("--".to_owned());
                    argv.extend(phase.args.iter().cloned());
                }
                let mut plan = Self::new(runner, Reporting::ExitCode, argv, phase);
                // Test runners of this world watch files and never end, unless told.
                plan.defaults.push(("CI", "true"));
                plan
            }
            _ => {
                let argv = with_args(&["cargo", "test", "--no-fail-fast"]);
                Self::new(Runner::CargoTest, Reporting::Libtest, argv, phase)
            }
        }
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
            CommandLine::Shell(line) => line.trim().to_owned(),
            CommandLine::Argv(argv) => {
                if let Some(line) = command_line::shell_line(argv) {
                    return line.trim().to_owned();
                }
                let words = argv.iter().chain(&self.tuning);
                words.map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
            }
        }
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

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}
