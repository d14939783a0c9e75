//! Runs any agent program with an output stream: reads the stream during the run, and ends the program at a
//! limit of the attempt.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::agent_job::{environment, explain};
use super::event::{AgentEvent, Outcome};
use super::fault::provider_failure;
use super::signal::Reader;
use super::slot_directories::{make_directories, tidy};
use super::start_check::{find_program, search_path};
use super::stream::{QUIET, Stream};
use crate::agent::adapters::{Adapter, AgentCommand, ArgumentInput, PromptChannel, Refusal};
use crate::agent::{AgentError, AgentReply, Task};
use crate::config::ProgramAgentSettings;
use crate::config::env::agent_quiet;
use crate::process::child_env::Env;
use crate::process::{
    self, FinishedJob, Job, JobEnd, StopHandle, StopLevel, StopReceiver, Stream as Channel,
};

/// Maximum line in bytes: a line with a whole file is still a single line of JSON.
const LONGEST_LINE: usize = 16 * 1024 * 1024;
/// Maximum size of the agent's final file, in bytes.
const LONGEST_FILE: u64 = 64 * 1024 * 1024;
/// Maximum length of an argument in bytes (Linux: 128 KiB).
const LONGEST_ARGUMENT: usize = 120 * 1024;
const STDERR_LINES: usize = 10;

pub(crate) async fn run(
    adapter: &'static dyn Adapter,
    settings: &ProgramAgentSettings,
    task: Task,
    stop: &StopReceiver,
    on_event: &(dyn Fn(AgentEvent) + Sync),
) -> Result<AgentReply, AgentError> {
    let scratch = scratch(&task)?;
    let session = task.session.as_deref().filter(|_| settings.resume);
    let file = scratch.path().join("account");
    let deliverables: Vec<String> =
        task.spec.deliverables().iter().map(|path| path.as_str().to_owned()).collect();
    let input = ArgumentInput {
        settings,
        session,
        prompt_file: &task.prompt_file,
        deliverables: &deliverables,
        scratch: scratch.path(),
        file: &file,
        own_sandbox: &task.own_sandbox,
    };
    let command = adapter.command(&input);
    let env = with_defaults(environment(&settings.env, &task), &command, settings, &task.env);
    let program = find(adapter, settings, &task.worktree, &env)?;
    let mut reader = adapter.reader(&task.seen_worktree());
    if let Some(session) = session {
        reader.resume(session);
    }
    let run = Run::new(adapter, reader, (&task, settings.model.as_deref()), on_event);
    let argv = argv(program.into(), &command, settings, &task);
    let job = job(adapter, settings, &task, argv, env, &command);
    let made = make_directories(&task.worktree, &command.directories);
    on_event(AgentEvent::Started);
    let (ended, by_deadline) =
        run.watched(job, stop).await.map_err(|error| explain(error, &task))?;
    run.read_file(&file, &task);
    // Remove the directories left empty: CI would see files absent from the commit.
    made.iter().rev().for_each(|directory| drop(std::fs::remove_dir(directory)));
    tidy(&task.worktree, command.leaves);
    Ok(run.reply(&ended, by_deadline, settings, &task))
}

/// Finds the program to start, unless the agent refuses to work here.
pub(crate) fn find(
    adapter: &dyn Adapter,
    settings: &ProgramAgentSettings,
    cwd: &Path,
    env: &Env,
) -> Result<PathBuf, AgentError> {
    let found = locate(adapter, settings, cwd, env)?;
    match adapter.refuses(settings, env) {
        None => Ok(found),
        Some(Refusal { why, hint }) => Err(AgentError::CannotStart {
            program: settings.program.as_deref().unwrap_or(adapter.program()).to_owned(),
            why: why.to_owned(),
            hint: hint.to_owned(),
        }),
    }
}

/// Finds the program of an agent.
pub(crate) fn locate(
    adapter: &dyn Adapter,
    settings: &ProgramAgentSettings,
    cwd: &Path,
    env: &Env,
) -> Result<PathBuf, AgentError> {
    let program = settings.program.as_deref().unwrap_or(adapter.program());
    let path = search_path(&settings.env, env);
    // The present directory is the repository's: agents and phases change its files.
    let absolute = path.and_then(without_relative_directories);
    let path = if settings.program.is_none() { absolute.as_deref() } else { path };
    find_program(program.as_ref(), cwd, path).map_err(|error| match error {
        AgentError::Missing { program, searched, .. } => AgentError::Missing {
            program,
            searched,
            hint: format!(
                "install it (`{}`), or name its `program` in autopack.yaml",
                adapter.install()
            ),
        },
        other => other,
    })
}

