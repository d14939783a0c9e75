//! State of a drain's live view. Input: events and steps. Output: lines to draw.

use std::time::{Duration, Instant};

use super::screen::Size;
use super::terminal_text::{fit, shown_id, shown_phase, stopwatch};
use super::view::{self, Fraction, Pace, RunningPhase};
use super::{Event, Step};
use crate::phase::{PhaseId, PhaseState, RunId};

/// Maximum width kept of an agent's activity.
const KEPT_COLUMNS: usize = 200;

/// Options for drawing the view.
#[derive(Clone, Copy, Debug)]
pub(super) struct DisplayOptions {
    pub size: Size,
    pub color: bool,
}

#[derive(Debug, Default)]
pub(super) struct Board {
    /// Start of the drain, while running.
    since: Option<Instant>,
    runs: usize,
    phases: u64,
    settled: u64,
    blocked: u64,
    jobs: u64,
    /// Attempts that ended in this drain.
    pace: Pace,
    /// Agents deferred by a rate limit, with its end.
    deferred: Vec<(String, Instant)>,
    running: Vec<PhaseProgress>,
    drawn: Option<(Size, Vec<String>)>,
}

/// A phase in progress in this drain.
#[derive(Debug)]
struct PhaseProgress {
    run: RunId,
    phase: PhaseId,
    try_number: u32,
    max_attempts: u32,
    agent: String,
    since: Instant,
    activity: String,
    activity_since: Instant,
}

impl Board {
    pub(super) fn several_runs(&self) -> bool {
        self.runs > 1
    }

    pub(super) fn take(&mut self, event: &Event, now: Instant) {
        match event {
            Event::DrainStarted(start) => {
                self.since = Some(now);
                self.runs = start.runs.len();
                self.phases = start.phases;
                self.settled = start.settled;
                self.jobs = start.jobs.into();
            }
            Event::PhaseStarted(phase) => {
                self.forget(&phase.run_id, &phase.phase_id);
                self.running.push(PhaseProgress {
                    run: phase.run_id.clone(),
                    phase: phase.phase_id.clone(),
                    try_number: phase.try_number,
                    max_attempts: phase.max_attempts,
                    agent: phase.agent.clone(),
                    since: now,
                    activity: Step::Preparing.as_str().to_owned(),
                    activity_since: now,
                });
            }
            Event::PhaseFinished(phase) => {
                self.forget(&phase.run_id, &phase.phase_id);
                let is_settled = phase.state != PhaseState::Queued;
                self.settled += u64::from(is_settled);
                // A refused spec takes no time.
                if phase.attempt.is_some() {
                    self.pace.attempts += 1;
                    self.pace.settled += u64::from(is_settled);
                    self.pace.busy += Duration::from_millis(phase.duration_ms);
                }
            }
            Event::BatchFinished(batch) => {
                self.blocked = batch.blocked;
                // Other drains may have settled phases meanwhile.
                self.settled = self.settled.max(self.phases.saturating_sub(batch.left));
            }
            Event::DrainFinished(_) => self.since = None,
            Event::BatchStarted { .. } => {}
        }
    }

    /// Records the current activity. A repeated activity does not reset its time.
    pub(super) fn step(&mut self, run: &RunId, phase: &PhaseId, activity: &str, now: Instant) {
        let work = self.running.iter_mut().find(|work| work.run == *run && work.phase == *phase);
        let Some(work) = work else { return };
        let activity = fit(activity, KEPT_COLUMNS);
        if work.activity != activity {
            work.activity = activity;
            work.activity_since = now;
        }
    }

    /// Records that a rate limit defers an agent until the given time.
    pub(super) fn defer(&mut self, agent: &str, until: Instant) {
        self.deferred.retain(|(name, _)| name != agent);
        self.deferred.push((agent.to_owned(), until));
    }

    fn forget(&mut self, run: &RunId, phase: &PhaseId) {
        self.running.retain(|work| work.run != *run || work.phase != *phase);
    }

    /// Returns the lines to draw, or `None` if unchanged.
    pub(super) fn picture(&mut self, options: DisplayOptions, now: Instant) -> Option<Vec<String>> {
        let taken = now.saturating_duration_since(self.since?);
        let (size, lines) = (options.size, self.lines(taken, options, now));
        let drawn = Some((size, lines));
        if self.drawn == drawn {
            return None;
        }
        self.drawn = drawn;
        self.drawn.as_ref().map(|(_, lines)| lines.clone())
    }

    fn lines(&self, taken: Duration, options: DisplayOptions, now: Instant) -> Vec<String> {
        let (columns, color) = (view::room(options.size), options.color);
        let fraction = Fraction { done: self.settled, of: self.phases };
        let mut lines = vec![view::bar(fraction, &self.facts(taken), columns, color)];
        let running: Vec<RunningPhase> =
            self.running.iter().map(|work| self.running_phase(work, now)).collect();
        let limits = self.limits(columns, now);
        // Leaves a row for the shell prompt from before the drain.
        let rows = options.size.rows.saturating_sub(2);
        let of_limits = limits.len().min(rows / 4);
        lines.extend(view::running(&running, rows - of_limits, columns, color));
        lines.extend(view::clip(limits, of_limits, "rate limited", columns));
        lines
    }

