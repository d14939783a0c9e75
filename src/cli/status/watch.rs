//! `status --watch`: repeats the status until interrupted.

use std::collections::HashSet;
use std::io::{IsTerminal, stderr, stdout};
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::status_snapshot::{SnapshotSource, StatusSnapshot};
use super::{live_view, status_text};
use crate::cli::Context;
use crate::failure::{Exit, Failure};
use crate::overview::TextOptions;
use crate::phase::RunId;
use crate::progress::screen::{self, Size};
use crate::progress::{LineOptions, PhaseFinished, finished_line};
use crate::store::{Bookmark, EndedAttempt, Store};

/// Interval between snapshots.
const EVERY: Duration = Duration::from_secs(1);

pub(super) async fn watch(source: &SnapshotSource<'_>) -> Result<Exit, Failure> {
    let SnapshotSource { store, wanted, context, .. } = *source;
    let mut ending = Ending::listen()?;
    let on_terminal = stdout().is_terminal() && stderr().is_terminal() && !context.env.is_dumb();
    let mut shown = match on_terminal {
        true => WatchOutput::Live(NewlyEnded::from_now(store).await?),
        false => WatchOutput::Blocks(String::new()),
    };
    let exit = loop {
        let snapshot = source.read_snapshot().await?;
        if context.out.reader_is_gone() {
            return Ok(Exit::Done);
        }
        shown.show(&snapshot, store, wanted, context).await?;
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = ending.resized.receive() => {}
            () = ending.interrupt.receive() => break Exit::Interrupted,
            () = ending.terminate.receive() => break Exit::Terminated,
        }
    };
    screen::leave();
    Ok(exit)
}

/// Signals that end the watch or refresh the view at once.
struct Ending {
    interrupt: ResizeSignal,
    terminate: ResizeSignal,
    resized: ResizeSignal,
}

/// Listener for a signal.
struct ResizeSignal(Signal);

impl ResizeSignal {
    fn of(kind: SignalKind) -> Result<Self, Failure> {
        Ok(Self(signal(kind).context("cannot listen for signals")?))
    }

    async fn receive(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

impl Ending {
    fn listen() -> Result<Self, Failure> {
        Ok(Self {
            interrupt: ResizeSignal::of(SignalKind::interrupt())?,
            terminate: ResizeSignal::of(SignalKind::terminate())?,
            resized: ResizeSignal::of(SignalKind::window_change())?,
        })
    }
}

/// Output of the watch: a live view below finished phases, or a text block per change.
enum WatchOutput {
    Live(NewlyEnded),
    /// Last block, without times and activity.
    Blocks(String),
}

impl WatchOutput {
    async fn show(
        &mut self,
        snapshot: &StatusSnapshot,
        store: &Store,
        wanted: Option<&RunId>,
        context: &Context,
    ) -> Result<(), Failure> {
        match self {
            Self::Live(news) => {
                let options = LineOptions {
                    color: console::colors_enabled(),
                    several: snapshot.runs.len() > 1,
                    columns: screen::output_columns(),
                };
                for ended in news.since(store).await? {
                    if wanted.is_none_or(|run| ended.run_id == *run) {
                        let line = finished_line(&finished(ended, snapshot.max_attempts), options);
                        context.out.line_above(&line)?;
                    }
                }
                screen::paint(live_view::lines(
                    snapshot,
                    Size::of_terminal(),
                    console::colors_enabled_stderr(),
                ));
            }
            Self::Blocks(last) => {
                let without_times = TextOptions::default();
                let now = status_text::format_status(snapshot, &without_times);
                if now != *last {
                    let gap = if last.is_empty() { "" } else { "\n" };
                    let options = TextOptions { now: Some(snapshot.at), ..without_times };
                    let text = status_text::format_status(snapshot, &options);
                    context.out.text(&format!("{gap}{text}"))?;
                    *last = now;
                }
            }
        }
        Ok(())
    }
}

/// Tracks attempts that ended since the last snapshot.
struct NewlyEnded {
    mark: Bookmark,
    reported: HashSet<Bookmark>,
}

impl NewlyEnded {
    async fn from_now(store: &Store) -> Result<Self, Failure> {
        let mark = store.bookmark().await?;
        let reported = store.ended_after(mark).await?.into_iter().map(|ended| ended.mark).collect();
        Ok(Self { mark, reported })
    }

    async fn since(&mut self, store: &Store) -> Result<Vec<EndedAttempt>, Failure> {
        // Taken first, so that attempts started meanwhile come after the bookmark.
        let next = store.bookmark().await?;
        let mut ended = store.ended_after(self.mark).await?;
        ended.retain(|ended| self.reported.insert(ended.mark));
        self.mark = self.mark.max(next);
        self.reported.retain(|mark| *mark > self.mark);
        Ok(ended)
    }
}

fn finished(ended: EndedAttempt, max_attempts: u32) -> PhaseFinished {
    let took = ended.ended_at.0.saturating_sub(ended.started_at.0);
    PhaseFinished {
        attempt: Some(ended.attempt),
        max_attempts: ended.max_attempts.unwrap_or(max_attempts),
        tries: ended.counted_attempts,
        is_by_person: false,
        state: ended.state,
        verdict: ended.outcome.as_str(),
        commit: ended.commit,
        failure: ended.failure,
        duration_ms: u64::try_from(took).unwrap_or(0),
        tokens: ended.tokens,
        cost_usd: ended.cost_usd,
        scope_requests: Vec::new(),
        run_id: ended.run_id,
        phase_id: ended.phase_id,
    }
}
