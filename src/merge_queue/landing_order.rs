//! Merge queue within a drain: attempts land on a run's branch one at a time, in the order in which they were ready.
//! Drains queue among each other at a lock (`drain_order`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::phase::RunId;

/// Merge queue shared by all attempts of a drain.
#[derive(Debug, Default)]
pub struct MergeQueue {
    runs: Mutex<HashMap<RunId, Arc<tokio::sync::Mutex<LastLanding>>>>,
}

/// Last commit landed on a run's branch by this drain.
#[derive(Debug, Default)]
pub struct LastLanding(Option<String>);

/// Queue position of an attempt, held until dropped.
pub type QueuePosition = OwnedMutexGuard<LastLanding>;

impl LastLanding {
    /// Records a landed commit.
    pub fn note(&mut self, commit: &str) {
        self.0 = Some(commit.to_owned());
    }

    /// Returns whether the tip has certainly moved. Other drains and the user move the tip, too.
    pub fn is_beyond(&self, tip: &str) -> bool {
        self.0.as_ref().is_some_and(|last| last != tip)
    }
}

impl MergeQueue {
    /// Waits for this attempt's queue position, first come, first served. A caller giving up leaves the queue.
    pub async fn wait_for_position(&self, run: &RunId) -> QueuePosition {
        let queue = {
            let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
            runs.entry(run.clone()).or_default().clone()
        };
        queue.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_attempt_of_a_run_lands_at_a_time_and_runs_are_independent() {
        let queue = MergeQueue::default();
        let (one, two) = (RunId::new("one"), RunId::new("two"));
        let first = queue.wait_for_position(&one).await;
        let _other = queue.wait_for_position(&two).await;
        let mut second = std::pin::pin!(queue.wait_for_position(&one));
        tokio::select! {
            biased;
            _ = &mut second => panic!("two positions at once"),
            () = tokio::task::yield_now() => {}
        }
        drop(first);
        second.await;
    }
}
