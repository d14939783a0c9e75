//! The supervisor's end of the socket to the drain: receives orders, sends reports.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::protocol::{Order, ProgramSpec, SupervisorMessage, line};

/// Time for a tree to end by itself after the drain died. The rest of five seconds is for the kill.
const GRACE_OF_ORPHANS: Duration = Duration::from_millis(1500);

/// The socket to the drain.
pub(super) struct DrainConnection {
    socket: BufReader<UnixStream>,
    received: Vec<u8>,
    is_closed: bool,
}

impl DrainConnection {
    pub fn new(socket: UnixStream) -> Self {
        Self { socket: BufReader::new(socket), received: Vec::new(), is_closed: false }
    }

    /// Reads the first line; `None` if the drain died before sending a whole line.
    pub fn spec(&mut self) -> io::Result<Option<ProgramSpec>> {
        let mut line = Vec::new();
        self.socket.read_until(b'\n', &mut line)?;
        self.socket.get_ref().set_nonblocking(true)?;
        if !line.ends_with(b"\n") {
            return Ok(None);
        }
        Ok(Some(serde_json::from_slice(&line)?))
    }

    /// Returns the next order, if available. The end of the socket is an order to end.
    pub fn order(&mut self) -> Option<Order> {
        if self.is_closed {
            return None;
        }
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                // An invalid line is treated like a dead drain.
                return Some(serde_json::from_slice(&line).unwrap_or(Order::Kill));
            }
            let mut some = [0; 4096];
            match self.socket.read(&mut some) {
                Ok(read @ 1..) => self.received.extend_from_slice(&some[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => {
                    self.is_closed = true;
                    let grace_ms = GRACE_OF_ORPHANS.as_millis() as u64;
                    return Some(Order::End { grace_ms });
                }
            }
        }
    }

    /// Returns the socket to poll for orders; `None` once the drain is gone.
    pub fn socket(&self) -> Option<&UnixStream> {
        (!self.is_closed).then(|| self.socket.get_ref())
    }

    pub fn send(&mut self, message: &SupervisorMessage) -> io::Result<()> {
        self.socket.get_mut().write_all(&line(message))
    }
}