/// Removes empty and relative directories from a search path; `None` if no other is left.
fn without_relative_directories(path: &OsStr) -> Option<OsString> {
    let absolute = std::env::split_paths(path).filter(|directory| directory.is_absolute());
    std::env::join_paths(absolute).ok().filter(|path| !path.is_empty())
}

/// Creates a directory for the agents' unredacted records, which are read and then removed.
fn scratch(task: &Task) -> Result<tempfile::TempDir, AgentError> {
    let in_view = task.view.as_ref().and_then(|view| view.scratch()).map(Path::to_owned);
    let path = in_view.unwrap_or_else(std::env::temp_dir);
    let made = tempfile::Builder::new().prefix("autopack-agent-").tempdir_in(&path);
    made.map_err(|source| AgentError::Io { what: "create a directory in", path, source })
}

/// Adds the adapter's variables below the user's settings and environment.
fn with_defaults(
    mut env: Env,
    command: &AgentCommand,
    settings: &ProgramAgentSettings,
    inherited: &Env,
) -> Env {
    for (name, value) in &command.env {
        let theirs = settings.env.contains_key(*name) || inherited.contains_key(OsStr::new(name));
        if !theirs {
            env.insert(name.into(), value.into());
        }
    }
    env
}

fn argv(
    program: OsString,
    command: &AgentCommand,
    settings: &ProgramAgentSettings,
    task: &Task,
) -> Vec<OsString> {
    let mut argv = vec![program];
    argv.extend(command.args.iter().chain(&settings.extra_args).map(OsString::from));
    if let PromptChannel::Flag(flag) = command.prompt {
        argv.extend([flag.into(), prompt_argument(task).into()]);
    }
    argv.extend(command.last.iter().map(OsString::from));
    argv
}

fn prompt_argument(task: &Task) -> String {
    match task.prompt.len() <= LONGEST_ARGUMENT && !task.prompt.contains('\0') {
        true => task.prompt.clone(),
        false => {
            format!("Read your whole task in the file {} and do it.", task.prompt_file.display())
        }
    }
}

fn job(
    adapter: &dyn Adapter,
    settings: &ProgramAgentSettings,
    task: &Task,
    argv: Vec<OsString>,
    env: Env,
    command: &AgentCommand,
) -> Job<'static> {
    let (timeout, idle) = (settings.timeout_seconds, settings.idle_timeout_seconds);
    let mut job = task.job(argv, env, timeout, idle);
    job.stdin = (command.prompt == PromptChannel::Stdin).then(|| task.prompt.clone().into_bytes());
    job.longest_line = LONGEST_LINE;
    job.idler = adapter.is_busy_while_waiting().then_some(adapter.program());
    job
}

/// A running attempt.
struct Run<'a> {
    read: Mutex<(Box<dyn Reader>, Stream)>,
    /// Deadline of the program, according to the stream.
    deadline: watch::Sender<Option<Instant>>,
    on_event: &'a (dyn Fn(AgentEvent) + Sync),
}

impl<'a> Run<'a> {
    fn new(
        adapter: &'static dyn Adapter,
        reader: Box<dyn Reader>,
        (task, model): (&Task, Option<&str>),
        on_event: &'a (dyn Fn(AgentEvent) + Sync),
    ) -> Self {
        let quiet = agent_quiet(&task.env).unwrap_or(QUIET);
        let mut stream = Stream::new(adapter, task.budget, quiet);
        // The configured model until the stream names another: some streams never do, and the cost depends on
        // the model.
        stream.meter.model = model.map(str::to_owned);
        let read = Mutex::new((reader, stream));
        Self { read, deadline: watch::Sender::new(None), on_event }
    }

