//! One attempt as its stream tells it: what is shown, what was used, whether it has to be ended, and what it came to.
//!
//! Pure but for the clock that deadlines are set by.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::event::{AgentEvent, AttemptBudget, Outcome};
use super::fault::{Cause, shorten};
use super::job::out_of_time;
use super::kind::Kind;
use super::loops::Loops;
use super::meter::Meter;
use super::prices;
use super::signal::{Fault, Finish, Signal};
use crate::phase::Usage;
use crate::process::How;

/// For an agent to exit after its last word. Its result is kept.
pub(super) const AFTER_LAST_WORD: Duration = Duration::from_secs(5);
/// For an agent to get past a limit by itself; the drain waits better: for days, and across restarts.
pub(super) const HELD: Duration = Duration::from_secs(120);
/// An agent's own retries after an answer that will not change.
const HOPELESS_RETRIES: u32 = 3;
/// Kept of what it said and did.
const KEPT_LINES: usize = 60;
const KEPT_OF_A_LINE: usize = 500;
const NOTES: usize = 20;

pub(super) struct Stream {
    kind: &'static Kind,
    budget: AttemptBudget,
    pub meter: Meter,
    loops: Loops,
    pub session: Option<String>,
    finished: Option<Finish>,
    /// The last failure, unless something came after it.
    fault: Option<Fault>,
    /// Held up since then.
    held: Option<Instant>,
    hopeless: u32,
    /// Why we end it.
    ended: Option<Outcome>,
    spoke_last: Option<Instant>,
    lines: VecDeque<String>,
    notes: Vec<String>,
}

impl Stream {
    pub fn new(kind: &'static Kind, budget: AttemptBudget) -> Self {
        Self {
            kind,
            budget,
            meter: Meter::default(),
            loops: Loops::default(),
            session: None,
            finished: None,
            fault: None,
            held: None,
            hopeless: 0,
            ended: None,
            spoke_last: None,
            lines: VecDeque::new(),
            notes: Vec::new(),
        }
    }

    /// What is to be shown of it.
    pub fn take(&mut self, signal: Signal) -> Option<AgentEvent> {
        match signal {
            Signal::Session(session) => self.session = Some(session),
            Signal::Model(model) => self.meter.model = Some(model),
            Signal::Note(note) => self.note(shorten(&note)),
            Signal::Text(text) => {
                self.progress();
                return self.said(&text).map(AgentEvent::Line);
            }
            Signal::Tool(tool) => {
                self.progress();
                let words = tool.words.clone();
                self.loops.called(tool);
                self.keep(&words);
                return Some(AgentEvent::Tool(words));
            }
            Signal::Result(result) => {
                self.progress();
                if let Some(what) = self.loops.answered(&result) {
                    self.end(Outcome::Looped { what });
                }
            }
            Signal::Usage(spent) => {
                self.meter.turn(spent);
                return Some(self.used());
            }
            Signal::Total(spent) => {
                self.meter.total(spent);
                return Some(self.used());
            }
            Signal::Held(fault) => return Some(self.held(fault)),
            Signal::Failed(fault) => return Some(self.failed(fault)),
            Signal::Finished(finish) => {
                self.progress();
                self.meter.stop_reason.clone_from(&finish.stop_reason);
                self.finished = Some(finish);
                self.spoke_last = Some(Instant::now());
                return Some(AgentEvent::Finished);
            }
        }
        None
    }

    fn used(&mut self) -> AgentEvent {
        if let Some(what) = self.meter.over(&self.budget) {
            self.end(Outcome::OverBudget { what });
        }
        AgentEvent::Usage(self.meter.usage())
    }

    fn held(&mut self, fault: Fault) -> AgentEvent {
        let cause = fault.cause();
        let said = shorten(&fault.message);
        if fault.is_hopeless() {
            self.hopeless += 1;
        }
        if self.hopeless >= HOPELESS_RETRIES {
            self.end(fault.outcome(self.kind.login));
        }
        if cause == Cause::Limited {
            self.held.get_or_insert_with(Instant::now);
        }
        self.fault = Some(fault);
        match cause {
            Cause::Limited => AgentEvent::Limit(said),
            _ => AgentEvent::Error(said),
        }
    }

    fn failed(&mut self, fault: Fault) -> AgentEvent {
        let said = shorten(&fault.message);
        self.keep(&said);
        if fault.last {
            self.spoke_last = Some(Instant::now());
        }
        // A limit may be told first with its end, then without.
        let until = self
            .fault
            .take()
            .filter(|before| before.cause() == fault.cause())
            .and_then(|before| before.until);
        self.fault = Some(Fault { until: fault.until.or(until), ..fault });
        AgentEvent::Error(said)
    }

    fn progress(&mut self) {
        if self.spoke_last.is_none() {
            (self.fault, self.held, self.hopeless) = (None, None, 0);
        }
    }

    /// The first reason counts, and none after its last word.
    fn end(&mut self, why: Outcome) {
        if self.spoke_last.is_none() {
            self.ended.get_or_insert(why);
        }
    }

