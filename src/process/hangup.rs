//! SIGHUP, the signal for a closed terminal: whether autopack should react. Nothing here listens.

use nix::sys::signal::Signal;

/// Checks whether autopack was started with SIGHUP ignored, as by `nohup`: autopack should then outlive the
/// terminal.
pub fn is_ignored() -> bool {
    let mut set = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action the call only writes the present action, for which all zeros are a valid
    // value.
    unsafe {
        libc::sigaction(Signal::SIGHUP as libc::c_int, std::ptr::null(), set.as_mut_ptr());
        set.assume_init().sa_sigaction == libc::SIG_IGN
    }
}
