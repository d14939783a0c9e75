//! Results, on stdout. Everything that people are told beside them goes to stderr, by `tracing`.

use std::io::{self, ErrorKind, IsTerminal, Write};

use anyhow::{Context, Error};
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