    /// When it has to be ended, as things stand.
    pub fn deadline(&self) -> Option<Instant> {
        match (&self.ended, self.spoke_last, self.held) {
            (Some(_), ..) => Some(Instant::now()),
            (None, Some(at), _) => Some(at + AFTER_LAST_WORD),
            (None, None, held) => held.map(|since| since + HELD),
        }
    }

    /// A wall-time budget is held by the timeout.
    pub fn out_of_time(&mut self, allowed: Duration) {
        self.end(out_of_time(allowed));
    }

    /// What it came to. `how` it ended, whether that was our doing because of a deadline here, and what
    /// standard error said last.
    pub fn outcome(&mut self, how: How, by_deadline: bool, stderr: &str) -> Outcome {
        if let Some(outcome) = self.ended.take() {
            return outcome;
        }
        if self.finished.is_some() && self.fault.is_none() {
            return Outcome::Finished;
        }
        let login = self.kind.login;
        match (how, self.fault.take()) {
            (How::Exited(_) | How::Signalled(_), Some(fault)) => fault.outcome(login),
            // Somebody else's reason, or ours that came too late to matter.
            (How::Stopped, _) if !by_deadline => Outcome::Finished,
            (How::TimedOut | How::Stalled | How::Stopped, Some(fault))
                if by_deadline || fault.last || fault.cause() != Cause::Other =>
            {
                fault.outcome(login)
            }
            (How::TimedOut | How::Stalled | How::Stopped, _) => Outcome::Finished,
            (How::Exited(0), None) if !self.kind.says_when_done => Outcome::Finished,
            (How::Exited(code), None) => {
                let why = if stderr.is_empty() {
                    "without a last word".to_owned()
                } else {
                    shorten(stderr)
                };
                Outcome::Failed {
                    message: format!("{} exited with {code}: {why}", self.kind.program),
                }
            }
            (How::Signalled(signal), None) => Outcome::Failed {
                message: format!("{} was ended by signal {signal}", self.kind.program),
            },
        }
    }

    /// It has said its last word, well or not.
    pub fn spoke_last(&self) -> bool {
        self.spoke_last.is_some()
    }

    pub fn usage(&mut self) -> Usage {
        if self.meter.computed() {
            self.note(format!("the cost is computed from list prices of {}", prices::AS_OF));
        }
        self.meter.usage()
    }

    pub fn summary(&self) -> Option<String> {
        self.finished.as_ref()?.summary.clone()
    }

    /// What it said and did last, then what standard error said last.
    pub fn last_lines(&self, stderr: &str) -> String {
        let lines = self.lines.iter().map(String::as_str).chain(stderr.lines());
        let all: Vec<&str> = lines.collect();
        all[all.len().saturating_sub(KEPT_LINES)..].join("\n")
    }

    pub fn note(&mut self, note: String) {
        if self.notes.len() < NOTES && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub fn notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// The first line is shown, all are kept.
    fn said(&mut self, text: &str) -> Option<String> {
        text.lines().filter(|line| !line.trim().is_empty()).for_each(|line| self.keep(line));
        text.lines().find(|line| !line.trim().is_empty()).map(str::to_owned)
    }

    fn keep(&mut self, line: &str) {
        if self.lines.len() == KEPT_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line.chars().take(KEPT_OF_A_LINE).collect());
    }
}

#[cfg(test)]
mod tests {
    use super::super::claude;
    use super::*;

    fn limited() -> Signal {
        Signal::Held(Fault { status: Some(429), ..Fault::default() })
    }

    /// Within how many seconds it would be ended.
    fn left(stream: &Stream) -> Option<u64> {
        Some((stream.deadline()? - Instant::now()).as_secs_f64().ceil() as u64)
    }

    #[tokio::test]
    async fn a_limit_is_waited_for_a_while_unless_it_gets_on() {
        let mut stream = Stream::new(&claude::KIND, AttemptBudget::default());
        assert_eq!(left(&stream), None);
        stream.take(limited());
        assert_eq!(left(&stream), Some(HELD.as_secs()));
        stream.take(Signal::Text("on we go".to_owned()));
        assert_eq!(left(&stream), None);
        stream.take(limited());
        assert!(matches!(
            stream.outcome(How::Stopped, true, ""),
            Outcome::RateLimited { until: None, .. }
        ));
    }

    #[tokio::test]
    async fn after_the_last_word_nothing_else_counts() {
        let mut stream =
            Stream::new(&claude::KIND, AttemptBudget { tokens: Some(1), ..Default::default() });
        stream.take(Signal::Finished(Finish::default()));
        assert_eq!(left(&stream), Some(AFTER_LAST_WORD.as_secs()));
        stream.take(Signal::Total(crate::agent::signal::Spent {
            tokens: crate::phase::Tokens { input: Some(9), ..Default::default() },
            ..Default::default()
        }));
        assert_eq!(stream.outcome(How::Stopped, true, ""), Outcome::Finished);
    }
}
