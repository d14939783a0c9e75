//! Runs a plan and determines the outcome.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::ci_plan::CiPlan;
use super::imports::CommandPaths;
use super::results::{CiOutcome, CiRun, TestResults};
use super::run_outcome::derive_results;
use super::runners::ended_run::EndedRun;
use super::runners::test_counts::CountReader;
use super::runners::{ReadResults, ReportOptions, ResultReader};
use super::{command_line, imports};
use crate::config::CommandLine;
use crate::phase::shell;
use crate::process::view::{self, ChildView};
use crate::process::{
    self, FinishedJob, Job, JobEnd, PathReplacement, Redactor, SpawnError, StopReceiver, Stream,
};

/// Sends both outputs into one pipe, to keep the order of lines from cargo and from tests.
pub(super) const TOGETHER: &str = r#"exec "$@" 2>&1"#;
const LOG_CAP: u64 = 32 * 1024 * 1024;
const TAIL_LINES: usize = 80;
const TAIL_CHARS: usize = 8_000;

/// Place, environment and log of a run.
pub struct CiRequest<'a> {
    /// The tested copy.
    pub dir: &'a Path,
    /// The user's checkout; the command's paths in the checkout are mapped to the copy.
    pub checkout: &'a Path,
    /// The whole environment.
    pub env: &'a BTreeMap<OsString, OsString>,
    /// Log file outside the slot; appended. A runner's report is written beside it.
    pub log: PathBuf,
    /// Removes secrets from the log and from messages.
    pub redact: Redactor,
    /// The slot's lock, held until the last process has ended.
    pub hold: Option<Arc<OwnedFd>>,
    /// Locks given away to the supervisor of the run.
    pub lent: Vec<OwnedFd>,
    /// What the command sees of the machine.
    pub view: Option<ChildView>,
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
pub async fn run(
    plan: &CiPlan,
    request: CiRequest<'_>,
    stop: &StopReceiver,
) -> Result<CiRun, CiError> {
    if !plan.is_configured() {
        return Ok(CiRun::of(TestResults::of(CiOutcome::NotConfigured)));
    }
    if let Some(why) = &plan.cannot_start {
        return Ok(CiRun::of(TestResults::of(CiOutcome::CouldNotStart { why: why.clone() })));
    }
    let results = request.log.with_extension("junit.xml");
    remove_old_report(&results)?;
    let reader = Mutex::new(reader(plan));
    let view = request.view.clone();
    let back = view.as_ref().filter(|view| view.moves_checkouts()).map(|view| {
        // Files named in the output are looked up in the copy.
        PathReplacement::new(&[view.inside(request.dir)], request.dir)
    });
    let on_line = |_: Stream, line: &str| {
        let line = console::strip_ansi_codes(line);
        let line = moved_back(back.as_ref(), &line);
        reader.lock().unwrap_or_else(PoisonError::into_inner).line(&line);
    };
    let redact = request.redact.clone();
    let dir = plan.directory(request.dir);
    let reported_from = request.dir.join(&plan.reported_from);
    let job = match back.is_some() {
        // The checkout's path is the copy's.
        true => job(plan, request, &dir, &results, &on_line),
        false => {
            let paths = CommandPaths::new(request.checkout, request.env, request.dir);
            job(&plan.moved(&paths), request, &dir, &results, &on_line)
        }
    };
    let job = view::enter(view.as_ref(), job);
    let ended = process::run(job, stop)
        .await
        .map_err(|source| CiError::Spawn { command: plan.display(), source })?;
    if let (Some(_), Ok(report)) = (&back, fs::read(&results)) {
        let report = moved_back(back.as_ref(), &String::from_utf8_lossy(&report)).into_owned();
        fs::write(&results, report)
            .map_err(|source| CiError::Results { path: results.clone(), source })?;
    }
    let reader = reader.into_inner().unwrap_or_else(PoisonError::into_inner);
    let ReadResults { report, tail } = reader.finish(&reported_from, &results);
    let report = report.map(|report| report.below(&plan.reported_from));
    let report = report.map(|report| report.tidy(&|text| redact.redact(text).into_owned()));
    Ok(derive_run(plan, &ended, ReadResults { report, tail }, &reported_from))
}

