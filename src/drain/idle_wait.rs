//! Waiting for work: for one of our workers to finish, for a phase of another drain, or for a rate limit to pass.
//!
//! Our own workers and a stop request end the wait at once. A server tells of changes by others; otherwise they are polled.

use std::future::pending;
use std::time::Duration;

use super::Drain;
use crate::attempt::{AttemptError, AttemptResult};
use crate::clock::now;
use crate::phase::words::quoted;
use crate::phase::{PhaseId, RunId, UnixMs};
use crate::process::StopLevel;
use crate::progress::shown_id;
use crate::store::{ChangeKind, Store, next_change};

/// Interval between polls while waiting for another process: another drain, or the operator.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// The same at a server, which many machines ask.
const SERVER_POLL_INTERVAL: Duration = Duration::from_secs(2);
/// Shortest pause before the server is asked again, whatever it tells.
const TOLD_PAUSE: Duration = Duration::from_secs(1);
/// Longest single wait for a point in time, so that clock changes and new work are noticed.
const STEP: Duration = Duration::from_secs(5);

/// Events that can end an idle wait, besides the end of one of our workers.
#[derive(Default)]
pub(super) struct WakeConditions {
    /// Phase executed by another drain.
    pub another: Option<PhaseId>,
    /// Time at which the earliest deferred phase becomes ready.
    pub until: Option<UnixMs>,
    /// Paused runs with phases that could run.
    pub paused: Vec<RunId>,
}

impl WakeConditions {
    /// Waits for one of our workers only.
    pub fn for_worker() -> Self {
        Self::default()
    }

    /// Returns whether only the end of one of our workers can bring new work.
    pub fn is_for_worker(&self) -> bool {
        self.another.is_none() && self.until.is_none() && self.paused.is_empty()
    }

    fn left(&self) -> Option<Duration> {
        Some(self.until?.since(now()))
    }

    /// Returns the longest wait before the next poll; `None` if only the end of a worker can bring new work.
    fn pause(&self, store: &Store) -> Option<Duration> {
        let polls = self.another.is_some() || !self.paused.is_empty();
        let interval = store.poll_interval(POLL_INTERVAL, SERVER_POLL_INTERVAL);
        let poll = polls.then_some(interval);
        let step = self.left().map(|left| left.min(STEP));
        [poll, step].into_iter().flatten().min()
    }

    fn text(&self) -> Option<String> {
        if let Some(phase) = &self.another {
            return Some(format!("waiting for {phase}, running in another drain"));
        }
        if let Some(run) = self.paused.first() {
            let name = shown_id(run.as_str());
            let what = match self.paused.len() {
                1 => format!("run {name} is paused"),
                n => format!("{n} runs are paused"),
            };
            return Some(format!("{what}; waiting for `autopack resume {}`", quoted(&name)));
        }
        let left = self.left().filter(|left| !left.is_zero())?;
        Some(format!("all remaining phases are rate limited; resuming in {} s", left.as_secs()))
    }
}

impl Drain<'_> {
    /// Returns the finished attempt, or `None` when the store must be polled again.
    pub(super) async fn wait(
        &mut self,
        waits: &WakeConditions,
        is_reported: &mut bool,
    ) -> Result<Option<AttemptResult>, AttemptError> {
        if self.workers.is_empty()
            && !*is_reported
            && let Some(text) = waits.text()
        {
            self.context.progress.note(&text);
            self.notify_wait(&text);
            *is_reported = true;
        }
        let told = async {
            let mut work = self.context.store.changes().of(ChangeKind::Work);
            tokio::time::sleep(TOLD_PAUSE).await;
            next_change(&mut work).await;
        };
        let pause = async {
            match waits.pause(&self.context.store) {
                Some(time) => tokio::select! {
                    () = tokio::time::sleep(time) => {}
                    () = told => {}
                },
                None => pending().await,
            }
        };
        tokio::select! {
            Some(result) = self.workers.next() => return Ok(Some(result)),
            () = pause => {}
            () = self.stop.reached(StopLevel::Graceful) => {}
            () = self.claim_end.wait() => {}
            () = self.context.merge_queue.changes.check_for_gone_drain() => {
                // A member of the merge queue waits for another drain.
                self.recover().await?;
            }
        }
        if waits.another.is_some() {
            // If the other drain died, its phase is reclaimed here.
            self.recover().await?;
        }
        Ok(None)
    }
}
