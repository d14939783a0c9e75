//! Passes requests to stop from signal handlers to running work: first gracefully, then immediately.
//!
//! The level of a request never falls.

use std::convert::Infallible;

use tokio::sync::watch;

/// Urgency of a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopLevel {
    /// No stop requested.
    Run,
    /// Start nothing new; ask running work to end, with a grace period.
    Graceful,
    /// Kill everything.
    Now,
}

/// The sending side, for a signal handler or the heartbeat.
#[derive(Clone, Debug)]
pub struct StopHandle(watch::Sender<StopLevel>);

/// The receiving side, for the work to be stopped.
#[derive(Clone, Debug)]
pub struct StopReceiver(watch::Receiver<StopLevel>);

impl StopHandle {
    /// Raises the level; a lower level has no effect.
    pub fn raise(&self, level: StopLevel) {
        self.0.send_if_modified(|at| {
            let higher = level > *at;
            *at = level.max(*at);
            higher
        });
    }

    /// Raises the level by one step, as each Ctrl-C does.
    pub fn raise_one(&self) {
        let next = match *self.0.borrow() {
            StopLevel::Run => StopLevel::Graceful,
            StopLevel::Graceful | StopLevel::Now => StopLevel::Now,
        };
        self.raise(next);
    }

    /// Returns the current level.
    pub fn level(&self) -> StopLevel {
        *self.0.borrow()
    }

    /// Checks whether any receiver is left.
    pub fn is_watched(&self) -> bool {
        self.0.receiver_count() > 0
    }

    /// Returns another receiver.
    pub fn watch(&self) -> StopReceiver {
        StopReceiver(self.0.subscribe())
    }

    /// Forwards stops of `whole` to this part of the work while awaited. A stop of the part does not affect the
    /// whole.
    pub async fn forward(&self, whole: &StopReceiver) -> Infallible {
        for level in [StopLevel::Graceful, StopLevel::Now] {
            whole.reached(level).await;
            self.raise(level);
        }
        std::future::pending().await
    }
}

impl StopReceiver {
    /// Creates a sender and a receiver.
    pub fn pair() -> (StopHandle, StopReceiver) {
        let (sender, receiver) = watch::channel(StopLevel::Run);
        (StopHandle(sender), StopReceiver(receiver))
    }

    /// Returns a receiver for work that nobody can stop.
    pub fn never() -> StopReceiver {
        StopReceiver::pair().1
    }

    /// Returns the current level.
    pub fn level(&self) -> StopLevel {
        *self.0.borrow()
    }

    /// Waits until the level is at least `level`. Without senders, waits forever.
    pub async fn reached(&self, level: StopLevel) {
        let mut levels = self.0.clone();
        if levels.wait_for(|at| *at >= level).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_higher_level_wakes_tasks_waiting_for_a_lower_level() {
        let (handle, stop) = StopReceiver::pair();
        let waiting = tokio::spawn({
            let stop = stop.clone();
            async move { stop.reached(StopLevel::Graceful).await }
        });
        handle.raise(StopLevel::Now);
        waiting.await.unwrap();
        handle.raise(StopLevel::Graceful);
        assert_eq!(stop.level(), StopLevel::Now);
    }

    #[tokio::test]
    async fn without_a_handle_nothing_is_ever_reached() {
        let stop = StopReceiver::never();
        tokio::select! {
            biased;
            () = stop.reached(StopLevel::Graceful) => panic!("nobody asked to stop"),
            () = tokio::task::yield_now() => {}
        }
    }

    #[tokio::test]
    async fn a_part_stops_with_the_whole_but_not_the_whole_with_a_part() {
        let ((whole, of_whole), (part, of_part)) = (StopReceiver::pair(), StopReceiver::pair());
        whole.raise(StopLevel::Graceful);
        tokio::select! {
            never = part.forward(&of_whole) => match never {},
            () = of_part.reached(StopLevel::Graceful) => {}
        }
        part.raise(StopLevel::Now);
        assert_eq!(of_whole.level(), StopLevel::Graceful);
    }

    #[test]
    fn one_more_ctrl_c_is_one_level_more() {
        let (handle, stop) = StopReceiver::pair();
        let mut seen = vec![stop.level()];
        for _ in 0..3 {
            handle.raise_one();
            seen.push(stop.level());
        }
        use StopLevel::*;
        assert_eq!(seen, [Run, Graceful, Now, Now]);
    }
}
