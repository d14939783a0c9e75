//! The processes beneath a supervisor: asking them to end, killing them, waiting for them.
//!
//! On Linux the supervisor is a subreaper: whatever a process of the tree leaves behind becomes its
//! child, so that "no child left" means "nothing left". Elsewhere the leader's group is all that can
//! be reached.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpgid};

use super::descendants;

/// Every so many ends of a child, everybody is looked at again.
const EVERYBODY: u32 = 64;

pub(super) struct Tree {
    leader: Pid,
    killed: BTreeSet<i32>,
    /// Where the look at the leader had to wait for it.
    status: Option<ExitStatus>,
}

impl Tree {
    pub fn new(leader: Pid) -> Self {
        Self { leader, killed: BTreeSet::new(), status: None }
    }

    /// Asks everybody, each once: a second SIGTERM means "at once" to some programs. Stopped ones
    /// are woken, or they would never hear it.
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

    /// After the leader's end: everybody else. A look at every process there is costs milliseconds; where the leader is
    /// our one child it left nobody, since whom it leaves becomes ours.
    pub fn kill_what_is_left(&mut self) {
        if descendants::own_children() != [self.leader.as_raw()] {
            self.kill();
        }
        let _ = killpg(self.leader, Signal::SIGKILL);
    }

    /// The leader must not have been waited for yet: from then on its group's id may be anybody's.
    pub fn kill_with_group(&mut self) {
        self.kill();
        let _ = killpg(self.leader, Signal::SIGKILL);
    }

    pub fn kill(&mut self) {
        self.killed.extend(descendants::freeze_and_kill(|| descendants::below(Pid::this())));
    }

    /// Kills until nobody is left; `wait` sleeps until a child ends, or a little while.
    ///
    /// One that forks and exits for ever is always elsewhere by the time that a look at everybody is
    /// through. But each end of it makes its child ours, and tells us so: we are there at once.
    pub fn kill_the_rest(&mut self, wait: impl Fn() -> io::Result<()>) -> io::Result<()> {
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

    /// How many were killed besides the leader.
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

    /// Waits for whoever has ended, without blocking. True where nobody is left.
    pub fn reap(&self) -> bool {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => return false,
                Err(Errno::ECHILD) => return true,
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Whether the leader has ended. It is left waitable, so that its group's id stays its own.
    #[cfg(target_os = "linux")]
    pub fn leader_ended(&mut self) -> bool {
        use nix::sys::wait::{Id, waitid};
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        !matches!(waitid(Id::Pid(self.leader), look), Ok(WaitStatus::StillAlive))
    }

    /// Waits for orphans that became ours and have ended, and leaves the leader alone.
    #[cfg(target_os = "linux")]
    pub fn reap_orphans(&self) {
        use nix::sys::wait::{Id, waitid};
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        while let Ok(status) = waitid(Id::All, look) {
            match status.pid() {
                Some(pid) if pid != self.leader => {
                    let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
                }
                _ => return,
            }
        }
    }
}

/// The status of a process that has ended, which from then on is nobody's child.
fn wait(pid: Pid, flags: Option<WaitPidFlag>) -> Option<ExitStatus> {
    match waitpid(pid, flags) {
        Ok(WaitStatus::Exited(_, code)) => Some(ExitStatus::from_raw(code << 8)),
        Ok(WaitStatus::Signaled(_, signal, _)) => Some(ExitStatus::from_raw(signal as i32)),
        // Nobody else waits for it; should it happen all the same, its end is all that is known.
        Err(Errno::ECHILD) => Some(ExitStatus::from_raw(Signal::SIGKILL as i32)),
        Ok(_) | Err(_) => None,
    }
}

/// Without waitid's WNOWAIT, to look is to wait; the group is killed an instant later.
#[cfg(not(target_os = "linux"))]
impl Tree {
    pub fn leader_ended(&mut self) -> bool {
        self.status = wait(self.leader, Some(WaitPidFlag::WNOHANG));
        self.status.is_some()
    }

    pub fn reap_orphans(&self) {}
}
