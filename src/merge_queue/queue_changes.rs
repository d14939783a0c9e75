//! Changes of the merge queue: wakes the members of this drain, and tells the drain when a member waits for another drain.

use std::time::Duration;

use tokio::sync::watch;

/// Interval between two looks at a queue that another drain changes, if nothing tells of its changes.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The same if the database's server tells of them.
const TOLD_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Interval between two looks without another drain: a change that this drain does not know of, such as a removed run.
const RARE_INTERVAL: Duration = Duration::from_secs(2);
/// Interval between two checks whether another drain, for whose member one of ours waits, is gone.
const LIVENESS_INTERVAL: Duration = Duration::from_secs(1);

/// Changes of the merge queue by this drain, and members that wait for another drain.
#[derive(Debug)]
pub struct QueueChanges {
    count: watch::Sender<u64>,
    waiting_for_others: watch::Sender<usize>,
    /// Number of changes by others that the database's server told of; 0 if it tells of none.
    told: watch::Receiver<u64>,
}

/// Tells the waiting members of a change.
#[derive(Clone, Debug)]
pub struct Notifier(watch::Sender<u64>);

/// Receiver of the changes after its creation.
#[derive(Debug)]
pub struct ChangeReceiver {
    own: watch::Receiver<u64>,
    told: watch::Receiver<u64>,
}

/// Marks a member as waiting for another drain, until dropped.
#[derive(Debug)]
pub struct WaitingForOthers(watch::Sender<usize>);

impl Default for QueueChanges {
    fn default() -> Self {
        Self {
            count: watch::channel(0).0,
            waiting_for_others: watch::channel(0).0,
            told: watch::channel(0).1,
        }
    }
}

impl QueueChanges {
    /// Follows the changes by others, as far as the database's server tells of them.
    pub fn follow(&mut self, told: watch::Receiver<u64>) {
        self.told = told;
    }

    /// Tells the waiting members to look at the queue again.
    pub fn notify(&self) {
        self.notifier().notify();
    }

    /// Returns what tells the waiting members.
    pub fn notifier(&self) -> Notifier {
        Notifier(self.count.clone())
    }

    /// Returns a receiver; to be created before the queue is read, so that no change is missed.
    pub fn receiver(&self) -> ChangeReceiver {
        let mut told = self.told.clone();
        told.mark_unchanged();
        ChangeReceiver { own: self.count.subscribe(), told }
    }

    /// Marks a member as waiting for another drain.
    pub fn wait_for_others(&self) -> WaitingForOthers {
        self.waiting_for_others.send_modify(|count| *count += 1);
        WaitingForOthers(self.waiting_for_others.clone())
    }

    /// Returns once it is time to check whether another drain is gone, because a member of ours waits for it.
    pub async fn check_for_gone_drain(&self) {
        loop {
            let mut waiting = self.waiting_for_others.subscribe();
            // The sender lives as long as `self`.
            let _ = waiting.wait_for(|count| *count > 0).await;
            tokio::time::sleep(LIVENESS_INTERVAL).await;
            if *waiting.borrow() > 0 {
                return;
            }
        }
    }
}

impl Notifier {
    /// Tells the waiting members to look at the queue again.
    pub fn notify(&self) {
        self.0.send_modify(|count| *count += 1);
    }
}

impl ChangeReceiver {
    /// Returns at the next change, or when it is time to look at the queue again.
    pub async fn next(&mut self, polls: bool) {
        let interval = match (polls, *self.told.borrow()) {
            (false, _) => RARE_INTERVAL,
            (true, 0) => POLL_INTERVAL,
            (true, _) => TOLD_POLL_INTERVAL,
        };
        tokio::select! {
            _ = self.own.changed() => {}
            // An error: nothing is told.
            Ok(()) = self.told.changed(), if polls => {}
            () = tokio::time::sleep(interval) => {}
        }
    }
}

impl Drop for WaitingForOthers {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_change_wakes_and_the_liveness_of_others_is_checked_only_while_somebody_waits() {
        let changes = QueueChanges::default();
        let mut receiver = changes.receiver();
        changes.notify();
        let start = tokio::time::Instant::now();
        receiver.next(false).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        let waits = changes.wait_for_others();
        changes.check_for_gone_drain().await;
        drop(waits);
        tokio::select! {
            () = changes.check_for_gone_drain() => panic!("nobody waits"),
            () = tokio::time::sleep(LIVENESS_INTERVAL * 3) => {}
        }
    }
}
