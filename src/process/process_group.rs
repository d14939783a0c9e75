//! Signals to a whole process group.

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Kills a process group whose leader we have not waited for yet, so that its id is not anybody else's.
pub(super) fn kill_group(leader: u32, signal: Signal) {
    if let Ok(leader) = i32::try_from(leader) {
        // The group may be gone already.
        let _ = killpg(Pid::from_raw(leader), signal);
    }
}
