//! A full disk is waited for: it is nobody's fault, and often over in minutes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Site, Trouble};
use crate::phase::{Failure, Verdict};
use crate::process::{Stop, StopLevel};
use crate::workspace::Shortage;

const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Site {
    /// Where an attempt has no room to work, if anywhere.
    pub fn shortage(&self) -> Option<Shortage> {
        let database = self.store.path();
        self.repo.shortage(&[database.parent().unwrap_or(database)])
    }

    /// A moment, after which the write that failed may be tried again; said once. `false`: the drain was stopped.
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

    pub fn say_space_again(&self) {
        if self.said_full.swap(false, Ordering::Relaxed) {
            self.progress.note("there is space again: going on");
        }
    }

    /// What fails while the disk is full fails for want of space, whatever it says: git does not always say why.
    pub(super) fn unless_full(&self, tried: Result<Verdict, Trouble>) -> Result<Verdict, Trouble> {
        let why = match &tried {
            Ok(Verdict::Failed(Failure { message, .. })) => message.clone(),
            Err(Trouble::Ours(error)) => format!("{error:#}"),
            _ => return tried,
        };
        match self.shortage() {
            Some(shortage) => Err(Trouble::Full(format!("{why}, while {shortage}"))),
            None => tried,
        }
    }
}
