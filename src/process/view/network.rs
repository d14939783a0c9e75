//! The network namespace of a view: loopback, and listening sockets that are passed to the drain.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg,
    sendmsg, socket,
};

/// Maximum number of listeners: SCM_MAX_FD of the kernel is 253.
const MOST_LISTENERS: usize = 250;

/// Starts the loopback interface of this network namespace.
pub(super) fn start_loopback() -> io::Result<()> {
    let control = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: zero is a valid value of every field.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the socket is open, and the request lives until the call returns.
    let result = unsafe { libc::ioctl(control.as_raw_fd(), libc::SIOCSIFFLAGS as _, &request) };
    Errno::result(result)?;
    Ok(())
}

/// Listens on ports of this namespace's loopback and passes the sockets through `to`.
pub(super) fn offer_listeners(to: &OwnedFd, ports: &[u16]) -> io::Result<()> {
    let listeners = listen(ports)?;
    let files: Vec<_> = listeners.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&files)];
    let rights = if files.is_empty() { &rights[..0] } else { &rights[..] };
    sendmsg::<()>(to.as_raw_fd(), &[IoSlice::new(b"l")], rights, MsgFlags::empty(), None)?;
    Ok(())
}

/// Listens on ports of the loopback interface.
pub(in crate::process) fn listen(ports: &[u16]) -> io::Result<Vec<TcpListener>> {
    ports
        .iter()
        .take(MOST_LISTENERS)
        .map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)))
        .collect()
}

/// Receives the sockets of [`offer_listeners`].
pub(in crate::process) fn receive_listeners(from: BorrowedFd<'_>) -> io::Result<Vec<TcpListener>> {
    let mut byte = [0];
    let mut space = nix::cmsg_space!([i32; MOST_LISTENERS]);
    let mut buffer = [IoSliceMut::new(&mut byte)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<()>(from.as_raw_fd(), &mut buffer, Some(&mut space), flags)?;
    let mut listeners = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(files) = control {
            // SAFETY: the kernel just installed these files, and nothing else knows their numbers.
            listeners
                .extend(files.into_iter().map(|file| unsafe { TcpListener::from_raw_fd(file) }));
        }
    }
    Ok(listeners)
}
