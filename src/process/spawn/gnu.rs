//! `posix_spawn(3)` of the GNU C library, which shares our memory until the program begins.
//!
//! The standard library forks if anything must happen in the new process before exec, such as a new session
//! or an inherited lock. The kernel then copies the page tables of all our memory, only to discard them: a
//! millisecond or more for each git. Here both are options of the call.

use std::ffi::{CString, OsStr, OsString, c_char, c_int};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use nix::unistd::Pid;

use super::{SpawnRequest, StandardFiles};

unsafe extern "C" {
    /// Since glibc 2.29.
    fn posix_spawn_file_actions_addchdir_np(
        actions: *mut libc::posix_spawn_file_actions_t,
        path: *const c_char,
    ) -> c_int;
}

/// Since glibc 2.26.
const SETSID: c_int = 0x80;

pub(super) fn start(
    start: &SpawnRequest<'_>,
    program: &Path,
    argv: &[OsString],
    standard: &StandardFiles<'_>,
) -> io::Result<Pid> {
    let mut actions = SpawnFileActions::new()?;
    for (file, number) in [(&standard.input, 0), (&standard.output, 1), (&standard.errors, 2)] {
        actions.give(file.as_raw_fd(), number)?;
    }
    for file in &start.files {
        // Duplicated onto the same number: clears close-on-exec.
        actions.give(file.as_raw_fd(), file.as_raw_fd())?;
    }
    actions.enter(start.cwd)?;
    let attributes = SpawnAttributes::new()?;
    let program = text(program.as_os_str())?;
    let argv = CStrings::of(argv.iter().map(|arg| text(arg)))?;
    let env = CStrings::of(start.env.iter().map(|(name, value)| variable(name, value)))?;
    let mut pid = 0;
    // SAFETY: every pointer refers to data that lives until the call returns: initialized actions and
    // attributes, a C string, and two null-terminated lists of C strings.
    let result = unsafe {
        libc::posix_spawn(
            &mut pid,
            program.as_ptr(),
            &actions.0,
            &attributes.0,
            argv.pointers.as_ptr(),
            env.pointers.as_ptr(),
        )
    };
    checked(result)?;
    Ok(Pid::from_raw(pid))
}

struct SpawnFileActions(libc::posix_spawn_file_actions_t);

impl SpawnFileActions {
    fn new() -> io::Result<Self> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: this call initializes the value, if successful.
        unsafe {
            checked(libc::posix_spawn_file_actions_init(actions.as_mut_ptr()))?;
            Ok(Self(actions.assume_init()))
        }
    }

    fn give(&mut self, file: RawFd, number: RawFd) -> io::Result<()> {
        // SAFETY: the actions are initialized.
        checked(unsafe { libc::posix_spawn_file_actions_adddup2(&mut self.0, file, number) })
    }

    fn enter(&mut self, directory: &Path) -> io::Result<()> {
        let directory = text(directory.as_os_str())?;
        // SAFETY: the actions are initialized, and the path is copied.
        checked(unsafe { posix_spawn_file_actions_addchdir_np(&mut self.0, directory.as_ptr()) })
    }
}

impl Drop for SpawnFileActions {
    fn drop(&mut self) {
        // SAFETY: they were initialized, and are not used again.
        unsafe { libc::posix_spawn_file_actions_destroy(&mut self.0) };
    }
}

/// A new session, and the signal state set by the standard library: none blocked, default SIGPIPE.
struct SpawnAttributes(libc::posix_spawnattr_t);

impl SpawnAttributes {
    fn new() -> io::Result<Self> {
        let mut attributes = MaybeUninit::uninit();
        let mut signals = MaybeUninit::<libc::sigset_t>::uninit();
        let flags = SETSID | libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF;
        // SAFETY: the first call for each value initializes the value.
        unsafe {
            checked(libc::posix_spawnattr_init(attributes.as_mut_ptr()))?;
            let mut attributes = Self(attributes.assume_init());
            libc::sigemptyset(signals.as_mut_ptr());
            checked(libc::posix_spawnattr_setsigmask(&mut attributes.0, signals.as_ptr()))?;
            libc::sigaddset(signals.as_mut_ptr(), libc::SIGPIPE);
            checked(libc::posix_spawnattr_setsigdefault(&mut attributes.0, signals.as_ptr()))?;
            checked(libc::posix_spawnattr_setflags(&mut attributes.0, flags as _))?;
            Ok(attributes)
        }
    }
}

impl Drop for SpawnAttributes {
    fn drop(&mut self) {
        // SAFETY: they were initialized, and are not used again.
        unsafe { libc::posix_spawnattr_destroy(&mut self.0) };
    }
}

/// C strings with a null-terminated array of pointers to them.
struct CStrings {
    pointers: Vec<*mut c_char>,
    _texts: Vec<CString>,
}

impl CStrings {
    fn of(texts: impl Iterator<Item = io::Result<CString>>) -> io::Result<Self> {
        let texts: Vec<CString> = texts.collect::<io::Result<_>>()?;
        let pointers = texts.iter().map(|text| text.as_ptr().cast_mut());
        let pointers = pointers.chain([ptr::null_mut()]).collect();
        Ok(Self { pointers, _texts: texts })
    }
}

fn text(text: &OsStr) -> io::Result<CString> {
    Ok(CString::new(text.as_bytes())?)
}

fn variable(name: &OsStr, value: &OsStr) -> io::Result<CString> {
    Ok(CString::new([name.as_bytes(), b"=", value.as_bytes()].concat())?)
}

/// Converts a result to an error: these functions return the error number instead of setting `errno`.
fn checked(result: c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}
