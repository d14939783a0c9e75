//! Verdict of an attempt, and its effect on the phase.
//!
//! A verdict is about the phase. A problem of the environment (disk, database, git, configuration) is an
//! error and never becomes a verdict.

use serde::{Deserialize, Serialize};

use super::failure_kind::FailureKind;
use super::ids::UnixMs;
use super::outcome::AttemptOutcome;
use super::state::Event;

/// Number of crashes after which a phase fails. Attempts that crash are not counted.
pub const MAX_CRASHES: u32 = 10;
/// Number of crashes after which the phase is claimed last.
pub const CRASHES_BEFORE_LAST: u32 = 3;

/// Verdict of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// In scope, deliverables present, CI green, landed. `None` as commit: no work was left.
    Passed {
        /// The landed commit.
        commit: Option<String>,
    },
    /// The attempt failed and is counted.
    Failed(Failure),
    /// The phase is queued again and the attempt is not counted.
    Requeued(RequeueReason),
}

impl Verdict {
    /// Returns the verdict without details.
    pub fn outcome(&self) -> AttemptOutcome {
        match self {
            Self::Passed { commit: Some(_) } => AttemptOutcome::Landed,
            Self::Passed { commit: None } => AttemptOutcome::NoChangeNeeded,
            Self::Failed(_) => AttemptOutcome::Failed,
            Self::Requeued(RequeueReason::Interrupted) => AttemptOutcome::Interrupted,
            Self::Requeued(RequeueReason::Crashed) => AttemptOutcome::Crashed,
            // Stored as the same outcome: the provider did not answer and the phase is deferred.
            Self::Requeued(
                RequeueReason::RateLimited { .. } | RequeueReason::Unavailable { .. },
            ) => AttemptOutcome::RateLimited,
            Self::Requeued(RequeueReason::BaseMoved { .. }) => AttemptOutcome::BaseMoved,
            Self::Requeued(RequeueReason::Systemic { .. }) => AttemptOutcome::Systemic,
            Self::Requeued(RequeueReason::ScopeProposed { .. }) => AttemptOutcome::ScopeProposed,
            Self::Requeued(RequeueReason::ScopeGranted { .. }) => AttemptOutcome::ScopeGranted,
        }
    }

    /// Returns the name used in events. The store records an unavailable provider as rate limited.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Requeued(RequeueReason::Unavailable { .. }) => "unavailable",
            verdict => verdict.outcome().as_str(),
        }
    }
}

/// Reason why a phase is queued again through no fault of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum RequeueReason {
    /// The operator stopped the drain.
    Interrupted,
    /// The drain or the supervisor of the attempt died.
    Crashed,
    /// The agent's provider asked to retry later.
    RateLimited {
        /// Time of the next attempt.
        not_before: UnixMs,
        /// The provider's message.
        message: String,
    },
    /// The agent's provider failed or was unreachable, or the agent asked to retry later.
    Unavailable {
        /// Time of the next attempt.
        not_before: UnixMs,
        /// The error.
        message: String,
    },
    /// The attempt proposed the phase's scope; the next attempt works within it.
    ScopeProposed {
        /// The proposal in a line.
        message: String,
    },
    /// Files granted at the agent's request explain the failure; the next attempt may change them.
    ScopeGranted {
        /// The granted files in a line.
        message: String,
    },
    /// Another landing conflicts with this change.
    BaseMoved {
        /// The conflict.
        message: String,
    },
    /// The next phase would fail in the same way, so the drain ends.
    Systemic {
        /// The error.
        message: String,
    },
}

/// Failure of an attempt, as stored, shown and included in the next prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Kind of failure.
    pub kind: FailureKind,
    /// Exit code of the failed program.
    pub exit_code: Option<i32>,
    /// Reason in a single line.
    pub message: String,
    /// Details of the failure.
    #[serde(default)]
    pub detail: FailureDetail,
}

/// Details of a failure, each empty if not applicable.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FailureDetail {
    /// Forbidden changes, each with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub breaches: Vec<String>,
    /// Missing deliverables, each with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Failing tests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failing_tests: Vec<FailingTest>,
    /// Last lines of the output of CI or the agent.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub log_tail: String,
    /// The timeout that was reached, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
}

/// A failing test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailingTest {
    /// Name of the test.
    pub name: String,
    /// Failure message of the test.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl Failure {
    /// Returns the last failure of a phase as shown to scripts and agents.
    pub fn as_json(&self) -> serde_json::Value {
        serde_json::json!({
            "kind": self.kind.as_str(),
            "exit_code": self.exit_code,
            "message": self.message,
        })
    }

    /// Creates a failure without details.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, exit_code: None, message: message.into(), detail: FailureDetail::default() }
    }

    /// Changes every text, since the message, paths, tests and output may all come from an agent.
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

