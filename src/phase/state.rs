//! States of a phase and all legal transitions. Any other transition is an error.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// State of a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PhaseState {
    /// Waiting for an attempt.
    Queued,
    /// An attempt is running.
    Executing,
    /// Landed, or no work was left.
    Complete,
    /// No attempt is left, or the spec cannot be repaired.
    Failed,
    /// Left out by the operator.
    Skipped,
}

/// An event in the life of a phase. Each event is legal in certain states only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A drain claims the phase for an attempt.
    Claim,
    /// The attempt passed: its commit is the tip of the branch, or no work was left.
    Land,
    /// The attempt ended and the phase may be tried again.
    Requeue,
    /// No attempt is left.
    GiveUp,
    /// The spec of the next phase cannot be repaired.
    RefuseSpec,
    /// The operator leaves the phase out.
    Skip,
    /// The operator restores a skipped phase or restarts a failed phase.
    Retry,
    /// The operator repeats a complete phase after a revert.
    Redo,
}

/// A transition that is not legal.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is {from}, so it cannot {}", event.verb())]
pub struct IllegalStep {
    /// Current state.
    pub from: PhaseState,
    /// Rejected event.
    pub event: Event,
}

impl Event {
    /// Returns the action a phase in the wrong state cannot take.
    fn verb(self) -> &'static str {
        match self {
            Self::Claim => "be started",
            Self::Land => "land",
            Self::Requeue => "be queued again",
            Self::GiveUp | Self::RefuseSpec => "end as FAILED",
            Self::Skip => "be skipped",
            Self::Retry => "be retried",
            Self::Redo => "be done again",
        }
    }
}

/// Returns the next state: the single transition function.
///
/// # Errors
///
/// Returns [`IllegalStep`] if the event is not legal in the state.
pub fn next(from: PhaseState, event: Event) -> Result<PhaseState, IllegalStep> {
    use {Event as E, PhaseState as S};
    match (from, event) {
        (S::Queued, E::Claim) => Ok(S::Executing),
        (S::Executing, E::Land) => Ok(S::Complete),
        (S::Executing, E::Requeue) => Ok(S::Queued),
        (S::Executing, E::GiveUp) => Ok(S::Failed),
        (S::Queued, E::RefuseSpec) => Ok(S::Failed),
        (S::Queued, E::Skip) => Ok(S::Skipped),
        (S::Skipped | S::Failed, E::Retry) => Ok(S::Queued),
        (S::Complete, E::Redo) => Ok(S::Queued),
        (from, event) => Err(IllegalStep { from, event }),
    }
}

impl PhaseState {
    /// All states.
    pub const ALL: [Self; 5] =
        [Self::Queued, Self::Executing, Self::Complete, Self::Failed, Self::Skipped];

    /// Returns the stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Executing => "EXECUTING",
            Self::Complete => "COMPLETE",
            Self::Failed => "FAILED",
            Self::Skipped => "SKIPPED",
        }
    }

    /// Checks whether dependents of a phase in this state may run.
    pub fn satisfies_dependents(self) -> bool {
        matches!(self, Self::Complete | Self::Skipped)
    }
}

impl fmt::Display for PhaseState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not the name of a state.
#[derive(Debug, thiserror::Error)]
#[error("unknown phase state {0:?}")]
pub struct UnknownState(pub String);

impl FromStr for PhaseState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| UnknownState(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nine_steps_are_legal_and_no_other() {
        use Event::*;
        let events = [Claim, Land, Requeue, GiveUp, RefuseSpec, Skip, Retry, Redo];
        let legal: Vec<String> = PhaseState::ALL
            .into_iter()
            .flat_map(|from| events.into_iter().map(move |event| (from, event)))
            .filter_map(|(from, event)| {
                Some(format!("{from} {event:?} {}", next(from, event).ok()?))
            })
            .collect();
        assert_eq!(
            legal,
            [
                "QUEUED Claim EXECUTING",
                "QUEUED RefuseSpec FAILED",
                "QUEUED Skip SKIPPED",
                "EXECUTING Land COMPLETE",
                "EXECUTING Requeue QUEUED",
                "EXECUTING GiveUp FAILED",
                "COMPLETE Redo QUEUED",
                "FAILED Retry QUEUED",
                "SKIPPED Retry QUEUED",
            ]
        );
    }

    #[test]
    fn a_step_that_is_not_legal_is_refused_in_words() {
        let told = |from, event| next(from, event).unwrap_err().to_string();
        assert_eq!(
            told(PhaseState::Skipped, Event::Skip),
            "it is SKIPPED, so it cannot be skipped"
        );
        assert_eq!(
            told(PhaseState::Executing, Event::Retry),
            "it is EXECUTING, so it cannot be retried"
        );
    }
}
