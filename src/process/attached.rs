//! Runs a program at the user's terminal, in a view: `autopack __attach FILE` starts it, with this terminal as input and
//! output.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, getpgrp, tcsetpgrp};

use super::descendants::{below, freeze_and_kill};
use super::job::{Job, SpawnError};
use super::own_executable::executable;
use super::protocol::{ProgramSpec, SupervisorMessage, line};
use super::started_program::StartedProgram;

/// The hidden subcommand.
pub const ATTACH: &str = "__attach";
/// Exit code of a program that cannot be started (as of shells).
const CANNOT_START: u8 = 127;

/// Runs a program at this terminal and returns its exit code, as a shell counts it. Limits, log and observer of the job
/// have no effect.
///
/// # Errors
///
/// If the program cannot be started.
pub async fn run_attached(job: Job<'_>) -> Result<i32, SpawnError> {
    let spec = ProgramSpec {
        argv: job.argv,
        cwd: job.cwd.into_os_string(),
        env: job.env.into_iter().collect(),
        view: job.view,
        // A limited network of namespaces has no proxy here: loopback alone.
        has_listeners: false,
        is_foreground: true,
    };
    let hold = job.hold;
    let attached = tokio::task::spawn_blocking(move || attach(&spec, hold.as_deref())).await;
    attached.map_err(io::Error::other).and_then(|ended| ended).map_err(SpawnError::Supervisor)
}

/// `hold` stays open in `__attach` until the program has ended, whatever happens to this process.
fn attach(spec: &ProgramSpec, hold: Option<&OwnedFd>) -> io::Result<i32> {
    // Without a name: the environment in it may have secrets.
    let mut file = tempfile::tempfile()?;
    file.write_all(&line(spec))?;
    file.rewind()?;
    let mut command = Command::new(executable());
    command.arg(ATTACH).arg(file.as_raw_fd().to_string());
    let mut inherited = vec![file.as_fd()];
    inherited.extend(hold.map(AsFd::as_fd));
    for fd in &inherited {
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
    }
    let child = command.spawn();
    for fd in &inherited {
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    }
    let status = child?.wait()?;
    Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()))
}

/// Runs `autopack __attach FD`; the open file has the program.
pub fn attach_main(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let spec = args.next().ok_or(io::ErrorKind::InvalidInput.into()).and_then(|fd| read_open(&fd));
    let ended = spec.and_then(|spec| start_and_wait(&spec));
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(CANNOT_START)
        }
    }
}

/// Reads the program from a file that this process has inherited.
fn read_open(fd: &OsStr) -> io::Result<ProgramSpec> {
    let number: i32 =
        fd.to_str().and_then(|fd| fd.parse().ok()).ok_or(io::ErrorKind::InvalidInput)?;
    // The path opens the file again, which is then closed like any other.
    let text = fs::read(format!("/proc/self/fd/{number}"))?;
    // SAFETY: the parent left this descriptor open for this process alone, and nothing else here uses it.
    drop(unsafe { OwnedFd::from_raw_fd(number) });
    Ok(serde_json::from_slice(&text)?)
}

fn start_and_wait(spec: &ProgramSpec) -> io::Result<u8> {
    // Processes that outlive the program become children of this one, and end with it.
    nix::sys::prctl::set_child_subreaper(true)?;
    // A program that is no shell would stop for good: nobody here can continue it. Shells set it anew for their jobs.
    // SAFETY: no handler is installed.
    unsafe { signal(Signal::SIGTSTP, SigHandler::SigIgn) }?;
    // The program is in the foreground: signals of the terminal are for the program.
    SigSet::from_iter([Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTTOU]).thread_block()?;
    let mut program =
        StartedProgram::start(spec, None).map_err(|refusal| explain(spec, refusal))?;
    let (mut code, mut signal) = wait_for(program.leader())?;
    if let Some(end) = program.end_in_view() {
        (code, signal) = (end.code, end.signal);
    }
    freeze_and_kill(|| below(Pid::this()));
    // Without a terminal, there is nothing to take back.
    let _ = tcsetpgrp(io::stdin(), getpgrp());
    let code = code.unwrap_or_else(|| 128 + signal.unwrap_or_default());
    Ok(u8::try_from(code).unwrap_or(u8::MAX))
}

fn wait_for(pid: Pid) -> io::Result<(Option<i32>, Option<i32>)> {
    loop {
        match waitpid(pid, None) {
            Ok(WaitStatus::Exited(_, code)) => return Ok((Some(code), None)),
            Ok(WaitStatus::Signaled(_, signal, _)) => return Ok((None, Some(signal as i32))),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn explain(spec: &ProgramSpec, refusal: SupervisorMessage) -> io::Error {
    let program =
        spec.argv.first().map(|program| program.display().to_string()).unwrap_or_default();
    io::Error::other(match refusal {
        SupervisorMessage::NotFound => format!("cannot run {program}: there is no such program"),
        SupervisorMessage::CannotStart { message, .. } => {
            format!("cannot run {program}: {message}")
        }
        SupervisorMessage::NoView { why } => format!("cannot build the view of {program}: {why}"),
        other => format!("cannot run {program}: {other:?}"),
    })
}
