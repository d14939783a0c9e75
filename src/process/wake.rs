//! What a supervisor sleeps on: the end of a child, or a word from the drain.
//!
//! Signals that are meant for the drain or for the terminal do not end a supervisor: only orders do.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};

/// Wakes up when a child has ended or the drain has spoken.
pub(super) struct Wake(#[cfg(target_os = "linux")] nix::sys::signalfd::SignalFd);

impl Wake {
    /// Blocked rather than ignored: a program that is started inherits what is ignored, and could
    /// then not be asked to end. What our own parent ignored is put right for the same reason.
    pub fn take() -> io::Result<Wake> {
        use Signal::*;
        let mut set = SigSet::empty();
        for each in [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGCHLD] {
            set.add(each);
            // SAFETY: no handler of ours is installed or replaced; the default runs no code.
            unsafe { signal(each, SigHandler::SigDfl) }?;
        }
        set.thread_block()?;
        adopt_orphans()?;
        Wake::new()
    }
}

#[cfg(target_os = "linux")]
fn adopt_orphans() -> io::Result<()> {
    nix::sys::prctl::set_child_subreaper(true)?;
    // Not `autopack`: what ends a drain by its name should leave this process to clean up.
    nix::sys::prctl::set_name(c"ap-supervise")?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn adopt_orphans() -> io::Result<()> {
    Ok(())
}

#[cfg(target_os = "linux")]
impl Wake {
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
        // However many ended: one look at the children finds them all.
        while let Ok(Some(_)) = self.0.read_signal() {}
        Ok(())
    }
}

/// Without a signalfd, the children are looked at ten times a second.
#[cfg(not(target_os = "linux"))]
impl Wake {
    fn new() -> io::Result<Self> {
        Ok(Self())
    }

    pub fn wait(&self, socket: Option<&UnixStream>, limit: Option<Duration>) -> io::Result<()> {
        let look = Duration::from_millis(100);
        let mut files: Vec<_> =
            socket.iter().map(|s| PollFd::new(s.as_fd(), PollFlags::POLLIN)).collect();
        poll_once(&mut files, Some(limit.map_or(look, |limit| limit.min(look))))
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
