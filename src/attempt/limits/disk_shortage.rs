//! Waiting on a full disk: nobody's fault, and often over in minutes.

use std::pin::pin;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::attempt::{Site, Trouble};
use crate::phase::words::counted;
use crate::phase::{Failure, Verdict};
use crate::process::{Stop, StopLevel};
use crate::store::Claim;
use crate::workspace::Shortage;

const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Interval while an attempt runs: each check is one system call, and a failed write of an agent may last less than a
/// second.
const LOOK_DURING: Duration = Duration::from_millis(250);
/// Largest number of cleanups after the same phase: the agent may be filling the disk, and each
/// new attempt costs money.
const MADE_FOR_A_PHASE: u32 = 3;

impl Site {
    /// Returns the shortage if an attempt has no room to work.
    pub fn shortage(&self) -> Option<Shortage> {
        let database = self.store.path();
        self.repo.shortage(&[database.parent().unwrap_or(database)])
    }

    /// Waits one interval before the failed write is retried; notes the wait once. Returns `false` if the drain was
    /// stopped.
    pub async fn wait_for_space(&self, why: &str, stop: &Stop) -> bool {
        if !self.said_full.swap(true, Ordering::Relaxed) {
            self.progress.note(&format!("{why}; waiting for space"));
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_AGAIN) => {}
            () = stop.reached(StopLevel::Graceful) => {}
        }
        stop.level() == StopLevel::Run
    }

    /// Notes, once after a wait, that space is free again.
    pub fn say_space_again(&self) {
        if self.said_full.swap(false, Ordering::Relaxed) {
            self.progress.note("there is space again: resuming");
        }
    }

    /// Removes unused slots if the disk is full after an attempt; returns whether space is free now.
    pub(crate) async fn make_room(&self, claim: &Claim) -> bool {
        let Some(shortage) = self.shortage() else { return false };
        if !self.may_make_room(claim) {
            return false;
        }
        let removed = self.repo.make_room(&shortage).await.unwrap_or_else(|error| {
            tracing::warn!("cannot free space: {error}");
            0
        });
        let made = removed > 0 && self.shortage().is_none();
        if made {
            let slots = counted(removed as u64, "slot");
            let what = "not in use: there is space again";
            self.progress.note(&format!("{shortage}; removed {slots} {what}"));
        }
        made
    }

    fn may_make_room(&self, claim: &Claim) -> bool {
        let mut made = self.room_made.lock().unwrap_or_else(PoisonError::into_inner);
        let times = made.entry((claim.run_id.clone(), claim.phase_id.clone())).or_default();
        *times += 1;
        *times <= MADE_FOR_A_PHASE
    }

    /// Runs an attempt and records any shortage during the run: files missing after a failed write of the agent stay
    /// missing after space is free again.
    pub(crate) async fn with_shortage<T>(
        &self,
        attempt: impl Future<Output = T>,
    ) -> (T, Option<Shortage>) {
        let mut attempt = pin!(attempt);
        let mut looks = tokio::time::interval(LOOK_DURING);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut met = None;
        let ended = loop {
            tokio::select! {
                // Check first, before anything is written.
                biased;
                _ = looks.tick(), if met.is_none() => met = self.shortage(),
                ended = &mut attempt => break ended,
            }
        };
        (ended, met.or_else(|| self.shortage()))
    }
}

/// Attributes any error during a shortage to the full disk: git does not always name the cause.
pub(crate) fn unless_full(
    tried: Result<Verdict, Trouble>,
    shortage: Option<Shortage>,
) -> Result<Verdict, Trouble> {
    let Some(shortage) = shortage else { return tried };
    let why = match tried {
        Ok(Verdict::Failed(Failure { message, .. })) => message,
        Err(Trouble::Ours(error)) => format!("{error:#}"),
        tried => return tried,
    };
    Err(Trouble::Full(format!("{why}, while {shortage}")))
}