impl RequeueReason {
    /// Changes the message.
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
            Self::ScopeProposed { message } => Self::ScopeProposed { message: change(message) },
            Self::ScopeGranted { message } => Self::ScopeGranted { message: change(message) },
            Self::BaseMoved { message } => Self::BaseMoved { message: change(message) },
            Self::Systemic { message } => Self::Systemic { message: change(message) },
        }
    }
}

/// Counters of a phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Counted attempts.
    pub attempts: u32,
    /// Maximum number of counted attempts.
    pub max_attempts: u32,
    /// Number of crashes.
    pub crashes: u32,
    /// Number of rate limits.
    pub rate_limits: u32,
    /// Number of conflicts with other landings.
    pub base_moves: u32,
    /// Uncounted attempts since the last counted attempt.
    pub uncounted: u32,
    /// Maximum number of uncounted attempts in a row.
    pub max_uncounted: u32,
    /// Whether an agent was started in this attempt.
    pub is_asked: bool,
}

/// Effect of a verdict on a phase.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Event for the phase's state.
    pub event: Event,
    /// New counters.
    pub tally: Tally,
    /// New `last_failure` of the phase; `None` keeps the previous failure.
    pub failure: Option<Failure>,
    /// Time until which the phase is deferred.
    pub not_before: Option<UnixMs>,
}

impl Outcome {
    /// Returns the outcome of an attempt of a person: it does not count, and the phase stays out of reach of drains unless
    /// the work landed.
    pub fn of_person(self, before: Tally) -> Self {
        let event = if self.event == Event::Land { Event::Land } else { Event::GiveUp };
        Self { event, tally: before, not_before: None, ..self }
    }
}

/// Computes the effect of a verdict from the verdict and the counters.
pub fn outcome(verdict: &Verdict, tally: Tally) -> Outcome {
    match verdict {
        Verdict::Passed { .. } => Outcome::of(Event::Land, count_attempt(tally)),
        // Another attempt with this spec would be refused as well.
        Verdict::Failed(failure) if failure.kind == FailureKind::Unfixable => {
            Outcome { failure: Some(failure.clone()), ..Outcome::of(Event::GiveUp, tally) }
        }
        Verdict::Failed(failure) => {
            let tally = count_attempt(tally);
            let left = tally.attempts < tally.max_attempts;
            let event = if left { Event::Requeue } else { Event::GiveUp };
            Outcome { failure: Some(failure.clone()), ..Outcome::of(event, tally) }
        }
        Verdict::Requeued(requeue) => requeued(requeue, tally),
    }
}

fn count_attempt(tally: Tally) -> Tally {
    Tally { attempts: tally.attempts + 1, uncounted: 0, ..tally }
}

fn requeued(requeue: &RequeueReason, mut tally: Tally) -> Outcome {
    let (not_before, what) = match requeue {
        RequeueReason::Interrupted
        | RequeueReason::ScopeProposed { .. }
        | RequeueReason::ScopeGranted { .. } => {
            return Outcome::of(Event::Requeue, tally);
        }
        // The drain ended because of this error. If no agent was started, no counter changes.
        RequeueReason::Systemic { .. } if !tally.is_asked => {
            return Outcome::of(Event::Requeue, tally);
        }
        RequeueReason::Crashed => return crashed(tally),
        RequeueReason::Systemic { .. } => (None, "an error ended the drain during the attempt"),
        RequeueReason::Unavailable { not_before, .. } => {
            (Some(*not_before), "its provider was unavailable")
        }
        RequeueReason::RateLimited { not_before, .. } => {
            tally.rate_limits += 1;
            (Some(*not_before), "it was rate limited")
        }
        RequeueReason::BaseMoved { .. } => {
            tally.base_moves += 1;
            (None, "the branch moved during the attempt")
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
    let message = format!("the drain or its supervisor died during {crashes} attempts");
    let failure = Some(Failure::new(FailureKind::GaveUp, message));
    Outcome { failure, ..Outcome::of(Event::GiveUp, tally) }
}

/// Leaves a limited number of attempts in a row uncounted, and counts further attempts.
fn bounded(mut tally: Tally, not_before: Option<UnixMs>, what: &str) -> Outcome {
    tally.uncounted += 1;
    if tally.uncounted <= tally.max_uncounted {
        return Outcome { not_before, ..Outcome::of(Event::Requeue, tally) };
    }
    let uncounted = tally.uncounted;
    // Further attempts are counted too, until an attempt ends in a verdict.
    tally = Tally { uncounted, ..count_attempt(tally) };
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
