//! Running an agent that is a program of its own, whichever: its stream is read as it comes, and ends it where a limit of
//! the attempt is reached.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::event::{AgentEvent, Outcome};
use super::fault::excuse;
use super::signal::Reader;
use super::slot_folders::{make_folders, tidy};
use super::start_check::{find_program, path_of};
use super::stream::{QUIET, Stream};
use crate::agent::adapters::own_command::{environment, explain};
use crate::agent::adapters::{Ask, Call, Kind, PromptVia};
use crate::agent::{AgentError, AgentReply, Task};
use crate::config::ProgramAgentSettings;
use crate::config::env::agent_quiet;
use crate::process::child_env::Env;
use crate::process::{self, Ended, How, Job, Stop, StopHandle, StopLevel, Stream as Channel};

/// A line that holds a whole file is still one line of JSON.
const LONGEST_LINE: usize = 16 * 1024 * 1024;
/// Of the file that an agent leaves.
const LONGEST_FILE: u64 = 64 * 1024 * 1024;
/// One argument of a program may be no longer (Linux: 128 KiB).
const LONGEST_ARGUMENT: usize = 120 * 1024;
const STDERR_LINES: usize = 10;

pub(crate) async fn run(
    kind: &'static Kind,
    settings: &ProgramAgentSettings,
    task: Task,
    stop: &Stop,
    on_event: &(dyn Fn(AgentEvent) + Sync),
) -> Result<AgentReply, AgentError> {
    let scratch = scratch()?;
    let session = task.session.as_deref().filter(|_| settings.resume);
    let file = scratch.path().join("account");
    let deliverables: Vec<String> =
        task.spec.deliverables().iter().map(|path| path.as_str().to_owned()).collect();
    let ask = Ask {
        settings,
        session,
        prompt_file: &task.prompt_file,
        deliverables: &deliverables,
        scratch: scratch.path(),
        file: &file,
    };
    let call = (kind.call)(&ask);
    let env = with_defaults(environment(&settings.env, &task), &call, settings, &task.env);
    let program = find(kind, settings, &task.worktree, &env)?;
    let mut reader = (kind.reader)(&task.worktree);
    if let Some(session) = session {
        reader.resume(session);
    }
    let run = Run::new(kind, reader, (&task, settings.model.as_deref()), on_event);
    let argv = argv(program.into(), &call, settings, &task);
    let job = job(kind, settings, &task, argv, env, &call);
    let made = make_folders(&task.worktree, &call.folders);
    on_event(AgentEvent::Started);
    let (ended, by_deadline) =
        run.watched(job, stop).await.map_err(|error| explain(error, &task))?;
    run.read_file(&file, &task);
    // Those that it left empty go again: CI would see what no commit holds.
    made.iter().rev().for_each(|folder| drop(std::fs::remove_dir(folder)));
    tidy(&task.worktree, call.leaves);
    Ok(run.reply(&ended, by_deadline, settings, &task))
}

/// The program that would be started.
pub(crate) fn find(
    kind: &Kind,
    settings: &ProgramAgentSettings,
    cwd: &Path,
    env: &Env,
) -> Result<PathBuf, AgentError> {
    let program = settings.program.as_deref().unwrap_or(kind.program);
    let path = path_of(&settings.env, env);
    let found = find_program(program.as_ref(), cwd, path).map_err(|error| match error {
        AgentError::Missing { program, searched, .. } => AgentError::Missing {
            program,
            searched,
            hint: format!(
                "install it (`{}`), or name its `program` in autopack.yaml",
                kind.install
            ),
        },
        other => other,
    })?;
    match (kind.refuses)(settings, env) {
        None => Ok(found),
        Some((why, hint)) => Err(AgentError::CannotStart {
            program: program.to_owned(),
            why: why.to_owned(),
            hint: hint.to_owned(),
        }),
    }
}

/// Agents keep accounts of what was said there, unredacted: they are read and gone.
fn scratch() -> Result<tempfile::TempDir, AgentError> {
    let made = tempfile::Builder::new().prefix("autopack-agent-").tempdir();
    made.map_err(|source| AgentError::Io {
        what: "make a folder in",
        path: std::env::temp_dir(),
        source,
    })
}

/// What a kind needs gives way to what the user says, here or in the environment.
fn with_defaults(
    mut env: Env,
    call: &Call,
    settings: &ProgramAgentSettings,
    inherited: &Env,
) -> Env {
    for (name, value) in &call.env {
        let theirs = settings.env.contains_key(*name) || inherited.contains_key(OsStr::new(name));
        if !theirs {
            env.insert(name.into(), value.into());
        }
    }
    env
}

