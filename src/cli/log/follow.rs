//! `log --follow`: prints what an attempt writes, until the attempt ends.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::log_reader::LogReader;
use super::remote_logs::RemoteLogs;
use super::write_lines;
use crate::cli::Context;
use crate::cli::attempt_choice::{AttemptChoice, AttemptEnd};
use crate::failure::{Exit, Failure};
use crate::progress::NOTES;
use crate::workspace::Repo;

/// Interval between two readings.
const EVERY: Duration = Duration::from_millis(200);
/// The same from a server, to which a drain sends every two seconds.
const EVERY_FROM_SERVER: Duration = Duration::from_secs(1);

/// Place of a running attempt's logs.
pub(super) enum FollowedLogs {
    Here(PathBuf),
    Elsewhere(RemoteLogs),
}

impl FollowedLogs {
    /// Finds the logs of a running attempt, and says on which other machine it runs.
    pub async fn find(
        choice: &AttemptChoice,
        repo: &Repo,
        context: &Context,
    ) -> Result<Self, Failure> {
        if choice.runs_here(repo).await? {
            return Ok(Self::Here(choice.directory(context)?));
        }
        let (name, host) = (choice.name(), choice.host());
        tracing::info!(target: NOTES, "{name} runs on {host}; its drain sends the logs every 2 s");
        Ok(Self::Elsewhere(RemoteLogs::new()?))
    }

    pub fn directory(&self) -> &Path {
        match self {
            Self::Here(directory) => directory,
            Self::Elsewhere(logs) => logs.path(),
        }
    }

    /// Returns how a copy is named.
    pub fn shown(&self, choice: &AttemptChoice) -> Option<String> {
        matches!(self, Self::Elsewhere(_)).then(|| choice.directory_there())
    }

    fn interval(&self) -> Duration {
        match self {
            Self::Here(_) => EVERY,
            Self::Elsewhere(_) => EVERY_FROM_SERVER,
        }
    }

    /// Brings a copy up to date.
    async fn update(
        &mut self,
        choice: &AttemptChoice,
        has_ended: bool,
        context: &Context,
    ) -> Result<(), Failure> {
        let Self::Elsewhere(logs) = self else { return Ok(()) };
        logs.update(choice).await?;
        if has_ended && !logs.complete(choice, context).await? {
            let (name, host) = (choice.name(), choice.host());
            tracing::info!(
                target: NOTES,
                "the end of the logs of {name} is on {host}; the next drain there stores it"
            );
        }
        Ok(())
    }
}

/// Prints the last `lines` of the logs, and then all that is added.
pub(super) async fn follow(
    choice: &AttemptChoice,
    mut logs: FollowedLogs,
    reader: &mut LogReader,
    mut lines: Option<usize>,
    context: &Context,
) -> Result<Exit, Failure> {
    let listen = |kind| signal(kind).context("cannot listen for signals");
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    loop {
        // Asked first: the end comes after everything was written.
        let end = choice.end().await?;
        let has_ended = end.is_some();
        tokio::select! {
            updated = logs.update(choice, has_ended, context) => updated?,
            _ = interrupt.recv() => return Ok(Exit::Interrupted),
            _ = terminate.recv() => return Ok(Exit::Terminated),
        }
        // The directory appears with the first file.
        let text = reader
            .read_new()
            .or_else(|error| if has_ended { Err(error) } else { Ok(Vec::new()) })?;
        let is_awaited = text.is_empty() && matches!(logs, FollowedLogs::Elsewhere(_));
        let lines = if is_awaited { None } else { lines.take() };
        write_lines(context.out, text, lines)?;
        if has_ended {
            write_lines(context.out, reader.finish(), None)?;
            if end == Some(AttemptEnd::DrainDied) {
                tracing::info!(target: NOTES, "the drain died; the next drain reclaims the phase");
            }
            return Ok(Exit::Done);
        }
        if context.out.reader_is_gone() {
            return Ok(Exit::Done);
        }
        tokio::select! {
            () = tokio::time::sleep(logs.interval()) => {}
            _ = interrupt.recv() => return Ok(Exit::Interrupted),
            _ = terminate.recv() => return Ok(Exit::Terminated),
        }
    }
}
