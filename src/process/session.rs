//! The two things that only the new process itself can do, between fork and exec.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, setsid};
use tokio::process::Command;

/// Gives the program a session of its own, and these files besides the standard three. A Ctrl-C in our
/// terminal does not reach it, it cannot ask questions there, and its process group bears its pid.
pub(super) fn inheriting(command: &mut Command, files: Vec<Arc<OwnedFd>>) {
    let in_child = move || {
        setsid()?;
        for file in &files {
            fcntl(file.as_fd(), FcntlArg::F_SETFD(FdFlag::empty()))?;
        }
        io::Result::Ok(())
    };
    // SAFETY: the closure runs between fork and exec, where only async-signal-safe functions may be
    // called. setsid and fcntl are; nothing is allocated, and an `Errno` becomes an `io::Error`
    // without allocating either.
    unsafe {
        command.pre_exec(in_child);
    }
}

/// Kills a process group whose leader we have not waited for yet, so that its id is not anybody else's.
pub(super) fn kill_group(leader: u32, signal: Signal) {
    if let Ok(leader) = i32::try_from(leader) {
        // The group may be gone already.
        let _ = killpg(Pid::from_raw(leader), signal);
    }
}
