//! Wakes a supervisor: at the end of a child, or on an order from the drain.
//!
//! Signals for the drain or the terminal do not end a supervisor: only orders do.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};

/// Source of wake-ups: the end of a child, or data from the drain.
pub(super) struct WakeSignal(nix::sys::signalfd::SignalFd);

impl WakeSignal {
    /// Blocks signals instead of ignoring them: programs inherit ignored signals, and could then not be asked
    /// to end. For the same reason, signals ignored by autopack's parent are reset.
    pub fn take() -> io::Result<WakeSignal> {
        use Signal::*;
        let mut set = SigSet::empty();
        for each in [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGCHLD] {
            set.add(each);
            // SAFETY: no handler is installed or replaced; the default runs no code.
            unsafe { signal(each, SigHandler::SigDfl) }?;
        }
        set.thread_block()?;
        adopt_orphans()?;
        WakeSignal::new()
    }
}

fn adopt_orphans() -> io::Result<()> {
    nix::sys::prctl::set_child_subreaper(true)?;
    // Not `autopack`: tools that end a drain by name should leave this process to clean up.
    nix::sys::prctl::set_name(c"ap-supervise")?;
    Ok(())
}

impl WakeSignal {
    fn new() -> io::Result<Self> {
        use nix::sys::signalfd::{SfdFlags, SignalFd};
        let mut children = SigSet::empty();
        children.add(Signal::SIGCHLD);
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        Ok(Self(SignalFd::with_flags(&children, flags)?))
    }

    pub fn wait(&self, socket: Option<&UnixStream>, limit: Option<Duration>) -> io::Result<()> {
        let mut files = vec![PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        files.extend(socket.map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)));
        poll_once(&mut files, limit)?;
        // For any number of ended children, a single check finds them all.
        while let Ok(Some(_)) = self.0.read_signal() {}
        Ok(())
    }
}

fn poll_once(files: &mut [PollFd<'_>], limit: Option<Duration>) -> io::Result<()> {
    let limit = match limit {
        None => PollTimeout::NONE,
        Some(limit) => PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX),
    };
    match poll(files, limit) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
