//! Starting a program in a session of its own, with pipes, and waiting for its end.
//!
//! What happens between us and the program's first instruction is the system's own: see [`system`].

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[path = "gnu.rs"]
mod system;
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
#[path = "other.rs"]
mod system;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use tokio::net::unix::pipe::{Receiver, Sender};

use super::which::{self, Found};

/// What to start. Nothing is added to its environment, and it reads and writes pipes of ours.
pub(super) struct Start<'a> {
    pub program: PathBuf,
    /// What it is called, then its arguments.
    pub argv: Vec<OsString>,
    pub env: Vec<(OsString, OsString)>,
    pub cwd: &'a Path,
    /// Without it the program reads from /dev/null.
    pub fed: bool,
    /// Files besides the standard three, under the numbers that they have here.
    pub files: Vec<Arc<OwnedFd>>,
}

/// A program under way. It is not ended when this is dropped.
pub(super) struct Started {
    pid: Pid,
    ended: Option<ExitStatus>,
    pub stdin: Option<Sender>,
    pub stdout: Option<Receiver>,
    pub stderr: Option<Receiver>,
}

/// A program's standard files.
struct Standard<'a> {
    input: BorrowedFd<'a>,
    output: BorrowedFd<'a>,
    errors: BorrowedFd<'a>,
}

/// The file of a program, by the PATH that it will have itself.
pub(super) fn file_of(
    program: &OsStr,
    cwd: &Path,
    env: &[(OsString, OsString)],
) -> io::Result<PathBuf> {
    let path = env.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_os_str());
    match which::find(program, cwd, path) {
        Found::Program(file) => Ok(file),
        Found::NotExecutable(_) => Err(io::ErrorKind::PermissionDenied.into()),
        Found::Nowhere(_) => Err(io::ErrorKind::NotFound.into()),
    }
}

impl Start<'_> {
    pub fn start(&self) -> io::Result<Started> {
        let (input, stdin): (OwnedFd, _) = match self.fed {
            true => {
                let (theirs, ours) = io::pipe()?;
                (theirs.into(), Some(Sender::from_owned_fd(ours.into())?))
            }
            false => (File::open("/dev/null")?.into(), None),
        };
        let (stdout, output) = io::pipe()?;
        let (stderr, errors) = io::pipe()?;
        let standard =
            Standard { input: input.as_fd(), output: output.as_fd(), errors: errors.as_fd() };
        let pid = match system::start(self, &self.program, &self.argv, &standard) {
            // A script that does not say by what it is run is the shell's, as execvp(3) has it.
            Err(error) if error.raw_os_error() == Some(Errno::ENOEXEC as i32) => {
                let script = std::iter::once(OsString::from("sh"))
                    .chain([self.program.clone().into_os_string()])
                    .chain(self.argv.iter().skip(1).cloned());
                system::start(self, Path::new("/bin/sh"), &script.collect::<Vec<_>>(), &standard)?
            }
            started => started?,
        };
        Ok(Started {
            pid,
            ended: None,
            stdin,
            stdout: Some(Receiver::from_owned_fd(stdout.into())?),
            stderr: Some(Receiver::from_owned_fd(stderr.into())?),
        })
    }
}

impl Started {
    /// While it has not been waited for; then its id may be somebody else's.
    pub fn id(&self) -> Option<u32> {
        self.ended.is_none().then(|| self.pid.as_raw().cast_unsigned())
    }

    /// Comes back when it has ended. May be dropped and called again.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        if let Some(ended) = self.ended {
            return Ok(ended);
        }
        let pid = self.pid;
        // Only looked at there: until it is waited for here, its id stays its own.
        let waiting = tokio::task::spawn_blocking(move || {
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
            again(|| waitid(Id::Pid(pid), flags))
        });
        waiting.await.map_err(io::Error::other)??;
        let ended = status(again(|| waitpid(pid, None))?);
        self.ended = Some(ended);
        Ok(ended)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if self.ended.is_some() {
            return;
        }
        let pid = self.pid;
        // Whoever dropped it has no time for its end; it must be waited for all the same.
        if let Ok(WaitStatus::StillAlive) = waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
            std::thread::spawn(move || again(|| waitpid(pid, None)));
        }
    }
}

fn again<T>(call: impl Fn() -> nix::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return Ok(other?),
        }
    }
}

/// As wait(2) packs it: the exit code in the second byte, a signal in the first.
fn status(ended: WaitStatus) -> ExitStatus {
    ExitStatus::from_raw(match ended {
        WaitStatus::Exited(_, code) => (code & 0xff) << 8,
        WaitStatus::Signaled(_, signal, _) => signal as i32,
        _ => 0,
    })
}
