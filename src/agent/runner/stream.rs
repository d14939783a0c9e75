//! Follows an agent during an attempt, and decides when to end it and how the attempt ended.
//!
//! An adapter translates the agent's output lines into signals. [`Stream::take`] reads the signals one by one, and
//! returns an event for the progress view. After the agent has exited, [`Stream::outcome`] gives the result:
//!
//! ```text
//! signals                                    outcome
//! Text, Tool, Result, Finished               Finished
//! Text, Held(429), no progress for 120 s     RateLimited
//! the same Tool and Result, again and again  Looped
//! ```
//!
//! Pure except for the clock used for deadlines.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::agent_job::out_of_time;
use super::event::{AgentEvent, AttemptBudget, Outcome};
use super::fault::{Cause, provider_fault, shorten};
use super::loop_detection::Loops;
use super::signal::{Fault, Finish, Purpose, Signal};
use super::usage_meter::Meter;
use crate::agent::adapters::Adapter;
use crate::agent::prices;
use crate::phase::Usage;
use crate::process::JobEnd;

/// Silence after the final message after which autopack ends the agent, unless subagents are working.
///
/// Example: an agent reports that it is done, but waits for a development server it started. After 30 s
/// autopack ends both and judges the result as usual. Tests shorten this time
/// ([`config::env::agent_quiet`](crate::config::env::agent_quiet)).
pub(crate) const QUIET: Duration = Duration::from_secs(30);
/// Maximum number of tracked subagents.
const SUBAGENTS: usize = 1000;
/// Time for an agent to get past a rate limit by itself. Then autopack ends the agent, and the drain waits
/// instead: it can wait for days, and across restarts.
pub(crate) const RATE_LIMIT_GRACE: Duration = Duration::from_secs(120);
/// Number of an agent's own retries after a permanent error, such as a refused key, before autopack ends the
/// agent.
const MAX_PERMANENT_ERROR_RETRIES: u32 = 3;
/// Maximum number of kept lines.
const KEPT_LINES: usize = 60;
/// Maximum number of kept characters of a line.
const KEPT_OF_A_LINE: usize = 500;
/// Maximum number of kept notes.
const NOTES: usize = 20;

/// State of an attempt, updated by each signal.
pub(crate) struct Stream {
    adapter: &'static dyn Adapter,
    budget: AttemptBudget,
    /// [`QUIET`], or a test's value.
    quiet: Duration,
    pub meter: Meter,
    loops: Loops,
    pub session: Option<String>,
    finished: Option<Finish>,
    /// The last failure, unless followed by progress.
    fault: Option<Fault>,
    /// Time of the first report of the current rate limit.
    limit_since: Option<Instant>,
    /// Number of retries after permanent errors.
    permanent_error_retries: u32,
    /// Reason for autopack to end the agent.
    ended: Option<Outcome>,
    /// Whether the agent sent a final message and has done nothing since then.
    has_final_message: bool,
    /// Time of the last event in the stream.
    last_activity: Instant,
    /// Working subagents, by id.
    subagents: BTreeSet<String>,
    /// Whether autopack asked the agent to end after [`QUIET`].
    dismissed: bool,
    /// Whether the agent continued to work after `dismissed`: its final message was not final.
    worked_after_dismissal: bool,
    lines: VecDeque<String>,
    notes: Vec<String>,
}

impl Stream {
    pub fn new(adapter: &'static dyn Adapter, budget: AttemptBudget, quiet: Duration) -> Self {
        Self {
            adapter,
            budget,
            quiet,
            meter: Meter::default(),
            loops: Loops::default(),
            session: None,
            finished: None,
            fault: None,
            limit_since: None,
            permanent_error_retries: 0,
            ended: None,
            has_final_message: false,
            last_activity: Instant::now(),
            subagents: BTreeSet::new(),
            dismissed: false,
            worked_after_dismissal: false,
            lines: VecDeque::new(),
            notes: Vec::new(),
        }
    }

    /// Processes a signal and returns the event to show.
    pub fn take(&mut self, signal: Signal) -> Option<AgentEvent> {
        match signal {
            Signal::Session(session) => self.session = Some(session),
            Signal::Model(model) => self.meter.model = Some(model),
            Signal::Note(note) => self.note(shorten(&note)),
            Signal::Text(text) => {
                self.works();
                return self.keep_lines(&text).map(AgentEvent::Line);
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
                // A final message that reported a failure stays valid.
                if !self.has_final_message {
                    self.progress();
                }
                self.meter.stop_reason.clone_from(&finish.stop_reason);
                self.finished = Some(finish);
                self.has_final_message = true;
                return Some(AgentEvent::Finished);
            }
        }
        None
    }

    fn used(&mut self) -> AgentEvent {
        if let Some(what) = self.meter.exceeded(&self.budget) {
            self.end(Outcome::OverBudget { what });
        }
        AgentEvent::Usage(self.meter.usage())
    }

    fn held(&mut self, fault: Fault) -> AgentEvent {
        let cause = fault.cause();
        let text = shorten(&fault.message);
        if fault.is_permanent() {
            self.permanent_error_retries += 1;
        }
        if self.permanent_error_retries >= MAX_PERMANENT_ERROR_RETRIES {
            self.end(fault.outcome(self.adapter.login()));
        }
        // The agent retries: earlier messages were not final.
        self.worked_after_dismissal |= self.dismissed;
        self.has_final_message = false;
        if cause == Cause::Limited {
            self.limit_since.get_or_insert_with(Instant::now);
        }
        self.fault = Some(fault);
        match cause {
            Cause::Limited => AgentEvent::Limit(text),
            _ => AgentEvent::Error(text),
        }
    }

