//! What an attempt came to, and what that means for its phase.
//!
//! A verdict is about the phase. What is wrong with *us* (disk, database, git, configuration) is an
//! error and never becomes a verdict.

use serde::{Deserialize, Serialize};

use super::failure_kind::FailureKind;
use super::ids::UnixMs;
use super::outcome::AttemptOutcome;
use super::state::Event;

/// How often a phase may go back to the queue after a crash. A crash never charges a try: the phase did not cause it, or it
/// takes down whatever judges it.
pub const MAX_CRASHES: u32 = 10;
/// From this crash on, the phase stands behind the others.
pub const CRASHES_BEFORE_LAST: u32 = 3;

#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// In scope, deliverables there, CI green, landed. Without a commit: there was nothing left to do.
    Passed { commit: Option<String> },
    /// Charges a try.
    Failed(Failure),
    /// Charges none.
    Requeued(Requeue),
}

impl Verdict {
    pub fn outcome(&self) -> AttemptOutcome {
        match self {
            Self::Passed { commit: Some(_) } => AttemptOutcome::Landed,
            Self::Passed { commit: None } => AttemptOutcome::NoChangeNeeded,
            Self::Failed(_) => AttemptOutcome::Failed,
            Self::Requeued(Requeue::Interrupted) => AttemptOutcome::Interrupted,
            Self::Requeued(Requeue::Crashed) => AttemptOutcome::Crashed,
            // Kept as the same: the provider did not answer, and the phase waits.
            Self::Requeued(Requeue::RateLimited { .. } | Requeue::Unavailable { .. }) => {
                AttemptOutcome::RateLimited
            }
            Self::Requeued(Requeue::BaseMoved { .. }) => AttemptOutcome::BaseMoved,
            Self::Requeued(Requeue::Systemic { .. }) => AttemptOutcome::Systemic,
        }
    }

    /// What an attempt with this verdict is called in events. The store calls one that was not available rate limited.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Requeued(Requeue::Unavailable { .. }) => "unavailable",
            verdict => verdict.outcome().as_str(),
        }
    }
}

/// Why a phase goes back without it being the phase's fault.
#[derive(Clone, Debug, PartialEq)]
pub enum Requeue {
    /// The operator stopped the drain.
    Interrupted,
    /// The drain that ran the attempt died, or the supervisor that watched over it.
    Crashed,
    /// The agent's provider said to come back later.
    RateLimited { not_before: UnixMs, message: String },
    /// The agent's provider failed or was not reached, or the agent said to try again later.
    Unavailable { not_before: UnixMs, message: String },
    /// Somebody else's landing conflicts with this work.
    BaseMoved { message: String },
    /// The next phase would meet it too; the drain ends.
    Systemic { message: String },
}

/// What went wrong with an attempt, as the store keeps it, people read it and the next prompt tells it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    pub kind: FailureKind,
    pub exit_code: Option<i32>,
    /// One line.
    pub message: String,
    #[serde(default)]
    pub detail: FailureDetail,
}

/// The particulars, each empty where the kind of failure has none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FailureDetail {
    /// Paths that may not be changed, each with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub breaches: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failing_tests: Vec<FailingTest>,
    /// The last lines of the CI's or the agent's output.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub log_tail: String,
    /// What ran out, where time ran out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailingTest {
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl Failure {
    /// As scripts and agents see the last failure of a phase.
    pub fn as_json(&self) -> serde_json::Value {
        serde_json::json!({
            "kind": self.kind.as_str(),
            "exit_code": self.exit_code,
            "message": self.message,
        })
    }

    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, exit_code: None, message: message.into(), detail: FailureDetail::default() }
    }

    /// The same with each of its texts changed: message, paths, tests and output may all be an agent's words.
    #[must_use]
    pub fn map_texts(self, change: &impl Fn(String) -> String) -> Self {
        let all = |texts: Vec<String>| texts.into_iter().map(change).collect();
        let FailureDetail { breaches, missing, failing_tests, log_tail, timeout_seconds } =
            self.detail;
        let failing_tests = failing_tests.into_iter();
        let detail = FailureDetail {
            breaches: all(breaches),
            missing: all(missing),
            failing_tests: failing_tests
                .map(|test| FailingTest { name: change(test.name), message: change(test.message) })
                .collect(),
            log_tail: change(log_tail),
            timeout_seconds,
        };
        Self { message: change(self.message), detail, ..self }
    }
}

