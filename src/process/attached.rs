//! Runs a program at the user's terminal, in a view: `autopack __attach FILE` starts it, with this terminal as input and
//! output.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, getpgrp, tcsetpgrp};

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
    let ended = tokio::task::spawn_blocking(move || attach(&spec)).await;
    ended.map_err(io::Error::other).and_then(|ended| ended).map_err(SpawnError::Supervisor)
}

fn attach(spec: &ProgramSpec) -> io::Result<i32> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(&line(spec))?;
    let status = Command::new(executable()).arg(ATTACH).arg(file.path()).status()?;
    Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()))
}

/// Runs `autopack __attach FILE`; the file has the program.
pub fn attach_main(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let spec = args.next().ok_or(io::ErrorKind::InvalidInput.into()).and_then(fs::read);
    let spec = spec.and_then(|text| Ok(serde_json::from_slice::<ProgramSpec>(&text)?));
    let ended = spec.and_then(|spec| start_and_wait(&spec));
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(CANNOT_START)
        }
    }
}

fn start_and_wait(spec: &ProgramSpec) -> io::Result<u8> {
    // The program is in the foreground: signals of the terminal are for the program.
    SigSet::from_iter([Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTTOU]).thread_block()?;
    let mut program =
        StartedProgram::start(spec, None).map_err(|refusal| explain(spec, refusal))?;
    let (mut code, mut signal) = wait_for(program.leader())?;
    if let Some(end) = program.end_in_view() {
        (code, signal) = (end.code, end.signal);
    }
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
