//! fork(2) with flags of clone(2), from a process with a single thread.

use nix::errno::Errno;
use nix::unistd::Pid;

/// Forks with these flags; returns `None` in the new process.
pub(super) fn fork_with(flags: libc::c_int) -> nix::Result<Option<Pid>> {
    let flags = libc::c_long::from(flags | libc::SIGCHLD);
    let none = 0 as libc::c_long;
    // SAFETY: like fork(2), without a new stack or shared memory. Supervisors and their fork server have a single
    // thread, so that no lock is held by another thread in the copy.
    let result = unsafe { libc::syscall(libc::SYS_clone, flags, none, none, none, none) };
    match Errno::result(result)? {
        0 => Ok(None),
        pid => Ok(Some(Pid::from_raw(pid as libc::pid_t))),
    }
}
