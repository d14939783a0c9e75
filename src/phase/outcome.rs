//! How an attempt ended, in one word: the verdict without its particulars.

use std::fmt::{self, Display};
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// How an attempt ended, as it is kept and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttemptOutcome {
    Landed,
    NoChangeNeeded,
    Failed,
    Interrupted,
    Crashed,
    RateLimited,
    BaseMoved,
    Systemic,
}

impl AttemptOutcome {
    pub const ALL: [Self; 8] = [
        Self::Landed,
        Self::NoChangeNeeded,
        Self::Failed,
        Self::Interrupted,
        Self::Crashed,
        Self::RateLimited,
        Self::BaseMoved,
        Self::Systemic,
    ];

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
        }
    }

    /// Whether the phase is done with it: it landed, or there was nothing left to do.
    pub fn passed(self) -> bool {
        matches!(self, Self::Landed | Self::NoChangeNeeded)
    }

    /// Whether it charged a try.
    pub fn is_charged(self) -> bool {
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
