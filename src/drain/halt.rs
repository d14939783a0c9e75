//! Why the loop ends.

use crate::execute::Trouble;
use crate::progress::Reason;

pub(super) enum Halt {
    Drained,
    FirstFailure,
    Systemic(String),
    /// The disk is full: the drain goes on when it is not.
    Full(String),
    /// A budget is spent.
    Budget(String),
    /// Something is wrong with us.
    Failed(String),
    MaxBatches,
    Interrupted,
}

impl Halt {
    pub fn reason(&self) -> Reason {
        match self {
            Self::Drained => Reason::Drained,
            Self::FirstFailure => Reason::StoppedOnFailure,
            Self::Systemic(_) | Self::Full(_) => Reason::Systemic,
            Self::Budget(_) => Reason::Budget,
            Self::Failed(_) => Reason::Failed,
            Self::MaxBatches => Reason::MaxBatches,
            Self::Interrupted => Reason::Interrupted,
        }
    }

    /// In words, where the reason itself does not say it.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Systemic(why) | Self::Full(why) | Self::Budget(why) | Self::Failed(why) => {
                Some(why)
            }
            Self::Drained | Self::FirstFailure | Self::MaxBatches | Self::Interrupted => None,
        }
    }
}

impl From<Trouble> for Halt {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Systemic(why) => Self::Systemic(why),
            Trouble::Full(why) => Self::Full(why),
            trouble => Self::Failed(trouble.to_string()),
        }
    }
}
