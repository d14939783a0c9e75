//! Outages of the remote of the runs, as the workers of a drain share them.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Questions that wait for the remote.
#[derive(Debug, Default)]
pub struct RemoteOutage {
    waiting: AtomicUsize,
}

/// Marks a question as waiting, until dropped.
pub(super) struct WaitingQuestion<'a>(&'a RemoteOutage);

impl RemoteOutage {
    /// Whether a question waits for the remote: nothing is claimed meanwhile.
    pub fn is_under_way(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Counts a waiting question. Returns whether it is the first.
    pub(super) fn wait(&self) -> (WaitingQuestion<'_>, bool) {
        let is_first = self.waiting.fetch_add(1, Ordering::Relaxed) == 0;
        (WaitingQuestion(self), is_first)
    }
}

impl Drop for WaitingQuestion<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
