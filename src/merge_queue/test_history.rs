//! Recent tests of a run, and the resulting test mode of changes.

use std::collections::VecDeque;
use std::time::Duration;

use super::ci_company::mean;

/// Tests and landings remembered.
const REMEMBERED: usize = 20;
/// Tests known before their results count.
const ENOUGH: usize = 8;
/// Most CI runs for each landing, over the remembered landings, before each change is tested on its own base first.
const MOST_RUNS: f64 = 2.0;
/// Failures beside other runs of CI, each followed by a pass alone, after which CI runs one at a time.
const PARALLEL_FAILURES: u32 = 2;
/// Tests that passed beside another test after a failure, until the failure is forgotten as a flaky test.
const PARALLEL_PASSES: u32 = 20;
/// Tests that passed beside another test, until runs of CI count as independent of each other.
const PARALLEL_PROOF: u32 = 2;

/// Test mode for changes of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestMode {
    /// In the queue only, on the members before.
    InQueue,
    /// On its own base first, and then in the queue: a red change never enters.
    AloneFirst,
    /// In the queue only, and only the first member at a time.
    OneAtATime,
}

/// Recent tests of a run by this drain.
#[derive(Debug, Default)]
pub struct TestHistory {
    /// Whether each test was red.
    tests: VecDeque<bool>,
    /// CI runs in the queue for each landing.
    landings: VecDeque<u32>,
    runs_since_landing: u32,
    parallel_failures: u32,
    parallel_passes: u32,
    /// Whether the last repeated red test was red again, and no red test has counted because of this result.
    was_red_again: bool,
    /// Durations of agent runs.
    agents: VecDeque<Duration>,
    /// Whether other drains work on the run.
    pub has_other_drains: bool,
}

impl TestHistory {
    /// Returns the test mode for the next change.
    pub fn mode(&self) -> TestMode {
        if self.parallel_failures >= PARALLEL_FAILURES {
            return TestMode::OneAtATime;
        }
        let red = self.red_tests();
        let is_often_red = self.tests.len() >= ENOUGH && red * 4 > self.tests.len();
        let runs: u32 = self.landings.iter().sum();
        let is_wasteful = self.landings.len() == REMEMBERED
            && f64::from(runs) > MOST_RUNS * self.landings.len() as f64;
        match is_often_red || is_wasteful {
            true => TestMode::AloneFirst,
            false => TestMode::InQueue,
        }
    }

    /// Records a change's result: green as soon as CI passed, red once the result counts against the change.
    pub fn note_test(&mut self, is_red: bool) {
        push(&mut self.tests, is_red);
    }

    /// Records the duration of the agent's work on a change.
    pub fn note_agent(&mut self, took: Duration) {
        push(&mut self.agents, took);
    }

    /// Returns the mean time of agents.
    pub fn agent_time(&self) -> Option<Duration> {
        mean(self.agents.iter().copied())
    }

    /// Records a run of CI in the queue.
    pub fn note_queue_run(&mut self) {
        self.runs_since_landing += 1;
    }

    /// Records a landing.
    pub fn note_landing(&mut self) {
        push(&mut self.landings, std::mem::take(&mut self.runs_since_landing));
    }

    /// Records a repeated red test: red again, or green.
    pub fn note_repeat(&mut self, is_red: bool) {
        self.was_red_again = is_red;
    }

    /// Returns whether a red test needs no repetition, because the last repeated test was red again. The next red test
    /// will be repeated.
    pub fn is_red_real(&mut self) -> bool {
        std::mem::take(&mut self.was_red_again)
    }

    fn red_tests(&self) -> usize {
        self.tests.iter().filter(|is_red| **is_red).count()
    }

    /// Returns the expected share of red tests. With few tests, the share includes a guess of one red test in four.
    /// Before the first test, the worst is assumed.
    pub fn red_rate(&self) -> f64 {
        if self.tests.is_empty() {
            return 1.0;
        }
        (self.red_tests() + 1) as f64 / (self.tests.len() + 4) as f64
    }

    /// Returns whether runs of CI are known not to disturb each other.
    pub fn is_parallel_safe(&self) -> bool {
        self.parallel_failures == 0 && self.parallel_passes >= PARALLEL_PROOF
    }

    /// Records a test that passed beside another test.
    pub fn note_parallel_pass(&mut self) {
        self.parallel_passes += 1;
        if self.parallel_passes >= PARALLEL_PASSES {
            self.parallel_failures = 0;
        }
    }

    /// Records a run of CI that was red beside another run, and green alone. Returns whether CI therefore runs one at a
    /// time from now on.
    pub fn note_parallel_failure(&mut self) -> bool {
        self.parallel_passes = 0;
        self.parallel_failures += 1;
        self.parallel_failures == PARALLEL_FAILURES
    }
}

fn push<T>(list: &mut VecDeque<T>, item: T) {
    list.push_back(item);
    if list.len() > REMEMBERED {
        list.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_with_many_red_tests_tests_alone_first_until_they_pass_again() {
        let mut history = TestHistory::default();
        (0..ENOUGH - 1).for_each(|_| history.note_test(true));
        assert_eq!(history.mode(), TestMode::InQueue, "too few to tell");
        history.note_test(true);
        assert_eq!(history.mode(), TestMode::AloneFirst);
        (0..REMEMBERED - 5).for_each(|_| history.note_test(false));
        assert_eq!(history.mode(), TestMode::InQueue, "5 of 20 are no more than a quarter");
    }

    #[test]
    fn every_second_red_test_is_repeated_while_they_are_red_again() {
        let mut history = TestHistory::default();
        for _ in 0..3 {
            assert!(!history.is_red_real());
            history.note_repeat(true);
            assert!(history.is_red_real());
        }
        history.note_repeat(true);
        history.note_repeat(false);
        assert!(!history.is_red_real());
    }

    #[test]
    fn the_expected_share_of_red_tests_follows_the_last_ones() {
        let mut history = TestHistory::default();
        assert_eq!(history.red_rate(), 1.0);
        history.note_test(true);
        assert_eq!(history.red_rate(), 0.4);
        (0..REMEMBERED).for_each(|_| history.note_test(false));
        assert_eq!(history.red_rate(), 1.0 / 24.0);
    }

    #[test]
    fn wasted_runs_lead_to_tests_alone_first() {
        let mut history = TestHistory::default();
        for landing in 0..REMEMBERED {
            assert_eq!(history.mode(), TestMode::InQueue, "{landing}");
            (0..3).for_each(|_| history.note_queue_run());
            history.note_landing();
        }
        assert_eq!(history.mode(), TestMode::AloneFirst);
    }

    #[test]
    fn failures_beside_others_that_pass_alone_end_parallel_runs() {
        let mut history = TestHistory::default();
        assert!(!history.is_parallel_safe());
        (0..PARALLEL_PROOF).for_each(|_| history.note_parallel_pass());
        assert!(history.is_parallel_safe());
        assert!(!history.note_parallel_failure());
        (0..PARALLEL_PASSES).for_each(|_| {
            assert!(!history.is_parallel_safe());
            history.note_parallel_pass();
        });
        assert!(history.is_parallel_safe(), "the failure is forgotten");
        assert!(!history.note_parallel_failure());
        assert_eq!(history.mode(), TestMode::InQueue);
        assert!(history.note_parallel_failure());
        assert_eq!(history.mode(), TestMode::OneAtATime);
        assert!(!history.note_parallel_failure(), "reported once");
    }
}
