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
            Self::GiveUp | Self::RefuseSpec => "fail",
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

    /// Returns the name that people are shown.
    pub fn display_name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Executing => "running",
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// Writes the name for people; [`PhaseState::as_str`] is the stored name.
impl fmt::Display for PhaseState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.display_name())
    }
}

/// A text that is not the name of a state.
#[derive(Debug, thiserror::Error)]
#[error("unknown state {0:?}; expected queued, running, complete, failed or skipped")]
pub struct UnknownState(pub String);

impl FromStr for PhaseState {
    type Err = UnknownState;

    /// Parses the stored name or the name for people, in any case: `EXECUTING` or `running`.
    fn from_str(text: &str) -> Result<Self, UnknownState> {
        let names = |state: &Self| [state.as_str(), state.display_name()];
        Self::ALL
            .into_iter()
            .find(|state| names(state).iter().any(|name| name.eq_ignore_ascii_case(text)))
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
                let to = next(from, event).ok()?;
                Some(format!("{} {event:?} {}", from.as_str(), to.as_str()))
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
        let refusal = |from, event| next(from, event).unwrap_err().to_string();
        assert_eq!(
            refusal(PhaseState::Skipped, Event::Skip),
            "it is skipped, so it cannot be skipped"
        );
        assert_eq!(
            refusal(PhaseState::Executing, Event::Retry),
            "it is running, so it cannot be retried"
        );
    }

    #[test]
    fn both_names_are_parsed_in_any_case() {
        for state in PhaseState::ALL {
            for name in [state.as_str(), state.display_name()] {
                assert_eq!(name.parse::<PhaseState>().unwrap(), state);
                assert_eq!(name.to_uppercase().parse::<PhaseState>().unwrap(), state);
                assert_eq!(name.to_lowercase().parse::<PhaseState>().unwrap(), state);
            }
        }
        assert_eq!(PhaseState::Executing.to_string(), "running");
        assert_eq!(
            "done".parse::<PhaseState>().unwrap_err().to_string(),
            "unknown state \"done\"; expected queued, running, complete, failed or skipped"
        );
    }
}
