//! SIGHUP, which says that the terminal is gone: whether it is ours to hear. Nothing here listens.

use nix::sys::signal::Signal;

/// Whether we were started with SIGHUP ignored, as `nohup` does: whoever asks for that wants us to outlive the terminal.
pub fn is_ignored() -> bool {
    let mut set = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action the call only writes the present one, of which all zeros are a valid value.
    unsafe {
        libc::sigaction(Signal::SIGHUP as libc::c_int, std::ptr::null(), set.as_mut_ptr());
        set.assume_init().sa_sigaction == libc::SIG_IGN
    }
}
