//! Time by activity: the wall time of attempts in parts, and the time without a running attempt.
//!
//! ```text
//! attempts_ms = agent_ms + ci_ms + ours_ms + unknown_ms
//! span_ms     = busy_ms + rate_limited_ms + idle_ms
//! ```
//!
//! The first line adds up concurrent attempts; the second counts concurrent time once.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::phase::{AttemptFacts, AttemptOutcome, RunId};

/// Wall time by activity, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Time {
    /// Wall time of all ended attempts.
    pub attempts_ms: u64,
    /// Time in agents.
    pub agent_ms: u64,
    /// Time in CI.
    pub ci_ms: u64,
    /// Rest of the attempts: slot, prompt, verdict, landing, store.
    pub ours_ms: u64,
    /// Attempts with an agent that died before the agent's running time was recorded.
    pub unknown_ms: u64,
    /// Time from the first start to the last end, summed over runs.
    pub span_ms: u64,
    /// Time with at least one running attempt.
    pub busy_ms: u64,
    /// Idle time after an attempt deferred by a rate limit.
    pub rate_limited_ms: u64,
    /// Idle time for other reasons: no drain, or between two attempts.
    pub idle_ms: u64,
}

/// Intervals by run, collected until the end.
#[derive(Debug, Default)]
pub(super) struct Clock {
    time: Time,
    intervals: BTreeMap<RunId, Vec<Interval>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Interval {
    start: i64,
    end: i64,
    limited: bool,
}

impl Clock {
    pub fn add(&mut self, run: &RunId, attempt: &AttemptFacts) {
        let (Some(end), start) = (attempt.ended_at, attempt.started_at.0) else { return };
        let measured = attempt.agent_ms.unwrap_or(0) + attempt.ci_ms.unwrap_or(0);
        // The parts come from a monotonic clock, start and end do not: the parts take precedence.
        let wall = u64::try_from(end.0 - start).unwrap_or(0).max(measured);
        let rest = wall - measured;
        self.time.attempts_ms += wall;
        self.time.agent_ms += attempt.agent_ms.unwrap_or(0);
        self.time.ci_ms += attempt.ci_ms.unwrap_or(0);
        match attempt.agent.is_some() && attempt.agent_ms.is_none() {
            true => self.time.unknown_ms += rest,
            false => self.time.ours_ms += rest,
        }
        let limited = attempt.outcome == Some(AttemptOutcome::RateLimited);
        let interval = Interval { start, end: start.saturating_add_unsigned(wall), limited };
        match self.intervals.get_mut(run) {
            Some(intervals) => intervals.push(interval),
            None => drop(self.intervals.insert(run.clone(), vec![interval])),
        }
    }

    pub fn time(mut self) -> Time {
        for intervals in std::mem::take(&mut self.intervals).into_values() {
            self.lay_out(intervals);
        }
        self.time
    }

    fn lay_out(&mut self, mut intervals: Vec<Interval>) {
        intervals.sort();
        let length = |from: i64, to: i64| u64::try_from(to - from).unwrap_or(0);
        let mut until: Option<Interval> = None;
        for next in intervals {
            let Some(last) = until else {
                self.time.busy_ms += length(next.start, next.end);
                until = Some(next);
                continue;
            };
            let gap = length(last.end, next.start);
            match last.limited {
                true => self.time.rate_limited_ms += gap,
                false => self.time.idle_ms += gap,
            }
            self.time.busy_ms += length(next.start.max(last.end), next.end);
            if next.end >= last.end {
                until = Some(next);
            }
        }
        let time = &mut self.time;
        time.span_ms = time.busy_ms + time.rate_limited_ms + time.idle_ms;
    }
}
