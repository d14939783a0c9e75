//! Runs a plan and determines the outcome.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::ci_plan::{CiPlan, Reporting, Runner};
use super::imports::CommandPaths;
use super::results::{CiOutcome, CiRun, TestResults};
use super::run_outcome::{self, Said};
use super::runners::test_counts::Summary;
use super::runners::{cargo_names, cargo_test, go_test, pytest_junit, test_counts};
use super::{command_line, detect, imports, runner_paths};
use crate::ci::runners::test_report::Report;
use crate::config::CommandLine;
use crate::phase::shell;
use crate::phase::words::quoted;
use crate::process::{self, FinishedJob, Job, JobEnd, Redactor, SpawnError, Stop, Stream};

/// Sends both outputs into one pipe, to keep the order of lines from cargo and from tests.
const TOGETHER: &str = r#"exec "$@" 2>&1"#;
const LOG_CAP: u64 = 32 * 1024 * 1024;
const TAIL_LINES: usize = 80;
const TAIL_CHARS: usize = 8_000;

/// Place, environment and log of a run.
pub struct Request<'a> {
    /// The tested copy.
    pub dir: &'a Path,
    /// The user's checkout; the command's paths in the checkout are mapped to the copy.
    pub checkout: &'a Path,
    /// The whole environment.
    pub env: &'a BTreeMap<OsString, OsString>,
    /// Log file outside the slot; appended. The JUnit file is written beside it.
    pub log: PathBuf,
    /// Removes secrets from the log and from messages.
    pub redact: Redactor,
    /// The slot's lock, held until the last process has ended.
    pub hold: Option<Arc<OwnedFd>>,
}

/// An error of autopack or the machine, not of the phase.
#[derive(Debug, thiserror::Error)]
pub enum CiError {
    /// The command could not be started.
    #[error("cannot run ci `{command}`: {source}")]
    Spawn {
        /// The command as a person would type it.
        command: String,
        /// The system's error.
        source: SpawnError,
    },
    /// An earlier file with test results could not be removed.
    #[error("cannot use {} for the test results: {source}", .path.display())]
    Results {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// Runs a plan to the end, within its time limit.
///
/// # Errors
/// If the command cannot be started, or an earlier file with test results cannot be removed.
pub async fn run(plan: &CiPlan, request: Request<'_>, stop: &Stop) -> Result<CiRun, CiError> {
    if !plan.is_configured() {
        return Ok(CiRun::of(TestResults::of(CiOutcome::NotConfigured)));
    }
    if let Some(why) = &plan.cannot_start {
        return Ok(CiRun::of(TestResults::of(CiOutcome::CouldNotStart { why: why.clone() })));
    }
    let junit = request.log.with_extension("junit.xml");
    fresh(&junit)?;
    let reader = Mutex::new(Reader::of(plan.reporting));
    let on_line = |_: Stream, line: &str| {
        let line = console::strip_ansi_codes(line);
        reader.lock().unwrap_or_else(PoisonError::into_inner).line(&line);
    };
    let redact = request.redact.clone();
    let dir = plan.directory(request.dir);
    let paths = CommandPaths::new(request.checkout, request.env, request.dir);
    let reported_from = request.dir.join(&plan.reported_from);
    let job = job(&plan.moved(&paths), request, &dir, &junit, &on_line);
    let ended = process::run(job, stop)
        .await
        .map_err(|source| CiError::Spawn { command: plan.display(), source })?;
    let reader = reader.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (report, tail) = reader.finish(&reported_from, &junit);
    let report = report.map(|report| report.below(&plan.reported_from));
    let report = report.map(|report| report.tidy(&|text| redact.redact(text).into_owned()));
    let nothing_to_test = || !detect::has_python_tests(&reported_from);
    Ok(judged(plan, &ended, report, tail, &nothing_to_test))
}

/// Removes the file of an earlier run.
fn fresh(junit: &Path) -> Result<(), CiError> {
    match fs::remove_file(junit) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(CiError::Results { path: junit.to_owned(), source })
        }
        _ => Ok(()),
    }
}

fn job<'a>(
    plan: &CiPlan,
    request: Request<'_>,
    dir: &'a Path,
    junit: &Path,
    on_line: &'a (dyn Fn(Stream, &str) + Send + Sync),
) -> Job<'a> {
    let mut argv: Vec<OsString> = ["sh", "-c", TOGETHER, "sh"].map(OsString::from).to_vec();
    argv.extend(command(plan, junit));
    let env = environment(plan, &request, dir, junit);
    Job {
        log: Some(request.log),
        log_cap: LOG_CAP,
        redact: request.redact,
        hold: request.hold,
        on_line: Some(on_line),
        ..Job::new(argv, dir, env, plan.timeout)
    }
}

fn command(plan: &CiPlan, junit: &Path) -> Vec<OsString> {
    let argv = match &plan.command {
        CommandLine::Shell(text) => {
            return shell::argv(&plan.tuned(text)).into_iter().map(OsString::from).collect();
        }
        CommandLine::Argv(argv) => argv,
    };
    // The last argument is the shell line, and tuning must become part of it.
    if let Some(line) = command_line::shell_line(argv) {
        let shell = argv[..argv.len() - 1].iter().map(OsString::from);
        return shell.chain([plan.tuned(line).into()]).collect();
    }
    let mut words: Vec<OsString> = argv.iter().chain(&plan.tuning).map(OsString::from).collect();
    if plan.reporting == Reporting::JunitArgument {
        words.extend(junit_options(junit));
        words.extend(plan.only.iter().map(OsString::from));
    } else {
        let filters: Option<Vec<&str>> =
            plan.only.iter().map(|id| cargo_names::filter(id)).collect();
        if let Some(filters) = filters.filter(|filters| !filters.is_empty()) {
            words.push("--".into());
            words.extend(filters.into_iter().map(OsString::from));
        }
    }
    words
}

