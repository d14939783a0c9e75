//! Writes results to stdout, and sets up the terminal. All other messages go to stderr through `tracing`.

pub mod logging;
pub mod repair_kinds;
pub mod table;

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileTypeExt as _;

use anyhow::{Context, Error};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;

use super::global_options::{Color, Global};
use crate::config::Env;
use crate::failure::{Failure, ReaderGone};
use crate::progress::{printable_lines, screen};

/// Sets up colors and logging. Called once, before any output.
pub fn set_up_terminal(global: &Global) {
    match global.color {
        // `console` checks the terminal and NO_COLOR itself.
        Color::Auto => {}
        choice => {
            console::set_colors_enabled(choice == Color::Always);
            console::set_colors_enabled_stderr(choice == Color::Always);
        }
    }
    logging::start(global, Env::of_process());
}

/// Standard output, which may be closed by its reader at any time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Output(());

impl Output {
    /// Writes a line.
    ///
    /// # Errors
    ///
    /// Fails if stdout cannot be written.
    pub fn line(&self, text: impl std::fmt::Display) -> Result<(), Failure> {
        self.text(&format!("{text}\n"))
    }

    /// Writes a line above the live view, if present.
    ///
    /// # Errors
    ///
    /// Fails if stdout cannot be written.
    pub fn line_above(&self, text: &str) -> Result<(), Failure> {
        let mut written = Ok(());
        screen::above(|| written = self.line(text));
        written
    }

    /// Checks whether stdout is a pipe or socket.
    pub fn is_piped(&self) -> bool {
        let about = io::stdout().as_fd().try_clone_to_owned().map(File::from);
        let kind = about.and_then(|stdout| stdout.metadata()).map(|about| about.file_type());
        kind.is_ok_and(|kind| kind.is_fifo() || kind.is_socket())
    }

    /// Checks whether the reader of a pipe or socket has closed its end.
    ///
    /// A write would report the same; this is for waiting without writing.
    pub fn reader_is_gone(&self) -> bool {
        let stdout = io::stdout();
        let mut asked = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
        let gone = PollFlags::POLLERR | PollFlags::POLLHUP;
        poll(&mut asked, PollTimeout::ZERO).is_ok()
            && asked[0].revents().is_some_and(|events| events.intersects(gone))
    }

    /// Writes foreign text: without control sequences on a terminal, byte for byte in a pipe.
    ///
    /// # Errors
    ///
    /// Fails if stdout cannot be written.
    pub fn quoted(&self, bytes: &[u8]) -> Result<(), Failure> {
        match io::stdout().is_terminal() {
            true => self.text(&printable_lines(&String::from_utf8_lossy(bytes))),
            false => self.bytes(bytes),
        }
    }

    /// Writes text without adding a newline.
    ///
    /// # Errors
    ///
    /// Fails if stdout cannot be written.
    pub fn text(&self, text: &str) -> Result<(), Failure> {
        self.bytes(text.as_bytes())
    }

    /// Writes an indented JSON value.
    ///
    /// # Errors
    ///
    /// Fails if stdout cannot be written.
    pub fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        self.line(serde_json::to_string_pretty(value).context("cannot write JSON")?)
    }

    /// Writes a JSON value on a single line.
    ///
    /// # Errors
    ///
    /// Fails if stdout cannot be written.
    pub fn json_line(&self, value: &impl Serialize) -> Result<(), Failure> {
        self.line(serde_json::to_string(value).context("cannot write JSON")?)
    }

    /// Writes bytes and flushes.
    ///
    /// # Errors
    ///
    /// Fails if stdout cannot be written.
    pub fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
        Ok(written.map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Error::from(ReaderGone),
            _ => Error::from(error).context("cannot write to stdout"),
        })?)
    }
}
