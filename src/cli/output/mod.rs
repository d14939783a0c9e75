//! Results, on stdout. Everything that people are told beside them goes to stderr, by `tracing`.

pub mod logging;
pub mod table;

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileTypeExt as _;

use anyhow::{Context, Error};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;

use crate::failure::{Failure, ReaderGone};
use crate::progress::{printable_lines, screen};

/// stdout, whose reader may go away at any time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Output(());

impl Output {
    pub fn line(&self, text: impl std::fmt::Display) -> Result<(), Failure> {
        self.text(&format!("{text}\n"))
    }

    /// Above the live lines of a terminal, where there are some.
    pub fn line_above(&self, text: &str) -> Result<(), Failure> {
        let mut written = Ok(());
        screen::above(|| written = self.line(text));
        written
    }

    /// Whether another program reads what is written.
    pub fn is_piped(&self) -> bool {
        let about = io::stdout().as_fd().try_clone_to_owned().map(File::from);
        let kind = about.and_then(|stdout| stdout.metadata()).map(|about| about.file_type());
        kind.is_ok_and(|kind| kind.is_fifo() || kind.is_socket())
    }

    /// Nothing that was written could be read any more: stdout is a pipe or socket whose other end is closed. A writer learns
    /// it when it writes; whoever waits for something to write has to ask.
    pub fn reader_is_gone(&self) -> bool {
        let stdout = io::stdout();
        let mut asked = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
        let gone = PollFlags::POLLERR | PollFlags::POLLHUP;
        poll(&mut asked, PollTimeout::ZERO).is_ok()
            && asked[0].revents().is_some_and(|events| events.intersects(gone))
    }

    /// Other people's text, whole: on a terminal without what would move its cursor, in a pipe byte for byte.
    pub fn quoted(&self, bytes: &[u8]) -> Result<(), Failure> {
        match io::stdout().is_terminal() {
            true => self.text(&printable_lines(&String::from_utf8_lossy(bytes))),
            false => self.bytes(bytes),
        }
    }

    /// As it is, without a newline.
    pub fn text(&self, text: &str) -> Result<(), Failure> {
        self.bytes(text.as_bytes())
    }

    /// One JSON value, indented for people who look at it.
    pub fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        self.line(serde_json::to_string_pretty(value).context("cannot write JSON")?)
    }

    /// One JSON value on one line.
    pub fn json_line(&self, value: &impl Serialize) -> Result<(), Failure> {
        self.line(serde_json::to_string(value).context("cannot write JSON")?)
    }

    pub fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
        Ok(written.map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Error::from(ReaderGone),
            _ => Error::from(error).context("cannot write to stdout"),
        })?)
    }
}
