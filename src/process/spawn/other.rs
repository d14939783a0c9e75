//! Starts programs by fork and exec through the standard library, for systems whose `posix_spawn` cannot
//! create a session.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::unistd::{Pid, setsid};

use super::{SpawnRequest, StandardFiles};

pub(super) fn start(
    start: &SpawnRequest<'_>,
    program: &Path,
    argv: &[OsString],
    standard: &StandardFiles<'_>,
) -> io::Result<Pid> {
    let own =
        |file: &dyn AsFd| -> io::Result<Stdio> { Ok(file.as_fd().try_clone_to_owned()?.into()) };
    let mut command = Command::new(program);
    if let Some((name, args)) = argv.split_first() {
        command.arg0(name).args(args);
    }
    command.env_clear().envs(start.env.iter().cloned()).current_dir(start.cwd);
    command
        .stdin(own(&standard.input)?)
        .stdout(own(&standard.output)?)
        .stderr(own(&standard.errors)?);
    let files: Vec<Arc<OwnedFd>> = start.files.clone();
    let in_child = move || {
        setsid()?;
        for file in &files {
            fcntl(file.as_fd(), FcntlArg::F_SETFD(FdFlag::empty()))?;
        }
        io::Result::Ok(())
    };
    // SAFETY: the closure runs between fork and exec, where only async-signal-safe functions may be called.
    // setsid and fcntl are; nothing is allocated, and an `Errno` becomes an `io::Error` without allocation.
    unsafe {
        command.pre_exec(in_child);
    }
    Ok(Pid::from_raw(command.spawn()?.id().cast_signed()))
}
