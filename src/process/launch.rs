//! Starts a supervisor and has the supervisor start the program.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::pipe::Receiver;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::descendants::kill_session;
use super::fork_server::start_supervisor;
use super::job::{Job, SpawnError};
use super::listener_channel::ListenerChannel;
use super::protocol::{Order, ProgramSpec, SupervisorMessage, line};
use super::spawn::{Pipes, SpawnedProgram};

/// Starting a program takes milliseconds; this limit allows for an overloaded machine.
const START: Duration = Duration::from_secs(60);

/// A program under a supervisor. Dropping this value makes the supervisor end the tree.
pub(super) struct Supervised {
    pub stdout: Receiver,
    pub stderr: Receiver,
    supervisor: SpawnedProgram,
    /// The program's own process id.
    pub leader: i32,
    pub reports: Reports,
    orders: OwnedWriteHalf,
    feeding: Option<JoinHandle<()>>,
    listeners: Option<ListenerChannel>,
}

impl Supervised {
    pub async fn start(job: &mut Job<'_>) -> Result<Self, SpawnError> {
        let mut supervised = Self::spawn(job).map_err(SpawnError::Supervisor)?;
        match timeout(START, supervised.hand_over(job)).await {
            Ok(Ok(())) => Ok(supervised),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(SpawnError::Supervisor(io::ErrorKind::TimedOut.into())),
        }
    }

    fn spawn(job: &mut Job<'_>) -> io::Result<Self> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let (reports, orders) = UnixStream::from_std(ours)?.into_split();
        let listeners = ListenerChannel::create(job)?;
        let mut supervisor = start(job, theirs.into(), listeners.as_ref())?;
        let streams = (supervisor.stdout.take(), supervisor.stderr.take(), supervisor.id());
        let (Some(stdout), Some(stderr), Some(pid)) = streams else {
            return Err(io::Error::other("it was started without pipes"));
        };
        let feeding = supervisor.stdin.take().zip(job.stdin.take()).map(|(mut pipe, bytes)| {
            // A program may ignore the rest of the input.
            tokio::spawn(async move {
                let _ = pipe.write_all(&bytes).await;
            })
        });
        let lines = BufReader::new(reports).lines();
        let reports = Reports { lines, pid: pid.cast_signed() };
        Ok(Self { stdout, stderr, supervisor, leader: 0, reports, orders, feeding, listeners })
    }

    async fn hand_over(&mut self, job: &Job<'_>) -> Result<(), SpawnError> {
        let spec = ProgramSpec {
            argv: job.argv.iter().map(without_nul).collect(),
            cwd: job.cwd.clone().into_os_string(),
            env: job.env.iter().map(|(name, value)| (name.clone(), without_nul(value))).collect(),
            view: job.view.clone(),
            has_listeners: self.listeners.is_some(),
            is_foreground: false,
        };
        // If the supervisor is dead already, the missing answer is a better message than a broken pipe.
        let _ = self.orders.write_all(&line(&spec)).await;
        let program = job.argv.first().cloned().unwrap_or_default();
        match self.reports.next().await? {
            SupervisorMessage::Started { pid } => {
                self.leader = pid;
                self.listeners.take().map_or(Ok(()), |listeners| listeners.hand_on(job))
            }
            SupervisorMessage::NotFound => Err(SpawnError::NotFound { program }),
            SupervisorMessage::CannotStart { errno, message } => {
                let kind = errno
                    .map_or(io::ErrorKind::Other, |no| io::Error::from_raw_os_error(no).kind());
                Err(SpawnError::CannotStart { program, source: io::Error::new(kind, message) })
            }
            SupervisorMessage::NoView { why } => Err(SpawnError::View { program, why }),
            SupervisorMessage::Leader(_) | SupervisorMessage::Done { .. } => {
                Err(SpawnError::Supervisor(io::ErrorKind::InvalidData.into()))
            }
        }
    }

    /// Returns the process id of the supervisor, the leader of the program's session.
    pub fn pid(&self) -> i32 {
        self.reports.pid
    }

    pub async fn order(&mut self, order: Order) {
        // The end of the supervisor shows in missing reports.
        let _ = self.orders.write_all(&line(&order)).await;
    }

    /// Waits for the supervisor's own end after the last report; this releases the slot.
    pub async fn wait_for_end(mut self) -> io::Result<()> {
        self.supervisor.wait().await.map(|_| ())
    }
}

/// Reports of a supervisor.
pub(super) struct Reports {
    lines: Lines<BufReader<OwnedReadHalf>>,
    pid: i32,
}

impl Reports {
    /// Returns the next report. Fails when the supervisor is gone, after killing the remaining processes.
    /// Cancel-safe.
    pub async fn next(&mut self) -> Result<SupervisorMessage, SpawnError> {
        let lost = match self.lines.next_line().await {
            Ok(Some(line)) => match serde_json::from_str(&line) {
                Ok(report) => return Ok(report),
                Err(error) => io::Error::other(format!("it sent {line:?}: {error}")),
            },
            Ok(None) => io::Error::other("it ended before the program did"),
            Err(error) => error,
        };
        kill_session(self.pid);
        Err(SpawnError::SupervisorLost(lost))
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        if let Some(feeding) = &self.feeding {
            feeding.abort();
        }
    }
}

fn start(
    job: &mut Job<'_>,
    control: OwnedFd,
    listeners: Option<&ListenerChannel>,
) -> io::Result<SpawnedProgram> {
    let mut files = vec![Arc::new(control)];
    files.extend(job.hold.clone());
    files.extend(std::mem::take(&mut job.lent).into_iter().map(Arc::new));
    files.extend(listeners.map(|listeners| listeners.theirs.clone()));
    let pipes = Pipes::new(job.stdin.is_some())?;
    let standard = pipes.theirs().into_iter().map(|file| file.as_raw_fd());
    let files: Vec<_> = standard.chain(files.iter().map(|file| file.as_raw_fd())).collect();
    let pid = start_supervisor(&files)?;
    Ok(pipes.into_program(pid))
}

/// Replaces NUL by U+FFFD: no program accepts a NUL, and foreign texts may contain NUL (a phase's id, a
/// prompt as an argument).
fn without_nul(text: &OsString) -> OsString {
    let parts = text.as_bytes().split(|byte| *byte == 0).collect::<Vec<_>>();
    OsString::from_vec(parts.join("\u{fffd}".as_bytes()))
}
