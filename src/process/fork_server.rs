//! `autopack __fork_server`: forks a supervisor for each request of its parent.
//!
//! The start of the whole program takes milliseconds, most of it for the loader; a fork takes a tenth. The server is
//! started once, with an empty environment, has a single thread, and knows nothing of the drain: a supervisor receives
//! its program over its own socket. Each supervisor is a child of the drain, not of the server, so that its process id
//! stays reserved until the drain has seen its end.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Mutex;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg,
    send, sendmsg, socketpair,
};
use nix::unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, setsid};

use super::fork::fork_with;
use super::own_executable::executable;
use super::spawn::again;
use super::supervise::supervise_main;

/// The hidden subcommand.
pub const FORK_SERVER: &str = "__fork_server";

/// Standard files of a supervisor, its socket, its locks, and the socket for listeners.
const MOST_FILES: usize = 16;

/// The server of this process.
static SERVER: Mutex<Option<ForkServer>> = Mutex::new(None);

struct ForkServer {
    socket: OwnedFd,
    process: Child,
}

/// Starts a supervisor with these files: the standard three, the socket, and the files held for it. The caller reaps
/// the supervisor.
pub(super) fn start_supervisor(files: &[RawFd]) -> io::Result<Pid> {
    let mut server = SERVER.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(running) = &*server {
        if let Ok(pid) = running.request(files) {
            return Ok(pid);
        }
        // Killed by somebody: nothing of a supervisor is left, since a supervisor ends without its socket.
        *server = None;
    }
    let new = ForkServer::start()?;
    let pid = new.request(files)?;
    *server = Some(new);
    Ok(pid)
}

impl ForkServer {
    fn start() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        let mut command = Command::new(executable());
        command.arg0("autopack").arg(FORK_SERVER).env_clear();
        let process = command.stdin(theirs).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(Self { socket: ours, process })
    }

    fn request(&self, files: &[RawFd]) -> io::Result<Pid> {
        let socket = self.socket.as_raw_fd();
        let rights = [ControlMessage::ScmRights(files)];
        let flags = MsgFlags::MSG_NOSIGNAL;
        again(|| sendmsg::<()>(socket, &[IoSlice::new(b"f")], &rights, flags, None))?;
        let mut answer = [0; size_of::<i32>()];
        let read = again(|| nix::sys::socket::recv(socket, &mut answer, MsgFlags::empty()))?;
        match i32::from_ne_bytes(answer) {
            _ if read != answer.len() => Err(io::ErrorKind::UnexpectedEof.into()),
            pid @ 1.. => Ok(Pid::from_raw(pid)),
            errno => Err(io::Error::from_raw_os_error(-errno)),
        }
    }
}

impl Drop for ForkServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Serves until the parent closes the socket, the standard input.
pub fn fork_server_main() -> ExitCode {
    match serve() {
        Ok(code) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve() -> io::Result<ExitCode> {
    // Signals of the terminal are for the drain, which ends its supervisors in order.
    setsid()?;
    nix::sys::prctl::set_name(c"ap-forkserver")?;
    let socket = io::stdin().as_raw_fd();
    while let Some(files) = receive(socket)? {
        match fork_with(libc::CLONE_PARENT) {
            Ok(None) => return become_supervisor(files),
            Ok(Some(pid)) => answer(socket, pid.as_raw())?,
            Err(errno) => answer(socket, -(errno as i32))?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the files of the next supervisor; `None` at the end of the parent.
fn receive(socket: RawFd) -> io::Result<Option<Vec<OwnedFd>>> {
    let mut byte = [0];
    let mut space = nix::cmsg_space!([RawFd; MOST_FILES]);
    let mut files = Vec::new();
    let mut buffer = [IoSliceMut::new(&mut byte)];
    let message = loop {
        match recvmsg::<()>(socket, &mut buffer, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC) {
            Err(Errno::EINTR) => {}
            other => break other?,
        }
    };
    if message.bytes == 0 {
        return Ok(None);
    }
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = control {
            // SAFETY: the kernel just installed these files, and nothing else knows their numbers.
            files.extend(numbers.into_iter().map(|number| unsafe { OwnedFd::from_raw_fd(number) }));
        }
    }
    Ok(Some(files))
}

fn answer(socket: RawFd, number: i32) -> io::Result<()> {
    again(|| send(socket, &number.to_ne_bytes(), MsgFlags::MSG_NOSIGNAL)).map(drop)
}

/// Continues as a supervisor, in the new process.
fn become_supervisor(files: Vec<OwnedFd>) -> io::Result<ExitCode> {
    setsid()?;
    let mut files = files.into_iter();
    let mut next = || files.next().ok_or(io::ErrorKind::InvalidInput);
    // The first replaces the socket to the server's parent.
    dup2_stdin(next()?)?;
    dup2_stdout(next()?)?;
    dup2_stderr(next()?)?;
    let control = next()?;
    Ok(supervise_main(control, files.collect()))
}