    /// Renders the countdown of each rate limit.
    fn limits(&self, columns: usize, now: Instant) -> Vec<String> {
        let left = |(agent, until): &(String, Instant)| {
            let left = until.checked_duration_since(now).filter(|left| !left.is_zero())?;
            let text =
                format!("  {} is rate limited for another {}", shown_id(agent), stopwatch(left));
            Some(fit(&text, columns))
        };
        self.deferred.iter().filter_map(left).collect()
    }

    fn facts(&self, taken: Duration) -> Vec<String> {
        let mut facts = vec![stopwatch(taken)];
        let left = self.phases.saturating_sub(self.settled + self.blocked);
        if let Some(time) = self.pace.time_left(left, self.jobs) {
            facts.push(format!("about {} left", view::roughly(time)));
        }
        if self.blocked > 0 {
            facts.push(format!("{} blocked", self.blocked));
        }
        facts
    }

    fn running_phase(&self, work: &PhaseProgress, now: Instant) -> RunningPhase {
        RunningPhase {
            name: shown_phase(&work.run, &work.phase, self.several_runs()),
            try_number: work.try_number,
            of_tries: Some(work.max_attempts),
            elapsed: now.saturating_duration_since(work.since),
            agent: work.agent.clone(),
            activity: Some((
                work.activity.clone(),
                now.saturating_duration_since(work.activity_since),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BatchFinished, DrainStarted, PhaseFinished, PhaseStarted};
    use super::*;
    use crate::phase::{Failure, FailureKind};

    const WIDE: DisplayOptions =
        DisplayOptions { size: Size { rows: 24, columns: 80 }, color: false };
    const NARROW: DisplayOptions =
        DisplayOptions { size: Size { rows: 9, columns: 40 }, color: false };

    fn started(runs: &[&str], now: Instant) -> Board {
        let mut board = Board::default();
        board.take(
            &Event::DrainStarted(DrainStarted {
                runs: runs.iter().map(|run| RunId::new(*run)).collect(),
                workspace: String::new(),
                database: String::new(),
                agent: String::new(),
                queued: 8,
                left_behind: 0,
                phases: 10,
                settled: 2,
                batch_size: 5,
                jobs: 1,
                memory_backend: "off",
                memory: None,
            }),
            now,
        );
        board
    }

    fn start(board: &mut Board, run: &str, phase: &str, now: Instant) {
        board.take(
            &Event::PhaseStarted(PhaseStarted {
                run_id: RunId::new(run),
                phase_id: PhaseId::new(phase),
                name: String::new(),
                attempt: 1,
                try_number: 1,
                max_attempts: 3,
                agent: "claude".to_owned(),
            }),
            now,
        );
    }

    fn end(board: &mut Board, run: &str, phase: &str, now: Instant) {
        let failure = Failure::new(FailureKind::Unfixable, "x");
        let (run, phase) = (RunId::new(run), PhaseId::new(phase));
        board.take(
            &Event::PhaseFinished(Box::new(PhaseFinished::refused(run, phase, failure))),
            now,
        );
    }

    #[test]
    fn parallel_phases_are_distinguished_by_run() {
        let now = Instant::now();
        let mut board = started(&["one", "two"], now);
        start(&mut board, "one", "same", now);
        start(&mut board, "two", "same", now);
        board.step(&RunId::new("two"), &PhaseId::new("same"), "editing\x1b[2J src/a.rs", now);
        let later = now + Duration::from_secs(65);
        assert_eq!(
            board.picture(WIDE, later).unwrap(),
            [
                "███░░░░░░░░░░░░░░░░ 2/10 · 1:05",
                "  one/same  1/3  1:05  claude  preparing the slot · 1:05",
                "  two/same  1/3  1:05  claude  editing [2J src/a.rs · 1:05"
            ]
        );
        assert_eq!(board.picture(WIDE, later), None, "it stands there already");
        assert!(board.picture(NARROW, later).is_some(), "but not in this size");
        end(&mut board, "one", "same", now);
        assert_eq!(board.picture(WIDE, later).unwrap().len(), 2);
    }

    #[test]
    fn a_rate_limit_counts_down_and_goes() {
        let now = Instant::now();
        let mut board = started(&["one"], now);
        board.defer("claude", now + Duration::from_secs(90));
        let at = |board: &mut Board, seconds| {
            board.picture(WIDE, now + Duration::from_secs(seconds)).unwrap()
        };
        assert_eq!(at(&mut board, 5)[1], "  claude is rate limited for another 1:25");
        board.defer("claude", now + Duration::from_secs(20));
        assert_eq!(at(&mut board, 5)[1], "  claude is rate limited for another 0:15");
        assert_eq!(at(&mut board, 30).len(), 1);
    }

    #[test]
    fn foreign_and_blocked_phases_are_updated_at_the_end_of_a_batch() {
        let now = Instant::now();
        let mut board = started(&["one"], now);
        start(&mut board, "one", "a", now);
        let batch = BatchFinished {
            batch: 1,
            done: 0,
            failed: 1,
            left: 5,
            blocked: 2,
            tokens: 0,
            cost_usd: None,
            phases_per_hour: None,
        };
        board.take(&Event::BatchFinished(batch), now);
        let bar = board.picture(WIDE, now).unwrap().remove(0);
        assert!(bar.ends_with(" 5/10 · 0:00 · 2 blocked"), "{bar}");
    }
}
