//! End of claims: from a time limit or a request of the operator on, a drain starts no phase and finishes its running
//! phases.

use std::time::Duration;

use tokio::sync::watch;

use crate::clock::machine_now;
use crate::phase::UnixMs;

/// Longest single wait, so that changes of the clock are noticed.
const STEP: Duration = Duration::from_secs(5);

/// Time from which no phase starts.
#[derive(Clone, Debug)]
pub struct TimeLimit {
    /// The time, by the clock of this machine.
    pub at: UnixMs,
    /// The time as shown to people.
    pub shown: String,
}

/// Reason to start no further phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimEnd {
    /// The operator asked for `stop --after-current`.
    AfterCurrent,
    /// The time limit, as shown to people.
    TimeLimit(String),
}

impl ClaimEnd {
    /// Returns the reason in words.
    pub fn describe(&self) -> String {
        match self {
            Self::AfterCurrent => "requested by `stop --after-current`".to_owned(),
            Self::TimeLimit(shown) => format!("the time limit {shown} is reached"),
        }
    }
}

/// Watches for the end of claims.
#[derive(Clone, Debug)]
pub(super) struct ClaimEndWatch {
    limit: Option<TimeLimit>,
    winding_down: watch::Receiver<bool>,
}

impl ClaimEndWatch {
    pub fn new(limit: Option<TimeLimit>, winding_down: watch::Receiver<bool>) -> Self {
        Self { limit, winding_down }
    }

    /// Returns the reason, if claims have ended.
    pub fn reached(&self) -> Option<ClaimEnd> {
        if *self.winding_down.borrow() {
            return Some(ClaimEnd::AfterCurrent);
        }
        let limit = self.limit.as_ref().filter(|limit| limit.at.0 <= machine_now().0)?;
        Some(ClaimEnd::TimeLimit(limit.shown.clone()))
    }

    /// Waits for the end of claims. Cancel safe.
    pub async fn wait(&self) {
        let mut winding_down = self.winding_down.clone();
        let requested = async {
            // The sender lives as long as the drain.
            if winding_down.wait_for(|requested| *requested).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let late = async {
            let Some(limit) = &self.limit else { return std::future::pending().await };
            loop {
                let left = limit.at.since(machine_now());
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(STEP)).await;
            }
        };
        tokio::select! {
            () = requested => {}
            () = late => {}
        }
    }
}
