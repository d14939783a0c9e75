//! Runs of CI that went on at the same time, and how they ended: whether one may have made another red.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Ended runs remembered.
const REMEMBERED: usize = 512;

/// End of a run of CI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// CI passed.
    Green,
    /// CI failed.
    Red,
    /// The run was stopped, or did not end by itself.
    Unknown,
}

/// Runs of CI at the same time as the runs of one test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Company {
    /// A run passed.
    pub has_green: bool,
    /// A run failed.
    pub has_red: bool,
    /// The result of a run will stay unknown: it was stopped, or belongs to another drain.
    pub has_unknown: bool,
    /// A run goes on.
    pub is_running: bool,
}

impl Company {
    /// Returns whether there was another run.
    pub fn is_any(self) -> bool {
        self.has_green || self.has_red || self.has_unknown || self.is_running
    }
}

/// Runs of this drain, in the order of their starts.
#[derive(Debug, Default)]
pub struct RunLog {
    begun: u64,
    runs: VecDeque<LoggedRun>,
    /// Highest number of a run that was beside a forgotten one.
    forgotten: u64,
}

#[derive(Debug)]
struct LoggedRun {
    number: u64,
    started: Instant,
    /// Duration, of a run that passed: one that failed may have ended early.
    took: Option<Duration>,
    /// The end, and the number of runs begun until then.
    ended: Option<(RunEnd, u64)>,
}

impl RunLog {
    /// Records the start of a run, and returns its number.
    pub fn begin(&mut self) -> u64 {
        self.begun += 1;
        self.runs.push_back(LoggedRun {
            number: self.begun,
            started: Instant::now(),
            took: None,
            ended: None,
        });
        while self.runs.len() > REMEMBERED
            && let Some((_, last)) = self.runs.front().and_then(|run| run.ended)
        {
            self.runs.pop_front();
            self.forgotten = self.forgotten.max(last);
        }
        self.begun
    }

    /// Records the end of a run. A later end of the same run is ignored.
    pub fn end(&mut self, number: u64, end: RunEnd) {
        let begun = self.begun;
        if let Some(run) = self.runs.iter_mut().rev().find(|run| run.number == number)
            && run.ended.is_none()
        {
            run.ended = Some((end, begun));
            run.took = (end == RunEnd::Green).then(|| run.started.elapsed());
        }
    }

    /// Returns the mean duration of the runs that passed.
    pub fn mean_duration(&self) -> Option<Duration> {
        mean(self.runs.iter().filter_map(|run| run.took))
    }

    /// Returns the expected time until the last run ends, in mean durations; `starts`: another one is about to start, if none
    /// goes on. For a run that takes longer than that: by how much. `None` if no run goes on, or none has passed.
    pub fn remaining(&self, starts: bool) -> Option<f64> {
        let mean = self.mean_duration()?.as_secs_f64();
        let running = self.runs.iter().filter(|run| run.ended.is_none());
        let elapsed = running.map(|run| run.started.elapsed().as_secs_f64());
        let starting = (starts && !self.is_running()).then_some(0.0);
        elapsed.chain(starting).map(|elapsed| (1.0 - elapsed / mean).abs()).reduce(f64::max)
    }

    /// Returns whether a run goes on.
    pub fn is_running(&self) -> bool {
        self.runs.iter().any(|run| run.ended.is_none())
    }

    /// Returns the company of a test with these runs.
    pub fn company(&self, test: &[u64]) -> Company {
        let mut company = Company::default();
        for number in test {
            company.has_unknown |= self.forgotten >= *number;
            let Some(own) = self.runs.iter().find(|run| run.number == *number) else { continue };
            for other in self.runs.iter().filter(|other| !test.contains(&other.number)) {
                if !other.was_beside(own) {
                    continue;
                }
                match other.ended {
                    None => company.is_running = true,
                    Some((RunEnd::Green, _)) => company.has_green = true,
                    Some((RunEnd::Red, _)) => company.has_red = true,
                    Some((RunEnd::Unknown, _)) => company.has_unknown = true,
                }
            }
        }
        company
    }
}

impl LoggedRun {
    fn was_beside(&self, other: &Self) -> bool {
        let last = |run: &Self| run.ended.map_or(u64::MAX, |(_, last)| last);
        self.number <= last(other) && other.number <= last(self)
    }
}

/// Returns the mean of durations, if there are any.
pub(super) fn mean(durations: impl Iterator<Item = Duration>) -> Option<Duration> {
    let (sum, number) =
        durations.fold((Duration::ZERO, 0), |(sum, number), one| (sum + one, number + 1));
    (number > 0).then(|| sum / number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_beside_each_other_from_start_to_end() {
        let mut log = RunLog::default();
        let first = log.begin();
        log.end(first, RunEnd::Green);
        assert!(!log.company(&[first]).is_any());
        let second = log.begin();
        let third = log.begin();
        assert!(log.company(&[second]).is_running);
        log.end(third, RunEnd::Red);
        log.end(third, RunEnd::Green);
        log.end(second, RunEnd::Green);
        let red = Company { has_red: true, ..Company::default() };
        assert_eq!(log.company(&[second]), red, "the first ended before, and an end counts once");
        let fourth = log.begin();
        assert!(!log.company(&[fourth]).is_any());
        assert!(!log.company(&[second, third]).is_any(), "runs of one test are no company");
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_until_runs_end_is_expected_from_those_before() {
        let mut log = RunLog::default();
        let first = log.begin();
        assert_eq!(log.remaining(false), None, "none has passed");
        tokio::time::advance(Duration::from_secs(4)).await;
        log.end(first, RunEnd::Green);
        assert_eq!(log.remaining(false), None, "none goes on");
        assert_eq!(log.remaining(true), Some(1.0));
        let red = log.begin();
        log.end(red, RunEnd::Red);
        let stopped = log.begin();
        tokio::time::advance(Duration::from_secs(1)).await;
        let last = log.begin();
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(log.remaining(false), Some(0.75));
        log.end(stopped, RunEnd::Unknown);
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(log.remaining(false), Some(1.5), "6 s longer than usual");
        log.end(last, RunEnd::Red);
        assert_eq!(log.remaining(false), None);
    }

    #[test]
    fn forgotten_runs_are_unknown_company() {
        let mut log = RunLog::default();
        let [gone, long] = [log.begin(), log.begin()];
        log.end(gone, RunEnd::Green);
        for _ in 0..REMEMBERED * 2 {
            let run = log.begin();
            log.end(run, RunEnd::Red);
        }
        let red = Company { has_red: true, has_unknown: true, ..Company::default() };
        assert_eq!(log.company(&[long]), red, "beside the first one, which is forgotten");
        log.end(long, RunEnd::Red);
        let last = log.begin();
        assert!(log.runs.len() <= REMEMBERED);
        assert!(!log.company(&[last]).is_any());
    }
}
