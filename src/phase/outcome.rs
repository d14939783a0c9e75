//! Outcome of an attempt: the verdict without details.

use std::fmt::{self, Display};
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Outcome of an attempt, as stored and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttemptOutcome {
    /// The change landed on the run branch.
    Landed,
    /// Passed without a change: the work was already done.
    NoChangeNeeded,
    /// Failed; a counted attempt.
    Failed,
    /// Stopped by the operator.
    Interrupted,
    /// The drain or its supervisor died.
    Crashed,
    /// The provider is rate limited or unavailable.
    RateLimited,
    /// The run branch moved and the change conflicts.
    BaseMoved,
    /// An error of the environment ended the drain.
    Systemic,
    /// The attempt proposed the phase's scope.
    ScopeProposed,
    /// The attempt failed for want of files that the next attempt may change.
    ScopeGranted,
}

impl AttemptOutcome {
    /// All outcomes.
    pub const ALL: [Self; 10] = [
        Self::Landed,
        Self::NoChangeNeeded,
        Self::Failed,
        Self::Interrupted,
        Self::Crashed,
        Self::RateLimited,
        Self::BaseMoved,
        Self::Systemic,
        Self::ScopeProposed,
        Self::ScopeGranted,
    ];

    /// Returns the stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Landed => "landed",
            Self::NoChangeNeeded => "no_change_needed",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Crashed => "crashed",
            Self::RateLimited => "rate_limited",
            Self::BaseMoved => "base_moved",
            Self::Systemic => "systemic",
            Self::ScopeProposed => "scope_proposed",
            Self::ScopeGranted => "scope_granted",
        }
    }

    /// Checks whether the phase is complete: the attempt landed, or no work was left.
    pub fn passed(self) -> bool {
        matches!(self, Self::Landed | Self::NoChangeNeeded)
    }

    /// Checks whether the attempt counts towards `max_attempts`.
    pub fn is_counted(self) -> bool {
        self.passed() || self == Self::Failed
    }
}

impl FromStr for AttemptOutcome {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
            .ok_or_else(|| format!("unknown outcome {text:?}"))
    }
}

impl Display for AttemptOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for AttemptOutcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
