//! Processes under a supervisor: asks them to end, kills them, waits for them.
//!
//! On Linux the supervisor is a subreaper: processes left behind by a process of the tree become the
//! supervisor's children, so "no child left" means "no process left". On other systems, only the leader's
//! group can be reached.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpgid};

use super::descendants;

/// Number of ended children between two scans of all processes.
const EVERYBODY: u32 = 64;

pub(super) struct Tree {
    leader: Pid,
    killed: BTreeSet<i32>,
    /// Set if checking the leader had to reap the leader.
    status: Option<ExitStatus>,
}

impl Tree {
    pub fn new(leader: Pid) -> Self {
        Self { leader, killed: BTreeSet::new(), status: None }
    }

    /// Asks each process once: some programs treat a second SIGTERM as "at once". Stopped processes are
    /// continued, since they would never receive the signal.
    pub fn ask_to_end(&self) {
        let _ = killpg(self.leader, Signal::SIGTERM);
        let below = descendants::below(Pid::this());
        for pid in below.pids().iter().map(|pid| Pid::from_raw(*pid)) {
            if getpgid(Some(pid)) != Ok(self.leader) {
                let _ = kill(pid, Signal::SIGTERM);
            }
        }
        let _ = killpg(self.leader, Signal::SIGCONT);
        below.signal(Signal::SIGCONT);
    }

    /// Kills all other processes after the leader's end. Scanning all processes takes milliseconds; if the
    /// leader is the only child, no other process is left, since orphans become children of the supervisor.
    pub fn kill_remaining(&mut self) {
        if descendants::own_children() != [self.leader.as_raw()] {
            self.kill();
        }
        let _ = killpg(self.leader, Signal::SIGKILL);
    }

    /// The leader must not have been reaped yet: afterwards, another group may have the same id.
    pub fn kill_with_group(&mut self) {
        self.kill();
        let _ = killpg(self.leader, Signal::SIGKILL);
    }

    pub fn kill(&mut self) {
        self.killed.extend(descendants::freeze_and_kill(|| descendants::below(Pid::this())));
    }

    /// Kills until no process is left; `wait` sleeps until a child ends, or briefly.
    ///
    /// A process that keeps forking and exiting has always moved on after a scan. But after each exit, the
    /// child becomes ours with a notification, so the supervisor can kill at once.
    pub fn kill_until_empty(&mut self, wait: impl Fn() -> io::Result<()>) -> io::Result<()> {
        for round in 0u32.. {
            if self.reap() {
                break;
            }
            if round.is_multiple_of(EVERYBODY) {
                self.kill();
            }
            for child in descendants::own_children() {
                let _ = kill(Pid::from_raw(child), Signal::SIGKILL);
                self.killed.insert(child);
            }
            wait()?;
        }
        Ok(())
    }

    /// Returns the number of killed processes besides the leader.
    pub fn swept(&self) -> u32 {
        let others = self.killed.iter().filter(|pid| **pid != self.leader.as_raw()).count();
        u32::try_from(others).unwrap_or(u32::MAX)
    }

    pub fn wait_for_leader(&self) -> ExitStatus {
        let mut status = self.status;
        loop {
            match status {
                Some(status) => return status,
                None => status = wait(self.leader, None),
            }
        }
    }

    /// Reaps ended processes without blocking. Returns true if no child is left.
    pub fn reap(&self) -> bool {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => return false,
                Err(Errno::ECHILD) => return true,
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Checks whether the leader has ended, without reaping, so that the group keeps the id.
    pub fn has_leader_ended(&mut self) -> bool {
        use nix::sys::wait::{Id, waitid};
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        !matches!(waitid(Id::Pid(self.leader), flags), Ok(WaitStatus::StillAlive))
    }

    /// Reaps orphans that became children and have ended; leaves the leader alone.
    pub fn reap_orphans(&self) {
        use nix::sys::wait::{Id, waitid};
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        while let Ok(status) = waitid(Id::All, flags) {
            match status.pid() {
                Some(pid) if pid != self.leader => {
                    let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
                }
                _ => return,
            }
        }
    }
}

/// Reaps a process and returns the status.
fn wait(pid: Pid, flags: Option<WaitPidFlag>) -> Option<ExitStatus> {
    match waitpid(pid, flags) {
        Ok(WaitStatus::Exited(_, code)) => Some(ExitStatus::from_raw(code << 8)),
        Ok(WaitStatus::Signaled(_, signal, _)) => Some(ExitStatus::from_raw(signal as i32)),
        // No other code reaps this process; if reaped all the same, only the end is known.
        Err(Errno::ECHILD) => Some(ExitStatus::from_raw(Signal::SIGKILL as i32)),
        Ok(_) | Err(_) => None,
    }
}