/// Options that request the report and keep pytest from stopping at the first failure and hiding other results.
fn junit_options(junit: &Path) -> Vec<OsString> {
    let mut file = OsString::from("--junitxml=");
    file.push(junit);
    let all = ["--maxfail=0", "--continue-on-collection-errors", "-o", "junit_family=xunit2"];
    all.into_iter().map(OsString::from).chain([file]).collect()
}

fn environment(
    plan: &CiPlan,
    request: &Request<'_>,
    dir: &Path,
    junit: &Path,
) -> BTreeMap<OsString, OsString> {
    let mut env = request.env.clone();
    // Without this, test runners may watch files and never end.
    env.entry("CI".into()).or_insert_with(|| "1".into());
    env.insert("PWD".into(), dir.into());
    if let Some(source) = &plan.python_path {
        imports::prepend(&mut env, &request.dir.join(source));
    }
    if plan.reporting == Reporting::GoJson && plan.runner == Runner::Command {
        // The command comes from the user or the phase; a detected command has the option among its arguments.
        let flags = env.entry("GOFLAGS".into()).or_default();
        flags.push(if flags.is_empty() { "-json" } else { " -json" });
    }
    if plan.reporting == Reporting::JunitEnvironment {
        let options = env.entry("PYTEST_ADDOPTS".into()).or_default();
        for option in junit_options(junit) {
            options.push(" ");
            options.push(quoted(&option.to_string_lossy()).as_ref());
        }
    }
    env
}

/// Reads individual results from a runner's output, or from the runner's report file.
enum Reader {
    Summary(test_counts::Reader),
    Junit,
    Libtest(cargo_test::Reader),
    Go(go_test::Reader),
}

impl Reader {
    fn of(reporting: Reporting) -> Self {
        match reporting {
            Reporting::ExitCode => Self::Summary(test_counts::Reader::default()),
            Reporting::JunitArgument | Reporting::JunitEnvironment => Self::Junit,
            Reporting::Libtest => Self::Libtest(cargo_test::Reader::default()),
            Reporting::GoJson => Self::Go(go_test::Reader::default()),
        }
    }

    fn line(&mut self, line: &str) {
        match self {
            Self::Junit => {}
            Self::Summary(reader) => reader.line(line),
            Self::Libtest(reader) => reader.line(line),
            Self::Go(reader) => reader.line(line),
        }
    }

    /// Returns the report, and a readable end of the output if the raw output is not for people.
    fn finish(self, dir: &Path, junit: &Path) -> (Option<Report>, Option<String>) {
        match self {
            Self::Summary(reader) => {
                let Summary { counts, failed, printed, any_ran } = reader.finish();
                let unnamed_ran = any_ran;
                let report = Report { counts, failed, printed, unnamed_ran, ..Report::default() };
                (Some(report), None)
            }
            Self::Junit => (read_junit(dir, junit), None),
            Self::Libtest(reader) => {
                let packages = runner_paths::Packages::of(dir);
                let report = reader.finish(&|path, name| packages.find(path, name));
                (Some(report), None)
            }
            Self::Go(reader) => {
                let modules = runner_paths::GoModules::of(dir);
                let (report, tail) = reader.finish(&|package, test| modules.find(package, test));
                (Some(report), Some(tail))
            }
        }
    }
}

/// Reads the report file, with any content, since the tests can write to the file.
fn read_junit(dir: &Path, junit: &Path) -> Option<Report> {
    let bytes = fs::read(junit).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    match pytest_junit::parse(&text, &|path, _| runner_paths::at_root(dir, path)) {
        Ok(report) => Some(report),
        Err(error) => {
            tracing::warn!("{error}: {}", junit.display());
            None
        }
    }
}

fn judged(
    plan: &CiPlan,
    ended: &FinishedJob,
    report: Option<Report>,
    tail: Option<String>,
    nothing_to_test: &dyn Fn() -> bool,
) -> CiRun {
    let tail = tail.unwrap_or_else(|| ended.stdout.tail_lines(TAIL_LINES));
    let tail = last_chars(&console::strip_ansi_codes(&tail), TAIL_CHARS);
    let results = match ended.end {
        JobEnd::Stopped => TestResults::of(CiOutcome::Stopped),
        JobEnd::TimedOut | JobEnd::Stalled => {
            TestResults::of(CiOutcome::TimedOut { ran_out_seconds: plan.timeout.as_secs() })
        }
        JobEnd::Exited(code) => {
            // Searching the project is needed only if pytest did not find its arguments.
            let nothing_to_test = code == 4 && nothing_to_test();
            run_outcome::of(Said { plan, code, report, output: &tail, nothing_to_test })
        }
        JobEnd::Signalled(signal) => {
            let (code, output) = (128 + signal, &tail);
            run_outcome::of(Said { plan, code, report: None, output, nothing_to_test: false })
        }
    };
    CiRun { log_tail: tail, duration: ended.duration, ..CiRun::of(results) }
}

/// Returns the last characters, from the start of a line if possible.
fn last_chars(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let tail: String = text.chars().skip(count - most).collect();
    tail.split_once('\n').map_or(tail.clone(), |(_, lines)| lines.to_owned())
}
