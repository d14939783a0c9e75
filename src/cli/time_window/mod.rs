//! `drain --at`, `--until` and `--for`: the time window of a drain, in the local time zone.

mod clock_time;

use std::time::Duration;

use jiff::{SignedDuration, Zoned};
use tokio::signal::unix::{SignalKind, signal};

use super::Context;
use crate::clock::machine_now;
use crate::drain::TimeLimit;
use crate::failure::{Exit, Failure};
use crate::phase::UnixMs;
use crate::progress::{Mode, NOTES, duration, screen};

use clock_time::{ClockTime, parse_length};

/// Interval for redrawing the countdown.
const COUNTDOWN: Duration = Duration::from_secs(1);
/// Longest single wait without a countdown, so that changes of the clock are noticed.
const STEP: Duration = Duration::from_secs(5);
/// Times farther away are shown with their date.
const NEAR: SignedDuration = SignedDuration::from_hours(20);

/// Times less far away are shown with their seconds.
const SOON: SignedDuration = SignedDuration::from_mins(10);

/// Options for the time window of a drain.
#[derive(Debug, clap::Args)]
pub struct WindowArgs {
    /// Wait until this local time before starting: 23:00, or a date and time
    #[arg(long, value_name = "TIME")]
    at: Option<ClockTime>,

    /// Start no phase from this local time on; running phases finish
    #[arg(long, value_name = "TIME", conflicts_with = "length")]
    until: Option<ClockTime>,

    /// Start no phase after this time has passed: 6h, 90m, 1h30m
    #[arg(long = "for", id = "length", value_name = "DURATION", value_parser = parse_length)]
    length: Option<SignedDuration>,
}

/// Start of the window.
#[derive(Debug)]
pub enum WindowStart {
    /// The drain may start, with a time limit if requested.
    Open(Option<TimeLimit>),
    /// A signal ended the wait.
    Cancelled(Exit),
}

impl WindowArgs {
    /// Describes the window: `starts at 23:00, no phase starts after 07:00 (8 h)`; `None` without one.
    ///
    /// # Errors
    /// A date and time is in the past.
    pub fn describe(&self) -> Result<Option<String>, Failure> {
        let now = Zoned::now();
        let start = self.at.map(|at| at.next_after(&now, "--at")).transpose()?;
        let from = start.clone().unwrap_or(now);
        let end = match (self.until, self.length) {
            (Some(until), _) => Some(until.next_after(&from, "--until")?),
            (None, length) => length.map(|length| from.saturating_add(length)),
        };
        let start = start.map(|start| format!("starts at {}", shown(&start)));
        let end = end.map(|end| {
            let length = end.duration_since(&from);
            let length = Duration::from_secs(u64::try_from(length.as_secs()).unwrap_or_default());
            format!("no phase starts after {} ({})", shown(&end), duration(length))
        });
        let parts: Vec<String> = start.into_iter().chain(end).collect();
        Ok((!parts.is_empty()).then(|| parts.join(", ")))
    }

    /// Waits for the start of the window, and returns the end.
    ///
    /// # Errors
    /// A date and time is in the past, or signals cannot be received.
    pub async fn open(&self, mode: Mode, context: &Context) -> Result<WindowStart, Failure> {
        let mut from = Zoned::now();
        let start = self.at.map(|at| at.next_after(&from, "--at")).transpose()?;
        if let Some(start) = &start {
            from = start.clone();
        }
        let end = self.until.map(|until| until.next_after(&from, "--until")).transpose()?;
        if let Some(start) = &start
            && let Some(exit) = wait_until(start, mode, context).await?
        {
            return Ok(WindowStart::Cancelled(exit));
        }
        let end = match (end, self.length) {
            (None, Some(length)) => Some(Zoned::now().saturating_add(length)),
            (end, _) => end,
        };
        Ok(WindowStart::Open(end.map(|end| TimeLimit {
            at: UnixMs(end.timestamp().as_millisecond()),
            shown: shown(&end),
        })))
    }
}

/// Formats a time: without its date if near, with seconds only if very near.
fn shown(time: &Zoned) -> String {
    let left = time.duration_since(&Zoned::now());
    let clock = if time.second() == 0 || left > SOON { "%H:%M" } else { "%H:%M:%S" };
    let date = if left > NEAR { "%Y-%m-%d " } else { "" };
    time.strftime(&format!("{date}{clock}")).to_string()
}

/// Waits until the wall clock shows the time; returns the exit of a signal received meanwhile.
async fn wait_until(start: &Zoned, mode: Mode, context: &Context) -> Result<Option<Exit>, Failure> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let line = |left| {
        let left = duration(Duration::from_secs(Duration::as_secs(&left).max(1)));
        format!("starting at {}, in {left}; Ctrl-C cancels", shown(start))
    };
    let at = start.timestamp().as_millisecond();
    let left = || Duration::from_millis(u64::try_from(at - machine_now().0).unwrap_or_default());
    match mode {
        Mode::Live => {}
        Mode::Lines => context.out.line(line(left()))?,
        Mode::Json | Mode::Notes => tracing::info!(target: NOTES, "{}", line(left())),
    }
    let step = if mode == Mode::Live { COUNTDOWN } else { STEP };
    let exit = loop {
        let left = left();
        if left.is_zero() {
            break None;
        }
        if mode == Mode::Live {
            screen::paint(vec![line(left)]);
        }
        tokio::select! {
            () = tokio::time::sleep(left.min(step)) => {}
            _ = interrupt.recv() => break Some(Exit::Interrupted),
            _ = terminate.recv() => break Some(Exit::Terminated),
        }
    };
    screen::close();
    if exit.is_some() {
        context.out.line("cancelled; nothing was started")?;
    }
    Ok(exit)
}