fn argv(
    program: OsString,
    call: &Call,
    settings: &ProgramAgentSettings,
    task: &Task,
) -> Vec<OsString> {
    let mut argv = vec![program];
    argv.extend(call.args.iter().chain(&settings.extra_args).map(OsString::from));
    if let PromptVia::Flag(flag) = call.prompt {
        argv.extend([flag.into(), prompt_argument(task).into()]);
    }
    argv.extend(call.last.iter().map(OsString::from));
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
    kind: &Kind,
    settings: &ProgramAgentSettings,
    task: &Task,
    argv: Vec<OsString>,
    env: Env,
    call: &Call,
) -> Job<'static> {
    let (timeout, idle) = (settings.timeout_seconds, settings.idle_timeout_seconds);
    let mut job = task.job(argv, env, timeout, idle);
    job.stdin = (call.prompt == PromptVia::Stdin).then(|| task.prompt.clone().into_bytes());
    job.longest_line = LONGEST_LINE;
    job.idler = (!kind.own_time_is_life).then_some(kind.program);
    job
}

/// An attempt on its way.
struct Run<'a> {
    read: Mutex<(Box<dyn Reader>, Stream)>,
    /// When the program has to be ended, as its stream stands.
    deadline: watch::Sender<Option<Instant>>,
    on_event: &'a (dyn Fn(AgentEvent) + Sync),
}

impl<'a> Run<'a> {
    fn new(
        kind: &'static Kind,
        reader: Box<dyn Reader>,
        (task, model): (&Task, Option<&str>),
        on_event: &'a (dyn Fn(AgentEvent) + Sync),
    ) -> Self {
        let quiet = agent_quiet(&task.env).unwrap_or(QUIET);
        let mut stream = Stream::new(kind, task.budget, quiet);
        // The one that it was started with, until it names another: some never say, and their cost depends on it.
        stream.meter.model = model.map(str::to_owned);
        let read = Mutex::new((reader, stream));
        Self { read, deadline: watch::Sender::new(None), on_event }
    }

    /// Nothing that panics runs while it is held.
    fn read(&self) -> MutexGuard<'_, (Box<dyn Reader>, Stream)> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it ended, and whether a deadline of its stream did it.
    async fn watched(
        &self,
        job: Job<'_>,
        stop: &Stop,
    ) -> Result<(Ended, bool), process::SpawnError> {
        let (handle, part) = Stop::pair();
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
            never = handle.follow(stop) => match never {},
            () = overdue => unreachable!("it waits for ever"),
        };
        let by_deadline = *by_deadline.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((ended, by_deadline && stop.level() == StopLevel::Run))
    }

    /// Ends the program once its deadline has passed; the deadline may come, move and go before that.
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
                    // Its stream said something in the last moment: the new deadline is on its way.
                    let _ = deadline.changed().await;
                }
                // The sender is `self`, which outlives this.
                _ = deadline.changed() => {}
            }
        }
    }

    fn line(&self, channel: Channel, line: &str) {
        let (events, deadline) = {
            let (reader, stream) = &mut *self.read();
            let signals = match channel {
                Channel::Stdout => {
                    stream.heard();
                    reader.line(line)
                }
                Channel::Stderr => {
                    let signals = reader.error_line(line);
                    match stream.spoke_last() {
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
        ended: &Ended,
        by_deadline: bool,
        settings: &ProgramAgentSettings,
        task: &Task,
    ) -> AgentReply {
        let (_, stream) = &mut *self.read();
        let stderr = ended.stderr.tail_lines(STDERR_LINES);
        if let (How::TimedOut, Some(wall)) = (ended.how, task.budget.wall_time)
            && wall.as_secs() < settings.timeout_seconds
        {
            stream.out_of_time(wall);
        }
        let lingered = by_deadline && ended.how == How::Stopped && stream.lingered();
        if lingered {
            stream.note("the agent had finished but did not exit, and was ended".to_owned());
        }
        let printed = printed(ended, &stderr);
        let outcome = stream.outcome(ended.how, by_deadline, &printed);
        if let (How::Exited(code @ 1..), Outcome::Finished) = (ended.how, &outcome) {
            stream.note(format!("the agent exited with {code} after it had finished"));
        }
        AgentReply {
            ended: if lingered { How::Exited(0) } else { ended.how },
            outcome,
            usage: stream.usage(),
            session: stream.session.clone(),
            summary: stream.summary(),
            last_lines: stream.last_lines(&stderr),
            notes: stream.notes(),
            excuse: excuse(ended.how, &printed),
        }
    }
}

/// What it printed last beside its stream: to standard error, else in prose among the lines of the stream, as a program does
/// that ends before its stream has begun.
fn printed(ended: &Ended, stderr: &str) -> String {
    if !stderr.is_empty() || matches!(ended.how, How::Exited(0)) {
        return stderr.to_owned();
    }
    let tail = ended.stdout.tail_lines(STDERR_LINES);
    let prose = tail.lines().filter(|line| !line.trim_start().starts_with('{'));
    prose.collect::<Vec<_>>().join("\n")
}
