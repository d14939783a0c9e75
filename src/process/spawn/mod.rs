//! Starts a program in a new session, with pipes, and waits for the end.
//!
//! The steps between fork and the program's first instruction depend on the system: see [`system`].

#[cfg(target_env = "gnu")]
#[path = "gnu.rs"]
mod system;
#[cfg(not(target_env = "gnu"))]
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

use super::which::{self, ProgramLookup};

/// Program to start, with the complete environment and pipes to autopack.
pub(super) struct SpawnRequest<'a> {
    pub program: PathBuf,
    /// The program's name, then the arguments.
    pub argv: Vec<OsString>,
    pub env: Vec<(OsString, OsString)>,
    pub cwd: &'a Path,
    /// Without input, the program reads from /dev/null.
    pub fed: bool,
    /// Files besides the standard three, under their present numbers.
    pub files: Vec<Arc<OwnedFd>>,
}

/// A running program. Dropping this value does not end the program.
pub(super) struct SpawnedProgram {
    pid: Pid,
    exit_status: Option<ExitStatus>,
    pub stdin: Option<Sender>,
    pub stdout: Option<Receiver>,
    pub stderr: Option<Receiver>,
}

/// Pipes to a program: its ends, and ours.
pub(super) struct Pipes {
    theirs: [OwnedFd; 3],
    stdin: Option<Sender>,
    stdout: Receiver,
    stderr: Receiver,
}

/// A program's standard files.
struct StandardFiles<'a> {
    input: BorrowedFd<'a>,
    output: BorrowedFd<'a>,
    errors: BorrowedFd<'a>,
}

/// Finds the file of a program in the PATH of the program's own environment.
pub(super) fn file_of(
    program: &OsStr,
    cwd: &Path,
    env: &[(OsString, OsString)],
) -> io::Result<PathBuf> {
    let path = env.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_os_str());
    match which::find(program, cwd, path) {
        ProgramLookup::Program(file) => Ok(file),
        ProgramLookup::NotExecutable(_) => Err(io::ErrorKind::PermissionDenied.into()),
        ProgramLookup::Nowhere(_) => Err(io::ErrorKind::NotFound.into()),
    }
}

impl SpawnRequest<'_> {
    pub fn start(&self) -> io::Result<SpawnedProgram> {
        let pipes = Pipes::new(self.fed)?;
        let [input, output, errors] = pipes.theirs();
        let standard = StandardFiles { input, output, errors };
        let pid = match system::start(self, &self.program, &self.argv, &standard) {
            // The shell runs a script without an interpreter line, like execvp(3).
            Err(error) if error.raw_os_error() == Some(Errno::ENOEXEC as i32) => {
                let script = std::iter::once(OsString::from("sh"))
                    .chain([self.program.clone().into_os_string()])
                    .chain(self.argv.iter().skip(1).cloned());
                system::start(self, Path::new("/bin/sh"), &script.collect::<Vec<_>>(), &standard)?
            }
            started => started?,
        };
        Ok(pipes.into_program(pid))
    }
}

impl Pipes {
    /// Creates the pipes; without input, the program reads from /dev/null.
    pub fn new(fed: bool) -> io::Result<Self> {
        let (input, stdin): (OwnedFd, _) = match fed {
            true => {
                let (theirs, ours) = io::pipe()?;
                (theirs.into(), Some(Sender::from_owned_fd(ours.into())?))
            }
            false => (File::open("/dev/null")?.into(), None),
        };
        let (stdout, output) = io::pipe()?;
        let (stderr, errors) = io::pipe()?;
        Ok(Self {
            theirs: [input, output.into(), errors.into()],
            stdin,
            stdout: Receiver::from_owned_fd(stdout.into())?,
            stderr: Receiver::from_owned_fd(stderr.into())?,
        })
    }

    /// Returns the program's input, output and errors.
    pub fn theirs(&self) -> [BorrowedFd<'_>; 3] {
        self.theirs.each_ref().map(AsFd::as_fd)
    }

    /// Closes the program's ends, of which the program has copies.
    pub fn into_program(self, pid: Pid) -> SpawnedProgram {
        let Self { stdin, stdout, stderr, .. } = self;
        SpawnedProgram { pid, exit_status: None, stdin, stdout: Some(stdout), stderr: Some(stderr) }
    }
}

impl SpawnedProgram {
    /// Returns the process id before the process is reaped; afterwards, another process may have the same id.
    pub fn id(&self) -> Option<u32> {
        self.exit_status.is_none().then(|| self.pid.as_raw().cast_unsigned())
    }

    /// Waits for the end. Cancel-safe.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        if let Some(exit_status) = self.exit_status {
            return Ok(exit_status);
        }
        let pid = self.pid;
        // Without reaping: until reaped here, the process keeps the id.
        let waiting = tokio::task::spawn_blocking(move || {
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
            again(|| waitid(Id::Pid(pid), flags))
        });
        waiting.await.map_err(io::Error::other)??;
        let exit_status = status(again(|| waitpid(pid, None))?);
        self.exit_status = Some(exit_status);
        Ok(exit_status)
    }
}

impl Drop for SpawnedProgram {
    fn drop(&mut self) {
        if self.exit_status.is_some() {
            return;
        }
        let pid = self.pid;
        // The dropping thread does not wait, but the process must be reaped.
        if let Ok(WaitStatus::StillAlive) = waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
            std::thread::spawn(move || again(|| waitpid(pid, None)));
        }
    }
}

/// Repeats a call until no signal interrupts it.
pub(super) fn again<T>(mut call: impl FnMut() -> nix::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return Ok(other?),
        }
    }
}

/// Encodes like wait(2): the exit code in the second byte, a signal in the first.
fn status(wait_status: WaitStatus) -> ExitStatus {
    ExitStatus::from_raw(match wait_status {
        WaitStatus::Exited(_, code) => (code & 0xff) << 8,
        WaitStatus::Signaled(_, signal, _) => signal as i32,
        _ => 0,
    })
}
