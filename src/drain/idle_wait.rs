//! Waiting for work: for a line of ours to end, for another drain's phase, for a limit to pass.
//!
//! Our own lines and a stop wake it at once. Another process has no way to, so what it works on is looked at again.

use std::future::pending;
use std::time::Duration;

use super::Drain;
use crate::attempt::{Executed, Trouble};
use crate::clock::now;
use crate::phase::{PhaseId, UnixMs};
use crate::process::StopLevel;

/// How often a drain that waits for another one looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// In steps of this a time is waited for: a clock that was set meanwhile, or new work, is seen.
const STEP: Duration = Duration::from_secs(5);

/// What may change that there is nothing to claim, beside a line of ours that ends.
#[derive(Default)]
pub(super) struct Waits {
    /// A phase that another drain executes.
    pub another: Option<PhaseId>,
    pub until: Option<UnixMs>,
}

impl Waits {
    pub fn for_a_line() -> Self {
        Self::default()
    }

    pub fn is_for_a_line(&self) -> bool {
        self.another.is_none() && self.until.is_none()
    }

    fn left(&self) -> Option<Duration> {
        let until = self.until?;
        Some(Duration::from_millis(u64::try_from(until.0 - now().0).unwrap_or_default()))
    }

    /// How long at most; without an end where only a line of ours can change it.
    fn pause(&self) -> Option<Duration> {
        let look_again = self.another.as_ref().map(|_| LOOK_AGAIN);
        let step = self.left().map(|left| left.min(STEP));
        [look_again, step].into_iter().flatten().min()
    }

    fn text(&self) -> Option<String> {
        if let Some(phase) = &self.another {
            return Some(format!("waiting for {phase}, which another drain is working on"));
        }
        let left = self.left().filter(|left| !left.is_zero())?;
        Some(format!("all that is left is rate limited; going on in {} s", left.as_secs()))
    }
}

impl Drain<'_> {
    /// Comes back with the line that ended, or with `None` when it is time to look again.
    pub(super) async fn wait(
        &mut self,
        waits: &Waits,
        said: &mut bool,
    ) -> Result<Option<Result<Executed, Trouble>>, Trouble> {
        if self.crew.is_empty()
            && !*said
            && let Some(text) = waits.text()
        {
            self.site.progress.note(&text);
            *said = true;
        }
        let pause = async {
            match waits.pause() {
                Some(time) => tokio::time::sleep(time).await,
                None => pending().await,
            }
        };
        tokio::select! {
            Some(ended) = self.crew.next() => return Ok(Some(ended)),
            () = pause => {}
            () = self.stop.reached(StopLevel::Graceful) => {}
        }
        if waits.another.is_some() {
            // Should the other drain die, its phase is picked up here.
            self.recover().await?;
        }
        Ok(None)
    }
}
