//! Simultaneous runs of CI and their results: whether a run may have made another run red.

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
    /// The result of a run will stay unknown: the run was stopped, or belongs to another drain.
    pub has_unknown: bool,
    /// A run is in progress.
    pub is_running: bool,
}

impl Company {
    /// Returns whether there was another run.
    pub fn is_any(self) -> bool {
        self.has_green || self.has_red || self.has_unknown || self.is_running
    }
}

/// Expected rest of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Remaining {
    /// Remaining part of the mean duration. For a longer run: the excess over the mean.
    pub share: f64,
    /// Mean duration of the runs that passed.
    pub of: Duration,
}

/// Runs of this drain, in the order of their starts.
#[derive(Debug, Default)]
pub struct RunLog {
    begun: u64,
    runs: VecDeque<LoggedRun>,
    /// Highest number of a run beside a forgotten run.
    forgotten: u64,
}

#[derive(Debug)]
struct LoggedRun {
    number: u64,
    /// The command, to distinguish CI from a phase's own check.
    program: String,
    started: Instant,
    /// Duration of a passed run. A failed run may have ended early.
    took: Option<Duration>,
    /// The end, and the number of runs begun until then.
    ended: Option<(RunEnd, u64)>,
}

impl RunLog {
    /// Records the start of a run of this command, and returns its number.
    pub fn begin(&mut self, program: &str) -> u64 {
        self.begun += 1;
        self.runs.push_back(LoggedRun {
            number: self.begun,
            program: program.to_owned(),
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

    /// Returns the mean duration of the passed runs.
    pub fn mean_duration(&self) -> Option<Duration> {
        mean(self.runs.iter().filter_map(|run| run.took))
    }

    /// Returns the expected rest of the runs in progress. `starts`: another run is about to start, if none is in
    /// progress. `None` if no run is in progress, or if the command of a run in progress has not passed yet.
    pub fn remaining(&self, starts: bool) -> Option<Remaining> {
        let mean_of = |program: &str| {
            mean(self.runs.iter().filter(|run| run.program == program).filter_map(|run| run.took))
        };
        let mut most: Option<Remaining> = None;
        for run in self.runs.iter().filter(|run| run.ended.is_none()) {
            let of = mean_of(&run.program)?;
            let share = (1.0 - run.started.elapsed().as_secs_f64() / of.as_secs_f64()).abs();
            if most.is_none_or(|most| most.share < share) {
                most = Some(Remaining { share, of });
            }
        }
        let starting = || starts.then(|| Some(Remaining { share: 1.0, of: self.mean_duration()? }));
        most.or_else(|| starting().flatten())
    }

    /// Returns whether a run of the test passed, and another run of the same command passed during at least half of
    /// this run. Such a result is evidence that the runs share no exclusive resource.
    pub fn passed_together(&self, test: &[u64]) -> bool {
        let of_test = |run: &&LoggedRun| test.contains(&run.number);
        self.runs.iter().filter(of_test).any(|own| {
            let others = self.runs.iter().filter(|other| !of_test(other));
            others.into_iter().any(|other| own.passed_together_with(other))
        })
    }

    /// Returns whether a run is in progress.
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

    fn passed_together_with(&self, other: &Self) -> bool {
        let (Some(took), Some(other_took)) = (self.took, other.took) else { return false };
        if self.program != other.program {
            return false;
        }
        let end = (self.started + took).min(other.started + other_took);
        let together = end.saturating_duration_since(self.started.max(other.started));
        together * 2 >= took.max(other_took)
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
        let first = log.begin("ci");
        log.end(first, RunEnd::Green);
        assert!(!log.company(&[first]).is_any());
        let second = log.begin("ci");
        let third = log.begin("ci");
        assert!(log.company(&[second]).is_running);
        log.end(third, RunEnd::Red);
        log.end(third, RunEnd::Green);
        log.end(second, RunEnd::Green);
        let red = Company { has_red: true, ..Company::default() };
        assert_eq!(log.company(&[second]), red, "the first ended before, and an end counts once");
        let fourth = log.begin("ci");
        assert!(!log.company(&[fourth]).is_any());
        assert!(!log.company(&[second, third]).is_any(), "runs of one test are no company");
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_until_runs_end_is_expected_from_those_before() {
        let mut log = RunLog::default();
        let first = log.begin("ci");
        let rest = |share| Some(Remaining { share, of: Duration::from_secs(4) });
        assert_eq!(log.remaining(false), None, "none has passed");
        tokio::time::advance(Duration::from_secs(4)).await;
        log.end(first, RunEnd::Green);
        assert_eq!(log.remaining(false), None, "none goes on");
        assert_eq!(log.remaining(true), rest(1.0));
        let other = log.begin("check");
        assert_eq!(log.remaining(true), None, "none of this command has passed");
        log.end(other, RunEnd::Unknown);
        let red = log.begin("ci");
        log.end(red, RunEnd::Red);
        let stopped = log.begin("ci");
        tokio::time::advance(Duration::from_secs(1)).await;
        let last = log.begin("ci");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(log.remaining(false), rest(0.75));
        log.end(stopped, RunEnd::Unknown);
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(log.remaining(false), rest(1.5), "6 s longer than usual");
        log.end(last, RunEnd::Red);
        assert_eq!(log.remaining(false), None);
    }

    #[tokio::test(start_paused = true)]
    async fn runs_that_pass_during_half_of_each_other_share_nothing() {
        let mut log = RunLog::default();
        let advance = |seconds| tokio::time::advance(Duration::from_secs(seconds));
        let first = log.begin("ci");
        advance(3).await;
        let second = log.begin("ci");
        advance(1).await;
        log.end(first, RunEnd::Green);
        assert!(!log.passed_together(&[first]), "the second goes on");
        advance(3).await;
        log.end(second, RunEnd::Green);
        assert!(!log.passed_together(&[second]), "one second of four");
        let [third, red] = [log.begin("ci"), log.begin("ci")];
        advance(1).await;
        let fourth = log.begin("ci");
        advance(1).await;
        log.end(red, RunEnd::Red);
        log.end(third, RunEnd::Green);
        assert!(!log.passed_together(&[third]), "beside a red one, and one that goes on");
        log.end(fourth, RunEnd::Green);
        assert!(log.passed_together(&[fourth]) && log.passed_together(&[third]));
        assert!(!log.passed_together(&[red]));
        assert!(!log.passed_together(&[third, fourth]), "runs of one test");
        let [ci, check] = ["ci", "check"].map(|program| log.begin(program));
        advance(1).await;
        for run in [ci, check] {
            log.end(run, RunEnd::Green);
        }
        assert!(!log.passed_together(&[ci]), "they may use different ports");
    }

    #[test]
    fn forgotten_runs_are_unknown_company() {
        let mut log = RunLog::default();
        let [gone, long] = [log.begin("ci"), log.begin("ci")];
        log.end(gone, RunEnd::Green);
        for _ in 0..REMEMBERED * 2 {
            let run = log.begin("ci");
            log.end(run, RunEnd::Red);
        }
        let red = Company { has_red: true, has_unknown: true, ..Company::default() };
        assert_eq!(log.company(&[long]), red, "beside the first one, which is forgotten");
        log.end(long, RunEnd::Red);
        let last = log.begin("ci");
        assert!(log.runs.len() <= REMEMBERED);
        assert!(!log.company(&[last]).is_any());
    }
}