/// Replaces paths of the view by those of the copy.
fn moved_back<'a>(back: Option<&PathReplacement>, text: &'a str) -> Cow<'a, str> {
    match back.and_then(|back| back.apply(text.as_bytes())) {
        Some(moved) => Cow::Owned(String::from_utf8_lossy(&moved).into_owned()),
        None => Cow::Borrowed(text),
    }
}

/// Creates the reader of a plan's runner; without a runner, only summaries are read.
pub(super) fn reader(plan: &CiPlan) -> Box<dyn ResultReader> {
    match plan.runner {
        Some(runner) => runner.reader(),
        None => Box::new(CountReader::default()),
    }
}

/// Removes the file of an earlier run.
fn remove_old_report(results: &Path) -> Result<(), CiError> {
    match fs::remove_file(results) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(CiError::Results { path: results.to_owned(), source })
        }
        _ => Ok(()),
    }
}

fn job<'a>(
    plan: &CiPlan,
    request: CiRequest<'_>,
    dir: &'a Path,
    results: &Path,
    on_line: &'a (dyn Fn(Stream, &str) + Send + Sync),
) -> Job<'a> {
    let mut argv: Vec<OsString> = ["sh", "-c", TOGETHER, "sh"].map(OsString::from).to_vec();
    argv.extend(command(plan, results));
    let env = environment(plan, &request, dir, results);
    Job {
        log: Some(request.log),
        log_cap: LOG_CAP,
        redact: request.redact,
        hold: request.hold,
        lent: request.lent,
        on_line: Some(on_line),
        ..Job::new(argv, dir, env, plan.timeout)
    }
}

pub(super) fn command(plan: &CiPlan, results: &Path) -> Vec<OsString> {
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
    let mut words: Vec<OsString> =
        argv.iter().chain(&plan.all_tuning()).map(OsString::from).collect();
    words.extend(report_options(plan, results).args);
    if !plan.only.is_empty() {
        words.extend(plan.arguments_for(&plan.only).unwrap_or_default());
    }
    words
}

fn report_options(plan: &CiPlan, results: &Path) -> ReportOptions {
    let options = plan.runner.zip(plan.author);
    options.map(|(runner, author)| runner.report_options(author, results)).unwrap_or_default()
}

pub(super) fn environment(
    plan: &CiPlan,
    request: &CiRequest<'_>,
    dir: &Path,
    results: &Path,
) -> BTreeMap<OsString, OsString> {
    let mut env = request.env.clone();
    // Without this, test runners may watch files and never end.
    env.entry("CI".into()).or_insert_with(|| "1".into());
    env.insert("PWD".into(), dir.into());
    if let Some(source) = &plan.python_path {
        imports::prepend(&mut env, &request.dir.join(source));
    }
    for (name, value) in report_options(plan, results).env {
        let variable = env.entry(name.into()).or_default();
        if !variable.is_empty() {
            variable.push(" ");
        }
        variable.push(value);
    }
    env
}

fn derive_run(plan: &CiPlan, ended: &FinishedJob, read: ReadResults, dir: &Path) -> CiRun {
    let tail = read.tail.unwrap_or_else(|| ended.stdout.tail_lines(TAIL_LINES));
    let tail = last_chars(&console::strip_ansi_codes(&tail), TAIL_CHARS);
    let by_exit = |code, report| {
        let command = &plan.display();
        derive_results(plan, &EndedRun { command, code, report, output: &tail, dir })
    };
    let results = match ended.end {
        JobEnd::Stopped => TestResults::of(CiOutcome::Stopped),
        JobEnd::TimedOut | JobEnd::Stalled => {
            TestResults::of(CiOutcome::TimedOut { ran_out_seconds: plan.timeout.as_secs() })
        }
        JobEnd::Exited(code) => by_exit(code, read.report.as_ref()),
        JobEnd::Signalled(signal) => by_exit(128 + signal, None),
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
