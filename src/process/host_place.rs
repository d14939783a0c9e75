//! Identity of this process for liveness checks by other processes: machine, PID namespace and start time of
//! a process.
//!
//! Outside of Linux nothing is known.

use std::fs;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use sha2::{Digest as _, Sha256};

use crate::phase::clone_identity::MachineName;
use crate::phase::words::hex;

/// Returns an identifier of this machine's installation; containers from the same image may share the value.
pub fn machine() -> Option<String> {
    let files = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
    let text = files.iter().find_map(|file| fs::read_to_string(file).ok())?;
    Some(text.trim().to_owned()).filter(|id| !id.is_empty())
}

/// Returns the host name.
pub fn host() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.unwrap_or_else(|| "unknown".to_owned())
}

/// Returns the name of this machine among those that share a database. The identifier of the installation is hashed: it
/// should not leave the machine (machine-id(5)).
pub fn machine_name() -> MachineName {
    let shown = |id: String| hex(&Sha256::digest(format!("autopack {id}").as_bytes())[..4]);
    MachineName { host: host(), installation: machine().map(shown) }
}

/// Returns the namespace of this process's ids, unique within a boot: `pid:[4026531836]`.
pub fn pid_namespace() -> Option<String> {
    Some(fs::read_link("/proc/self/ns/pid").ok()?.to_string_lossy().into_owned())
}

/// Returns the start of a process of this PID namespace, in kernel ticks since boot. `None` if there is no
/// such process, only a zombie, or no information from the system.
pub fn process_start(pid: u32) -> Option<u64> {
    start_in(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// Checks whether exactly this process of this PID namespace still runs. `None` if a process has the id, but
/// may be a different process.
pub fn is_running(pid: u32, start: Option<u64>) -> Option<bool> {
    let signalled = i32::try_from(pid).map(|pid| kill(Pid::from_raw(pid), None));
    if matches!(signalled, Err(_) | Ok(Err(Errno::ESRCH))) {
        return Some(false);
    }
    match fs::read(format!("/proc/{pid}/stat")) {
        // A zombie holds nothing any more.
        Ok(stat) => match (start_in(&stat), start) {
            (None, _) => Some(false),
            (Some(_), None) => None,
            (Some(found), Some(start)) => Some(found == start),
        },
        Err(_) => None,
    }
}

/// Parses proc_pid_stat(5): the third field is the state, the 22nd the start.
fn start_in(stat: &[u8]) -> Option<u64> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&stat[name_end + 1..]).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_read_behind_any_name_and_not_of_a_zombie() {
        let stat =
            |state: &str| format!("42 (a) S) {state} 1 7 8 9 0 -1 0 0 0 0 1 2 3 4 20 0 1 0 567 8");
        assert_eq!(start_in(stat("S").as_bytes()), Some(567));
        assert_eq!(start_in(stat("Z").as_bytes()), None);
        assert_eq!(start_in(b""), None);
    }

    #[test]
    fn a_process_with_another_start_time_does_not_run() {
        let pid = std::process::id();
        let start = process_start(pid);
        assert!(start.is_some() && pid_namespace().is_some());
        assert_eq!(is_running(pid, start), Some(true));
        assert_eq!(is_running(pid, Some(1)), Some(false));
        assert_eq!(is_running(pid, None), None);
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let (gone, start) = (child.id(), process_start(child.id()));
        child.wait().unwrap();
        assert_eq!(is_running(gone, start.or(Some(1))), Some(false));
        assert_eq!(is_running(u32::MAX, Some(1)), Some(false));
    }
}
