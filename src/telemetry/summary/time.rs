//! Where time went: the wall time of attempts in its parts, and the time in which nothing ran.
//!
//! ```text
//! attempts_ms = agent_ms + ci_ms + ours_ms + unknown_ms
//! span_ms     = busy_ms + rate_limited_ms + idle_ms
//! ```
//!
//! Of attempts that run at once each counts in the first line, and their time once in the second.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::phase::{AttemptFacts, AttemptOutcome, RunId};

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Time {
    /// The wall time of all attempts that ended.
    pub attempts_ms: u64,
    pub agent_ms: u64,
    pub ci_ms: u64,
    /// What is left of attempts: slot, prompt, judging, landing, the store.
    pub ours_ms: u64,
    /// Attempts that reached an agent and died before anybody could say how long it ran.
    pub unknown_ms: u64,
    /// From the first start to the last end, summed over runs.
    pub span_ms: u64,
    /// When at least one attempt ran.
    pub busy_ms: u64,
    /// When nothing ran after an attempt that a limit had turned away.
    pub rate_limited_ms: u64,
    /// When nothing ran for another reason: no drain, or between two attempts.
    pub idle_ms: u64,
}

/// Intervals by run, until all are known.
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
        // The parts are measured by a clock that does not jump, start and end are not: the parts win.
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
