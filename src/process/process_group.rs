//! Signals to a whole process group.

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Signals a process group whose leader is not yet reaped, so that the id cannot belong to another group.
pub(super) fn kill_group(leader: u32, signal: Signal) {
    if let Ok(leader) = i32::try_from(leader) {
        // The group may be gone already.
        let _ = killpg(Pid::from_raw(leader), signal);
    }
}
