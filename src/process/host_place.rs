//! Where this process runs, as far as another one has to know to judge whether it lives: which machine, which PID
//! namespace, and when a process began.
//!
//! Elsewhere than on Linux nothing of it is known.

use std::fs;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

/// Names the installation of this machine; containers made from one image may share it.
pub fn machine() -> Option<String> {
    let files = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
    let text = files.iter().find_map(|file| fs::read_to_string(file).ok())?;
    Some(text.trim().to_owned()).filter(|id| !id.is_empty())
}

/// Names the namespace that our process ids are of, within one boot: `pid:[4026531836]`.
pub fn pid_namespace() -> Option<String> {
    Some(fs::read_link("/proc/self/ns/pid").ok()?.to_string_lossy().into_owned())
}

/// When a process of our PID namespace began, in the kernel's ticks since boot. `None` where there is none, or it only
/// waits to be reaped, or the system does not say.
pub fn process_start(pid: u32) -> Option<u64> {
    start_in(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// Whether that very process of our PID namespace is still there. `None`: there is one with its id, and nobody can tell
/// whether it is the same.
pub fn is_running(pid: u32, start: Option<u64>) -> Option<bool> {
    let signalled = i32::try_from(pid).map(|pid| kill(Pid::from_raw(pid), None));
    if matches!(signalled, Err(_) | Ok(Err(Errno::ESRCH))) {
        return Some(false);
    }
    match fs::read(format!("/proc/{pid}/stat")) {
        // One that waits to be reaped holds nothing any more.
        Ok(stat) => match (start_in(&stat), start) {
            (None, _) => Some(false),
            (Some(_), None) => None,
            (Some(found), Some(start)) => Some(found == start),
        },
        Err(_) => None,
    }
}

/// proc_pid_stat(5): the third field is the state, the 22nd the start.
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

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_runs_and_one_that_began_at_another_time_does_not() {
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