impl Requeue {
    /// The same with its message changed.
    #[must_use]
    pub fn map_texts(self, change: &impl Fn(String) -> String) -> Self {
        match self {
            Self::Interrupted | Self::Crashed => self,
            Self::RateLimited { not_before, message } => {
                Self::RateLimited { not_before, message: change(message) }
            }
            Self::Unavailable { not_before, message } => {
                Self::Unavailable { not_before, message: change(message) }
            }
            Self::BaseMoved { message } => Self::BaseMoved { message: change(message) },
            Self::Systemic { message } => Self::Systemic { message: change(message) },
        }
    }
}

/// What a phase has used up so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Tries that were charged.
    pub attempts: u32,
    pub max_attempts: u32,
    pub crashes: u32,
    pub rate_limits: u32,
    pub base_moves: u32,
    /// Attempts since the last one that charged a try.
    pub uncounted: u32,
    /// So many of them charge none.
    pub max_uncounted: u32,
    /// Whether this attempt reached an agent.
    pub is_asked: bool,
}

/// What becomes of the phase.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub event: Event,
    pub tally: Tally,
    /// What the phase's `last_failure` is from now on; `None` keeps the one before.
    pub failure: Option<Failure>,
    pub not_before: Option<UnixMs>,
}

/// Verdict and tally so far -> what becomes of the phase.
pub fn outcome(verdict: &Verdict, tally: Tally) -> Outcome {
    match verdict {
        Verdict::Passed { .. } => Outcome::of(Event::Land, charged(tally)),
        Verdict::Failed(failure) => {
            let tally = charged(tally);
            let left = tally.attempts < tally.max_attempts;
            let event = if left { Event::Requeue } else { Event::GiveUp };
            Outcome { failure: Some(failure.clone()), ..Outcome::of(event, tally) }
        }
        Verdict::Requeued(requeue) => requeued(requeue, tally),
    }
}

fn charged(tally: Tally) -> Tally {
    Tally { attempts: tally.attempts + 1, uncounted: 0, ..tally }
}

fn requeued(requeue: &Requeue, mut tally: Tally) -> Outcome {
    let (not_before, what) = match requeue {
        Requeue::Interrupted => return Outcome::of(Event::Requeue, tally),
        // It ended the drain; where no agent was asked, nothing was used up by it.
        Requeue::Systemic { .. } if !tally.is_asked => return Outcome::of(Event::Requeue, tally),
        Requeue::Crashed => return crashed(tally),
        Requeue::Systemic { .. } => (None, "an error ended the drain during it"),
        Requeue::Unavailable { not_before, .. } => {
            (Some(*not_before), "its provider was unavailable")
        }
        Requeue::RateLimited { not_before, .. } => {
            tally.rate_limits += 1;
            (Some(*not_before), "it was rate limited")
        }
        Requeue::BaseMoved { .. } => {
            tally.base_moves += 1;
            (None, "the branch moved under it")
        }
    };
    bounded(tally, not_before, what)
}

fn crashed(mut tally: Tally) -> Outcome {
    tally.crashes += 1;
    let crashes = tally.crashes;
    if crashes < MAX_CRASHES {
        return Outcome::of(Event::Requeue, tally);
    }
    let message = format!("the drain or its supervisor died during it {crashes} times");
    let failure = Some(Failure::new(FailureKind::GaveUp, message));
    Outcome { failure, ..Outcome::of(Event::GiveUp, tally) }
}

/// No try is charged for a few attempts in a row; for those after them, one is.
fn bounded(mut tally: Tally, not_before: Option<UnixMs>, what: &str) -> Outcome {
    tally.uncounted += 1;
    if tally.uncounted <= tally.max_uncounted {
        return Outcome { not_before, ..Outcome::of(Event::Requeue, tally) };
    }
    let uncounted = tally.uncounted;
    // The next ones are charged as well, until one comes to a verdict.
    tally = Tally { uncounted, ..charged(tally) };
    if tally.attempts < tally.max_attempts {
        return Outcome { not_before, ..Outcome::of(Event::Requeue, tally) };
    }
    let message = format!(
        "{what}, after {uncounted} attempts or more without a verdict (executor.max_uncounted)"
    );
    let failure = Some(Failure::new(FailureKind::GaveUp, message));
    Outcome { failure, ..Outcome::of(Event::GiveUp, tally) }
}

impl Outcome {
    fn of(event: Event, tally: Tally) -> Self {
        Self { event, tally, failure: None, not_before: None }
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
