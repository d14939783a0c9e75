//! Starts the program of a supervisor, or of the first process of a view.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::SigSet;
use nix::unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, getpgrp, tcsetpgrp};

use super::protocol::{ProgramSpec, SupervisorMessage};
use super::which::{self, ProgramLookup};

/// Starts a program as the leader of a process group. `in_child` runs in the new process before the program.
///
/// # Errors
///
/// The report for the drain.
pub(super) fn start(
    spec: &ProgramSpec,
    in_child: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) -> Result<Pid, SupervisorMessage> {
    let Some((program, args)) = spec.argv.split_first() else {
        return Err(SupervisorMessage::CannotStart {
            errno: None,
            message: "the command is empty".into(),
        });
    };
    let mut command = Command::new(program);
    command.args(args).current_dir(&spec.cwd).env_clear().envs(spec.env.iter().cloned());
    command.process_group(0);
    prepare(&mut command, spec.is_foreground, in_child);
    let child = command.spawn().map_err(|error| refusal(spec, program, &error))?;
    Ok(Pid::from_raw(child.id().cast_signed()))
}

/// Explains "No such file": the program, the working directory, or the interpreter of a script may be
/// missing.
fn refusal(spec: &ProgramSpec, program: &OsString, error: &io::Error) -> SupervisorMessage {
    let errno = error.raw_os_error();
    let cannot = |message: String| SupervisorMessage::CannotStart { errno, message };
    if !std::path::Path::new(&spec.cwd).is_dir() {
        return cannot(format!("the working directory {} does not exist", spec.cwd.display()));
    }
    if error.kind() != io::ErrorKind::NotFound {
        return cannot(error.to_string());
    }
    let path = spec.env.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_os_str());
    match which::find(program, spec.cwd.as_ref(), path) {
        ProgramLookup::Program(file) => cannot(format!(
            "{} exists, but the interpreter named in its first line does not",
            file.display()
        )),
        ProgramLookup::NotExecutable(file) => {
            cannot(format!("{} is not executable", file.display()))
        }
        ProgramLookup::Nowhere(_) => SupervisorMessage::NotFound,
    }
}

/// Prepares the new process from inside.
fn prepare(
    command: &mut Command,
    is_foreground: bool,
    mut in_child: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) {
    let in_child = move || {
        if is_foreground {
            // Without a terminal, there is no foreground. SIGTTOU is blocked.
            let _ = tcsetpgrp(io::stdin(), getpgrp());
        }
        // Signals blocked by the supervisor must reach the program.
        SigSet::empty().thread_set_mask()?;
        die_with_parent()?;
        in_child()
    };
    // SAFETY: runs between fork and exec, in a copy of a process with a single thread: no lock can be held by another.
    unsafe {
        command.pre_exec(in_child);
    }
}

/// Last resort if this process is killed too: the leader, at least, dies with the supervisor. This process
/// has a single thread, so the death of the forking thread is the death of the process.
pub(super) fn die_with_parent() -> io::Result<()> {
    Ok(nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?)
}

/// The program has copies now. With our files open, the output would not end with the program.
pub(super) fn release_standard_files() -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(())
}
