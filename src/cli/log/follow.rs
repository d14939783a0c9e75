//! `log --follow`: prints what an attempt writes, until the attempt ends.

use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::log_reader::LogReader;
use super::write_lines;
use crate::cli::Output;
use crate::cli::attempt_choice::{AttemptChoice, AttemptEnd};
use crate::failure::{Exit, Failure};
use crate::progress::NOTES;

/// Interval between two readings.
const EVERY: Duration = Duration::from_millis(200);

/// Prints the last `lines` of the logs, and then all that is added.
pub(super) async fn follow(
    choice: &AttemptChoice,
    reader: &mut LogReader,
    mut lines: Option<usize>,
    out: &Output,
) -> Result<Exit, Failure> {
    let listen = |kind| signal(kind).context("cannot listen for signals");
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    loop {
        // Asked first: the end comes after everything was written.
        let end = choice.end().await?;
        let has_ended = end.is_some();
        // The directory appears with the first file.
        let text = reader
            .read_new()
            .or_else(|error| if has_ended { Err(error) } else { Ok(Vec::new()) })?;
        write_lines(*out, text, lines.take())?;
        if has_ended {
            write_lines(*out, reader.finish(), None)?;
            if end == Some(AttemptEnd::DrainDied) {
                tracing::info!(target: NOTES, "the drain died; the next drain reclaims the phase");
            }
            return Ok(Exit::Done);
        }
        if out.reader_is_gone() {
            return Ok(Exit::Done);
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            _ = interrupt.recv() => return Ok(Exit::Interrupted),
            _ = terminate.recv() => return Ok(Exit::Terminated),
        }
    }
}
