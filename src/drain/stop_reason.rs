//! Reasons for a drain to stop.

use crate::attempt::Trouble;
use crate::failure::one_line;
use crate::phase::budget::{Exhausted, Level};
use crate::progress::Reason;
use crate::workspace::WorkspaceError;

pub(super) enum Halt {
    Drained,
    FirstFailure,
    Systemic(String),
    /// A branch of the user blocks the run's branch; the text says how to resolve the conflict.
    BranchBlocked(String),
    /// The disk is full: the drain resumes once space is free.
    Full(String),
    /// A budget is exhausted.
    Budget(Exhausted),
    /// autopack could not continue.
    Failed {
        why: String,
        /// Whether the text names a remedy.
        names_cure: bool,
    },
    MaxBatches,
    Interrupted,
}

impl Halt {
    /// Returns the reason shown in the final event.
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

    /// Returns the cause in words, if the reason alone does not tell.
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

    /// Returns the level of the exhausted budget.
    pub fn budget(&self) -> Option<Level> {
        match self {
            Self::Budget(exhausted) => Some(exhausted.level),
            _ => None,
        }
    }

    /// Returns whether the text names a remedy.
    pub fn names_cure(&self) -> bool {
        matches!(self, Self::Failed { names_cure: true, .. } | Self::BranchBlocked(_))
    }

    /// Returns whether the user has to fix the cause, reported at the end of the drain.
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

/// Returns whether the error names a remedy, so that no further hint is needed.
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
