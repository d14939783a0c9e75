//! Circuit breaker: calls pause after a failure, so that a dead Qdrant costs a phase the deadline only once.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Circuit breaker for calls to a server.
#[derive(Debug, Default)]
pub struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    admits_again: Option<Instant>,
    /// A trial call was admitted and has not been answered yet.
    asking: bool,
}

impl Breaker {
    /// Checks whether a call may be made now. After a pause a single trial call is admitted; other calls wait for the
    /// result.
    pub fn admits(&self) -> bool {
        self.admits_at(Instant::now())
    }

    fn admits_at(&self, now: Instant) -> bool {
        let mut state = self.state();
        match state.admits_again {
            Some(at) if now < at => false,
            Some(_) => {
                state.admits_again = Some(now + pause(state.failures));
                state.asking = true;
                true
            }
            None => true,
        }
    }

    #[cfg(test)]
    fn is_open(&self) -> bool {
        self.state().admits_again.is_some()
    }

    /// Records a success and closes the breaker.
    pub fn succeeded(&self) {
        *self.state() = State::default();
    }

    /// Records a failure and lengthens the pause.
    pub fn failed(&self) {
        self.failed_at(Instant::now());
    }

    fn failed_at(&self, now: Instant) {
        let mut state = self.state();
        let asked = std::mem::take(&mut state.asking);
        if !asked && state.admits_again.is_some_and(|at| now < at) {
            // Several calls were running when the server died: count them as a single failure.
            return;
        }
        state.failures = state.failures.saturating_add(1);
        state.admits_again = Some(now + pause(state.failures));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pause(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(8);
    (FIRST_PAUSE * 2u32.pow(doublings)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concurrent_failures_count_once() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..8 {
            breaker.failed_at(now);
        }
        assert!(breaker.admits_at(now + FIRST_PAUSE));
    }

    #[test]
    fn failures_block_calls_for_longer_each_time_and_an_answer_resets() {
        let breaker = Breaker::default();
        let mut now = Instant::now();
        assert!(breaker.admits_at(now) && !breaker.is_open());
        for seconds in [5, 10, 20, 40, 60, 60] {
            breaker.failed_at(now);
            assert!(!breaker.admits_at(now) && breaker.is_open());
            now += Duration::from_secs(seconds);
            assert!(!breaker.admits_at(now - Duration::from_millis(1)));
            assert!(breaker.admits_at(now), "one call, to see whether it is back");
            assert!(!breaker.admits_at(now), "but only one");
        }
        breaker.succeeded();
        assert!(breaker.admits_at(now) && breaker.admits_at(now));
    }
}
