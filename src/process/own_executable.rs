//! The executable of this program, which is also the fork server of supervisors.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::OnceLock;

static SUPERVISOR: OnceLock<PathBuf> = OnceLock::new();

/// Sets the executable that provides `__fork_server`. The default is the running executable, correct for
/// autopack; the library's tests run in another executable.
pub fn use_supervisor(executable: impl Into<PathBuf>) {
    // Two tests of the same binary set the same value.
    let _ = SUPERVISOR.set(executable.into());
}

pub(super) fn executable() -> OsString {
    if let Some(executable) = SUPERVISOR.get() {
        return executable.into();
    }
    // The running executable, even after a new build has replaced the file.
    "/proc/self/exe".into()
}
