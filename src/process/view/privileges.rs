//! What a program of a view gives up before it starts.

use std::io;

use nix::errno::Errno;
use nix::unistd::geteuid;

/// Capabilities that root keeps in a view: those for files, ids and processes of the view. All others are dropped,
/// above all CAP_SYS_ADMIN, which would undo mounts. Numbers of linux/capability.h.
const KEPT: [i32; 17] = [
    0,  // CAP_CHOWN
    1,  // CAP_DAC_OVERRIDE
    2,  // CAP_DAC_READ_SEARCH
    3,  // CAP_FOWNER
    4,  // CAP_FSETID
    5,  // CAP_KILL
    6,  // CAP_SETGID
    7,  // CAP_SETUID
    8,  // CAP_SETPCAP
    10, // CAP_NET_BIND_SERVICE
    14, // CAP_IPC_LOCK
    15, // CAP_IPC_OWNER
    18, // CAP_SYS_CHROOT
    19, // CAP_SYS_PTRACE
    23, // CAP_SYS_NICE
    24, // CAP_SYS_RESOURCE
    31, // CAP_SETFCAP
];

const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;

/// Drops capabilities from the bounding set: the next exec gives root what is left. Another user's program has none.
/// Async-signal-safe.
pub(super) fn drop_dangerous_capabilities() -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    for capability in 0..64 {
        if KEPT.contains(&capability) {
            continue;
        }
        // SAFETY: a call with numbers only.
        let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        match Errno::result(result) {
            Ok(_) => {}
            // The kernel knows no capability of this number, and none above.
            Err(Errno::EINVAL) => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Gives the program an empty session keyring instead of the user's. Kernels without keyrings have nothing to hide.
pub(super) fn leave_session_keyring() {
    let name: *const libc::c_char = std::ptr::null();
    // SAFETY: without a name, the kernel creates an unnamed keyring.
    unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name) };
}
