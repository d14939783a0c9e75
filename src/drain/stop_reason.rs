//! Why the loop ends.

use crate::attempt::Trouble;
use crate::failure::one_line;
use crate::phase::budget::{Exhausted, Level};
use crate::progress::Reason;
use crate::workspace::WorkspaceError;

pub(super) enum Halt {
    Drained,
    FirstFailure,
    Systemic(String),
    /// A branch of the user's is in the way of the run's; the text says what to do.
    BranchBlocked(String),
    /// The disk is full: the drain goes on when it is not.
    Full(String),
    /// A budget is spent.
    Budget(Exhausted),
    /// Something is wrong with us.
    Failed {
        why: String,
        /// Whether that says what to do.
        names_cure: bool,
    },
    MaxBatches,
    Interrupted,
}

impl Halt {
    pub fn reason(&self) -> Reason {
        match self {
            Self::Drained => Reason::Drained,
            Self::FirstFailure => Reason::StoppedOnFailure,
            Self::Systemic(_) | Self::BranchBlocked(_) | Self::Full(_) => Reason::Systemic,
            Self::Budget(_) => Reason::Budget,
            Self::Failed { .. } => Reason::Failed,
            Self::MaxBatches => Reason::MaxBatches,
            Self::Interrupted => Reason::Interrupted,
        }
    }

    /// In words, where the reason itself does not say it.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Systemic(why)
            | Self::BranchBlocked(why)
            | Self::Full(why)
            | Self::Budget(Exhausted { why, .. })
            | Self::Failed { why, .. } => Some(why),
            Self::Drained | Self::FirstFailure | Self::MaxBatches | Self::Interrupted => None,
        }
    }

    /// Whose budget is spent, where it is one.
    pub fn budget(&self) -> Option<Level> {
        match self {
            Self::Budget(exhausted) => Some(exhausted.level),
            _ => None,
        }
    }

    pub fn names_cure(&self) -> bool {
        matches!(self, Self::Failed { names_cure: true, .. } | Self::BranchBlocked(_))
    }

    /// Whether the user has to mend it, and reads of it where the drain ends.
    pub fn is_told_at_the_end(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::BranchBlocked(_))
    }
}

impl From<Trouble> for Halt {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Systemic(why) => Self::Systemic(why),
            Trouble::Full(why) => Self::Full(why),
            Trouble::Ours(error) if is_blocked(&error) => Self::BranchBlocked(one_line(&error)),
            Trouble::Ours(error) => {
                Self::Failed { names_cure: names_cure(&error), why: one_line(&error) }
            }
            trouble => Self::Failed { why: trouble.to_string(), names_cure: false },
        }
    }
}

fn is_blocked(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref());
    causes.any(|cause| matches!(cause, WorkspaceError::BranchBlocked { .. }))
}

/// Whether the error itself says what to do, so that nothing else has to be looked for.
fn names_cure(error: &anyhow::Error) -> bool {
    use WorkspaceError as E;
    error.chain().filter_map(|cause| cause.downcast_ref()).any(|error| {
        matches!(
            error,
            E::BranchGone { .. }
                | E::BranchNotOurs { .. }
                | E::RefLocked { .. }
                | E::UnknownBase { .. }
                | E::PartialClone { .. }
                | E::NotTrusted { .. }
                | E::OddPath { .. }
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Error;

    fn halt(error: WorkspaceError) -> Halt {
        Halt::from(Trouble::Ours(Error::from(error)))
    }

    #[test]
    fn an_error_that_names_its_cure_is_told_from_one_that_does_not() {
        assert!(halt(WorkspaceError::BranchNotOurs { branch: "a".to_owned() }).names_cure());
        assert!(!halt(WorkspaceError::NotReset(1)).names_cure());
    }

    #[test]
    fn the_cause_of_an_error_is_said_once() {
        let source = std::io::Error::other("File exists");
        let error = WorkspaceError::Io { doing: "make the folder", path: "/a".into(), source };
        assert_eq!(halt(error).why(), Some("cannot make the folder /a: File exists"));
    }
}