    /// Splits off the failures printed to standard error, which may arrive after the final message, and returns
    /// the other signals. A failure only adds its status to the known failure: if the stream reported
    /// "request failed" and standard error says 429, the failure becomes a rate limit.
    pub fn explained(&mut self, signals: Vec<Signal>) -> Vec<Signal> {
        let (held, others) =
            signals.into_iter().partition(|signal| matches!(signal, Signal::Held(_)));
        let held: Vec<Signal> = held;
        for signal in held {
            if let (Signal::Held(fault), Some(known)) = (signal, &mut self.fault) {
                known.status = known.status.or(fault.status);
            }
        }
        others
    }

    fn failed(&mut self, fault: Fault) -> AgentEvent {
        let text = shorten(&fault.message);
        self.keep(&text);
        self.has_final_message |= fault.last;
        // A later report of the same limit may lack the reset time: keep the known time.
        let known_until = self
            .fault
            .take()
            .filter(|before| before.cause() == fault.cause())
            .and_then(|before| before.until);
        self.fault = Some(Fault { until: fault.until.or(known_until), ..fault });
        AgentEvent::Error(text)
    }

    /// Records that the agent works: earlier messages were not final.
    fn works(&mut self) {
        self.worked_after_dismissal |= self.dismissed;
        self.has_final_message = false;
        self.progress();
    }

    /// Records progress: earlier failures no longer matter.
    fn progress(&mut self) {
        (self.fault, self.limit_since, self.permanent_error_retries) = (None, None, 0);
    }

    fn subagent_started(&mut self, id: String) {
        self.worked_after_dismissal |= self.dismissed;
        if self.subagents.len() < SUBAGENTS {
            self.subagents.insert(id);
        }
    }

    /// Records the time of an event in the stream.
    pub fn note_activity(&mut self) {
        self.last_activity = Instant::now();
    }

    /// Records the reason to end the agent. Later reasons, and reasons after the final message, are
    /// ignored.
    fn end(&mut self, why: Outcome) {
        if !self.has_ended() {
            self.ended.get_or_insert(why);
        }
    }

    /// Checks for a final message without working subagents.
    fn has_ended(&self) -> bool {
        self.has_final_message && self.subagents.is_empty()
    }

    /// Returns the current deadline. While a subagent works, only the idle timeout ends the agent.
    pub fn deadline(&self) -> Option<Instant> {
        match (&self.ended, self.has_final_message, self.limit_since) {
            (Some(_), ..) => Some(Instant::now()),
            (None, true, _) => self.has_ended().then(|| self.last_activity + self.quiet),
            (None, false, limit_since) => limit_since.map(|since| since + RATE_LIMIT_GRACE),
        }
    }

    /// Checks whether the deadline has passed, and if so, records a dismissal after the final message.
    pub fn dismiss(&mut self) -> bool {
        let due = self.deadline().is_some_and(|at| at <= Instant::now());
        self.dismissed |= due && self.ended.is_none() && self.has_ended();
        due
    }

    /// Records that the attempt used up its wall-time budget.
    pub fn out_of_time(&mut self, allowed: Duration) {
        self.end(out_of_time(allowed));
    }

    /// Returns the outcome of the attempt. `by_deadline` says whether [`Self::deadline`] ended the program;
    /// `printed` is its last output outside the stream.
    pub fn outcome(&mut self, end: JobEnd, by_deadline: bool, printed: &str) -> Outcome {
        if let Some(outcome) = self.ended.take() {
            return outcome;
        }
        if end == JobEnd::Stopped && by_deadline && self.worked_after_dismissal {
            let message =
                "the agent kept working after its final message, and was ended while working"
                    .to_owned();
            return Outcome::Failed { message };
        }
        if self.finished.is_some() && self.fault.is_none() {
            return Outcome::Finished;
        }
        let login = self.adapter.login();
        match (end, self.fault.take()) {
            (JobEnd::Exited(_) | JobEnd::Signalled(_), Some(fault)) => fault.outcome(login),
            // Stopped for another reason, or too late to matter.
            (JobEnd::Stopped, _) if !by_deadline => Outcome::Finished,
            (JobEnd::TimedOut | JobEnd::Stalled | JobEnd::Stopped, Some(fault))
                if by_deadline || fault.last || fault.cause() != Cause::Other =>
            {
                fault.outcome(login)
            }
            (JobEnd::TimedOut | JobEnd::Stalled | JobEnd::Stopped, _) => Outcome::Finished,
            (JobEnd::Exited(0), None) if !self.adapter.says_when_done() => Outcome::Finished,
            (JobEnd::Exited(code), None) => {
                if let Some(outcome) = provider_fault(printed) {
                    return outcome;
                }
                let why = if printed.is_empty() {
                    "without a final message".to_owned()
                } else {
                    shorten(printed)
                };
                Outcome::Failed {
                    message: format!("{} exited with {code}: {why}", self.adapter.program()),
                }
            }
            (JobEnd::Signalled(signal), None) => Outcome::Failed {
                message: format!("{} was ended by signal {signal}", self.adapter.program()),
            },
        }
    }

    /// Checks for a final message, successful or not.
    pub fn has_final_message(&self) -> bool {
        self.has_final_message
    }

    /// Checks whether the agent was ended after its final message without further activity.
    pub fn lingered(&self) -> bool {
        self.dismissed && !self.worked_after_dismissal
    }

    pub fn usage(&mut self) -> Usage {
        if self.meter.computed() {
            self.note(prices::computed_note());
        }
        self.meter.usage()
    }

    pub fn summary(&self) -> Option<String> {
        self.finished.as_ref()?.summary.clone()
    }

    /// Returns the last messages and actions, then the last lines of standard error.
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

    /// Keeps all lines and returns the first, for display.
    fn keep_lines(&mut self, text: &str) -> Option<String> {
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
