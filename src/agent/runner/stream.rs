//! One attempt as its stream tells it: what is shown, what was used, whether it has to be ended, and what it came to.
//!
//! Pure but for the clock that deadlines are set by.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::agent_job::out_of_time;
use super::event::{AgentEvent, AttemptBudget, Outcome};
use super::fault::{Cause, provider_fault, shorten};
use super::loop_detection::Loops;
use super::signal::{Fault, Finish, Purpose, Signal};
use super::usage_meter::Meter;
use crate::agent::adapters::Kind;
use crate::agent::prices;
use crate::phase::Usage;
use crate::process::How;

/// An agent that said its last word, has no subagent at work and says nothing more for so long has ended, whatever it left
/// running. Its result is kept. Tests shorten it ([`config::env::agent_quiet`](crate::config::env::agent_quiet)).
pub(crate) const QUIET: Duration = Duration::from_secs(30);
/// More subagents at once are not told apart.
const SUBAGENTS: usize = 1000;
/// For an agent to get past a limit by itself; the drain waits better: for days, and across restarts.
pub(crate) const HELD: Duration = Duration::from_secs(120);
/// An agent's own retries after an answer that will not change.
const HOPELESS_RETRIES: u32 = 3;
/// Kept of what it said and did.
const KEPT_LINES: usize = 60;
const KEPT_OF_A_LINE: usize = 500;
const NOTES: usize = 20;

pub(crate) struct Stream {
    kind: &'static Kind,
    budget: AttemptBudget,
    /// [`QUIET`], or what a test sets.
    quiet: Duration,
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
    /// It has said its last word, and did nothing since.
    spoke_last: bool,
    /// When its stream said something last.
    heard: Instant,
    /// Those at work, by their ids.
    subagents: BTreeSet<String>,
    /// It was told to end since its last word had stood for so long.
    dismissed: bool,
    /// It worked on after that.
    surprised: bool,
    lines: VecDeque<String>,
    notes: Vec<String>,
}

impl Stream {
    pub fn new(kind: &'static Kind, budget: AttemptBudget, quiet: Duration) -> Self {
        Self {
            kind,
            budget,
            quiet,
            meter: Meter::default(),
            loops: Loops::default(),
            session: None,
            finished: None,
            fault: None,
            held: None,
            hopeless: 0,
            ended: None,
            spoke_last: false,
            heard: Instant::now(),
            subagents: BTreeSet::new(),
            dismissed: false,
            surprised: false,
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
                self.works();
                return self.said(&text).map(AgentEvent::Line);
            }
            Signal::Tool(tool) => {
                self.works();
                if tool.purpose == Purpose::Subagent {
                    self.subagent_started(tool.id.clone());
                }
                let words = tool.words.clone();
                self.loops.called(tool);
                self.keep(&words);
                return Some(AgentEvent::Tool(words));
            }
            Signal::Result(result) => {
                self.works();
                self.subagents.remove(&result.id);
                if let Some(what) = self.loops.answered(&result) {
                    self.end(Outcome::Looped { what });
                }
            }
            Signal::SubagentStarted(id) => self.subagent_started(id),
            Signal::SubagentEnded(id) => {
                self.subagents.remove(&id);
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
                // After a last word that told of a failure, this one takes nothing back.
                if !self.spoke_last {
                    self.progress();
                }
                self.meter.stop_reason.clone_from(&finish.stop_reason);
                self.finished = Some(finish);
                self.spoke_last = true;
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
        // It tries again: whatever it said before was not its last word.
        self.surprised |= self.dismissed;
        self.spoke_last = false;
        if cause == Cause::Limited {
            self.held.get_or_insert_with(Instant::now);
        }
        self.fault = Some(fault);
        match cause {
            Cause::Limited => AgentEvent::Limit(said),
            _ => AgentEvent::Error(said),
        }
    }

    /// What standard error says beside the last word, which may come after it: it may explain a failure, and undoes nothing.
    pub fn explained(&mut self, signals: Vec<Signal>) -> Vec<Signal> {
        let (held, others) =
            signals.into_iter().partition(|signal| matches!(signal, Signal::Held(_)));
        let held: Vec<Signal> = held;
        for signal in held {
            if let (Signal::Held(said), Some(known)) = (signal, &mut self.fault) {
                known.status = known.status.or(said.status);
            }
        }
        others
    }

    fn failed(&mut self, fault: Fault) -> AgentEvent {
        let said = shorten(&fault.message);
        self.keep(&said);
        self.spoke_last |= fault.last;
        // A limit may be told first with its end, then without.
        let until = self
            .fault
            .take()
            .filter(|before| before.cause() == fault.cause())
            .and_then(|before| before.until);
        self.fault = Some(Fault { until: fault.until.or(until), ..fault });
        AgentEvent::Error(said)
    }

    /// Whatever it said before was not its last word.
    fn works(&mut self) {
        self.surprised |= self.dismissed;
        self.spoke_last = false;
        self.progress();
    }

    fn progress(&mut self) {
        (self.fault, self.held, self.hopeless) = (None, None, 0);
    }

    fn subagent_started(&mut self, id: String) {
        self.surprised |= self.dismissed;
        if self.subagents.len() < SUBAGENTS {
            self.subagents.insert(id);
        }
    }

    /// Its stream said something, whatever it was.
    pub fn heard(&mut self) {
        self.heard = Instant::now();
    }

    /// The first reason counts, and none after its last word.
    fn end(&mut self, why: Outcome) {
        if !self.has_ended() {
            self.ended.get_or_insert(why);
        }
    }

    /// It has said its last word, and nobody works on for it.
    fn has_ended(&self) -> bool {
        self.spoke_last && self.subagents.is_empty()
    }

    /// When it has to be ended, as things stand. While a subagent works, the idle timeout alone ends it.
    pub fn deadline(&self) -> Option<Instant> {
        match (&self.ended, self.spoke_last, self.held) {
            (Some(_), ..) => Some(Instant::now()),
            (None, true, _) => self.has_ended().then(|| self.heard + self.quiet),
            (None, false, held) => held.map(|since| since + HELD),
        }
    }

    /// It is told to end now, unless its stream has moved the deadline meanwhile.
    pub fn dismiss(&mut self) -> bool {
        let due = self.deadline().is_some_and(|at| at <= Instant::now());
        self.dismissed |= due && self.ended.is_none() && self.has_ended();
        due
    }

    /// A wall-time budget is held by the timeout.
    pub fn out_of_time(&mut self, allowed: Duration) {
        self.end(out_of_time(allowed));
    }

    /// What it came to. `how` it ended, whether that was our doing because of a deadline here, and what it printed last
    /// beside its stream.
    pub fn outcome(&mut self, how: How, by_deadline: bool, printed: &str) -> Outcome {
        if let Some(outcome) = self.ended.take() {
            return outcome;
        }
        if how == How::Stopped && by_deadline && self.surprised {
            let message = "it worked on after its last word, and was ended at work".to_owned();
            return Outcome::Failed { message };
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
                if let Some(outcome) = provider_fault(printed) {
                    return outcome;
                }
                let why = if printed.is_empty() {
                    "without a last word".to_owned()
                } else {
                    shorten(printed)
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
        self.spoke_last
    }

    /// It was ended after its last word, well or not, and had done nothing since.
    pub fn lingered(&self) -> bool {
        self.dismissed && !self.surprised
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
#[path = "stream_tests.rs"]
mod tests;
