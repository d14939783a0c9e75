//! What to run: the phase's own command, `ci.command`, a detected runner, or nothing.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::command_line::{self, Shape};
use super::detect::{self, Found};
use super::node_project::{self, Manager, NodeTests};
use super::projects::{self, Project};
use super::pythons::{Python, Pythons};
use crate::config::{CiSettings, CommandLine};
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

/// What CI means for a phase in a slot, as the slot's files are now.
pub async fn plan(
    site: &Site<'_>,
    settings: &CiSettings,
    phase: &PhaseCi,
    pythons: &Pythons,
) -> CiPlan {
    if let Some(argv) = phase.command.clone() {
        let plan = CiPlan::of_command(CommandLine::Argv(argv), phase).for_copy(site.dir);
        return CiPlan { is_own: true, ..plan };
    }
    if let Some(command) = settings.command.clone() {
        return CiPlan::of_command(command, phase).for_copy(site.dir);
    }
    let plan = detected(site, phase, pythons).await;
    CiPlan { is_own: !phase.args.is_empty(), detected_with: Some(phase.args.clone()), ..plan }
}

async fn detected(site: &Site<'_>, phase: &PhaseCi, pythons: &Pythons) -> CiPlan {
    let (dir, found) = match projects::find(site.dir) {
        Project::In(dir, found) => (dir, found),
        Project::Make(target) => return CiPlan::plain(&["make", target], phase),
        Project::None { why, hint } => return CiPlan::nothing(why, hint),
    };
    let here = site.dir.join(&dir);
    // Programs are looked for where they will be started.
    let inside = Site { dir: &here, ..*site };
    let plan = match found {
        Found::Pytest { certain } => {
            match pythons.having(Python::PYTEST, &inside, site.dir).await {
                Some(python) => CiPlan::pytest(&python, &inside, phase),
                None if certain => CiPlan::pytest_missing(pythons.first(&inside, site.dir), phase),
                None if detect::has_unittests(&here) => {
                    CiPlan::unittest(&pythons.first(&inside, site.dir), &here, phase)
                }
                None => match detect::find_other(&here) {
                    Found::Nothing => CiPlan::nothing(NO_PYTEST.to_owned(), GET_PYTEST.to_owned()),
                    other => CiPlan::detected(&other, &inside, phase),
                },
            }
        }
        Found::Django => {
            let python = pythons.having(Python::DJANGO, &inside, site.dir).await;
            let python = python.map(|python| python.program);
            CiPlan::django(python.unwrap_or_else(|| pythons.first(&inside, site.dir)), phase)
        }
        other => CiPlan::detected(&other, &inside, phase),
    };
    plan.inside(dir)
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
            dir: String::new(),
            reported_from: String::new(),
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
        let tuning = command_line::node_script(&self.command)
            .map(|script| script.arguments(node_project::ending(&here, &script.name)));
        Self { python_path, tuning: tuning.unwrap_or_default(), reported_from: dir, ..self }
    }

    /// A command that is judged by its exit code.
    fn plain(argv: &[&str], phase: &PhaseCi) -> Self {
        Self::new(Runner::Command, Reporting::ExitCode, words(argv), phase)
    }

    fn nothing(why: String, hint: String) -> Self {
        let plan = Self::new(Runner::None, Reporting::ExitCode, Vec::new(), &PhaseCi::default());
        Self { note: Some(Note { why, hint }), ..plan }
    }

    fn pytest(python: &Python, site: &Site<'_>, phase: &PhaseCi) -> Self {
        let mut argv = words(&[&python.program, "-m", "pytest"]);
        argv.extend(phase.args.iter().cloned());
        let mut plan = Self::new(Runner::Pytest, Reporting::JunitArgument, argv, phase);
        let set_by_author = phase.args.iter().any(|arg| arg.starts_with("--timeout"));
        if python.has_timeout && phase.per_test_timeout > 0 && !set_by_author {
            plan.tuning.push(format!("--timeout={}", phase.per_test_timeout));
        }
        plan.python_path = detect::python_source(site.dir).map(str::to_owned);
        plan
    }

    fn pytest_missing(python: String, phase: &PhaseCi) -> Self {
        let why =
            format!("this project is tested with pytest, and {python} has no module named pytest");
        let note = Note { why, hint: GET_PYTEST.to_owned() };
        let argv = words(&[&python, "-m", "pytest"]);
        let plan = Self::new(Runner::Pytest, Reporting::JunitArgument, argv, phase);
        Self { cannot_start: Some(note.to_string()), note: Some(note), ..plan }
    }

    /// Names each test, so that what ran can be read in the log.
    fn unittest(python: &str, dir: &Path, phase: &PhaseCi) -> Self {
        let mut argv = words(&[python, "-m", "unittest", "discover", "-v"]);
        if let Some(start) = detect::unittest_start(dir) {
            argv.extend(words(&["-s", start]));
        }
        argv.extend(phase.args.iter().cloned());
        let plan = Self::new(Runner::Unittest, Reporting::ExitCode, argv, phase);
        Self { python_path: detect::python_source(dir).map(str::to_owned), ..plan }
    }

    fn django(python: String, phase: &PhaseCi) -> Self {
        let mut argv = words(&[&python, "manage.py", "test", "--noinput", "-v", "2"]);
        argv.extend(phase.args.iter().cloned());
        Self::new(Runner::Unittest, Reporting::ExitCode, argv, phase)
    }

    fn detected(found: &Found, site: &Site<'_>, phase: &PhaseCi) -> Self {
        let with_args = |mut argv: Vec<String>| {
            argv.extend(phase.args.iter().cloned());
            argv
        };
        match found {
            Found::Go { patterns } => {
                let argv = words(&["go", "test", "-json"]);
                let argv = argv.into_iter().chain(patterns.iter().cloned()).collect();
                let mut plan = Self::new(Runner::GoTest, Reporting::GoJson, with_args(argv), phase);
                // Go's own limit is ten minutes a package, whatever ours is.
                plan.tuning.push(format!("-timeout={}s", phase.timeout_seconds));
                plan
            }
            Found::Node { manager, tests } => {
                // Any of them runs the scripts of any project.
                let manager = match site.has_program(manager.program()) {
                    true => *manager,
                    false => Manager::Npm,
                };
                let mut args = phase.args.clone();
                if *tests == NodeTests::Script {
                    args.extend(node_project::ending(site.dir, "test"));
                }
                let argv = manager.command(tests, &args);
                Self::new(Runner::NpmTest, Reporting::ExitCode, argv, phase)
            }
            Found::Deno { has_task } => {
                let argv = if *has_task {
                    words(&["deno", "task", "test"])
                } else {
                    words(&["deno", "test"])
                };
                Self::new(Runner::Command, Reporting::ExitCode, with_args(argv), phase)
            }
            Found::Cargo { is_workspace } => {
                let mut argv = words(&["cargo", "test", "--no-fail-fast"]);
                argv.extend(is_workspace.then(|| "--workspace".to_owned()));
                Self::new(Runner::CargoTest, Reporting::Libtest, with_args(argv), phase)
            }
            Found::Pytest { .. } | Found::Django | Found::Nothing => {
                Self::nothing(NO_PYTEST.to_owned(), GET_PYTEST.to_owned())
            }
        }
    }

    /// The same for a project in this directory of the copy.
    fn inside(self, dir: String) -> Self {
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

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}