    /// No code that panics runs while the lock is held.
    fn read(&self) -> MutexGuard<'_, (Box<dyn Reader>, Stream)> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how the program ended, and whether a deadline of the stream was the cause.
    async fn watched(
        &self,
        job: Job<'_>,
        stop: &StopReceiver,
    ) -> Result<(FinishedJob, bool), process::SpawnError> {
        let (handle, part) = StopReceiver::pair();
        let on_line = |channel, line: &str| self.line(channel, line);
        let job = Job { on_line: Some(&on_line), ..job };
        let by_deadline = Mutex::new(false);
        let overdue = async {
            self.overdue(&handle).await;
            *by_deadline.lock().unwrap_or_else(PoisonError::into_inner) = true;
            std::future::pending::<()>().await;
        };
        let ended = tokio::select! {
            biased;
            ended = process::run(job, &part) => ended?,
            never = handle.forward(stop) => match never {},
            () = overdue => unreachable!("the future never completes"),
        };
        let by_deadline = *by_deadline.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((ended, by_deadline && stop.level() == StopLevel::Run))
    }

    /// Ends the program after the deadline; until then, the deadline may be set, moved or removed.
    async fn overdue(&self, handle: &StopHandle) {
        let mut deadline = self.deadline.subscribe();
        loop {
            let at = *deadline.borrow_and_update();
            let passed = async {
                match at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = passed => {
                    if self.read().1.dismiss() {
                        return handle.raise(StopLevel::Graceful);
                    }
                    // The stream had a last-moment event: the new deadline is about to arrive.
                    let _ = deadline.changed().await;
                }
                // The sender is `self`, which outlives this future.
                _ = deadline.changed() => {}
            }
        }
    }

    fn line(&self, channel: Channel, line: &str) {
        let (events, deadline) = {
            let (reader, stream) = &mut *self.read();
            let signals = match channel {
                Channel::Stdout => {
                    stream.note_activity();
                    reader.line(line)
                }
                Channel::Stderr => {
                    let signals = reader.error_line(line);
                    match stream.has_final_message() {
                        true => stream.explained(signals),
                        false => signals,
                    }
                }
            };
            let events: Vec<AgentEvent> =
                signals.into_iter().filter_map(|signal| stream.take(signal)).collect();
            (events, stream.deadline())
        };
        events.into_iter().for_each(self.on_event);
        self.deadline.send_if_modified(|at| std::mem::replace(at, deadline) != deadline);
    }

    fn read_file(&self, file: &Path, task: &Task) {
        let mut bytes = Vec::new();
        let read = std::fs::File::open(file)
            .and_then(|open| open.take(LONGEST_FILE).read_to_end(&mut bytes));
        if read.is_err() {
            return;
        }
        let text = String::from_utf8_lossy(&bytes);
        let (reader, stream) = &mut *self.read();
        for signal in reader.file(&task.redact.redact(&text)) {
            if let Some(event) = stream.take(signal) {
                (self.on_event)(event);
            }
        }
    }

    fn reply(
        &self,
        ended: &FinishedJob,
        by_deadline: bool,
        settings: &ProgramAgentSettings,
        task: &Task,
    ) -> AgentReply {
        let (_, stream) = &mut *self.read();
        let stderr = ended.stderr.tail_lines(STDERR_LINES);
        if let (JobEnd::TimedOut, Some(wall)) = (ended.end, task.budget.wall_time)
            && wall.as_secs() < settings.timeout_seconds
        {
            stream.out_of_time(wall);
        }
        let lingered = by_deadline && ended.end == JobEnd::Stopped && stream.lingered();
        if lingered {
            stream.note("the agent finished but did not exit, so autopack ended it".to_owned());
        }
        let printed = printed(ended, &stderr);
        let outcome = stream.outcome(ended.end, by_deadline, &printed);
        if let (JobEnd::Exited(code @ 1..), Outcome::Finished) = (ended.end, &outcome) {
            stream.note(format!("the agent exited with {code} after finishing"));
        }
        AgentReply {
            ended: if lingered { JobEnd::Exited(0) } else { ended.end },
            outcome,
            usage: stream.usage(),
            session: stream.session.clone(),
            summary: stream.summary(),
            last_lines: stream.last_lines(&stderr),
            notes: stream.notes(),
            provider_failure: provider_failure(ended.end, &printed),
        }
    }
}

/// Returns the last output beside the stream: standard error, otherwise prose among the stream's lines, as
/// from a program that ends before the stream begins.
fn printed(ended: &FinishedJob, stderr: &str) -> String {
    if !stderr.is_empty() || matches!(ended.end, JobEnd::Exited(0)) {
        return stderr.to_owned();
    }
    let tail = ended.stdout.tail_lines(STDERR_LINES);
    let prose = tail.lines().filter(|line| !line.trim_start().starts_with('{'));
    prose.collect::<Vec<_>>().join("\n")
}
