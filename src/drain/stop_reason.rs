//! Reasons for a drain to stop.

use super::claim_end::ClaimEnd;
use crate::attempt::AttemptError;
use crate::failure::one_line;
use crate::phase::budget::ExhaustedBudget;
use crate::progress::Reason;
use crate::workspace::WorkspaceError;

pub(super) enum StopReason {
    Drained,
    FirstFailure,
    MaxBatches,
    /// The one phase of a trial ended.
    Trial,
    Interrupted,
    /// A time limit, or a request of the operator: no further phase starts.
    ClaimsEnded(ClaimEnd),
    /// A budget is spent.
    Budget(ExhaustedBudget),
    /// The drain cannot go on. With [`AttemptError::Full`] it goes on when there is room again.
    Error(AttemptError),
}

impl StopReason {
    /// Returns the reason shown in the final event.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Drained => Reason::Drained,
            Self::FirstFailure => Reason::StoppedOnFailure,
            Self::MaxBatches => Reason::MaxBatches,
            Self::Trial => Reason::Trial,
            Self::Interrupted => Reason::Interrupted,
            Self::ClaimsEnded(ClaimEnd::AfterCurrent) => Reason::AfterCurrent,
            Self::ClaimsEnded(ClaimEnd::TimeLimit(_)) => Reason::TimeLimit,
            Self::Budget(_) => Reason::Budget,
            Self::Error(error) if is_our_failure(error) => Reason::Failed,
            Self::Error(_) => Reason::Systemic,
        }
    }

    /// Returns the cause in words, if the reason alone does not tell.
    pub fn why(&self) -> Option<String> {
        match self {
            Self::Budget(ExhaustedBudget { why, .. }) => Some(why.clone()),
            Self::Error(AttemptError::Internal(error)) => Some(one_line(error)),
            Self::Error(error) => Some(error.to_string()),
            Self::Drained
            | Self::FirstFailure
            | Self::MaxBatches
            | Self::Trial
            | Self::Interrupted
            | Self::ClaimsEnded(_) => None,
        }
    }

    /// Returns why no further phase starts, for the note before running phases finish. Errors for the user to fix are
    /// reported at the end of the drain.
    pub fn why_no_claims(&self) -> Option<String> {
        match self {
            Self::ClaimsEnded(end) => Some(end.describe()),
            reason if reason.is_reported_at_end() => None,
            reason => reason.why(),
        }
    }

    /// Returns the exhausted budget.
    pub fn budget(&self) -> Option<ExhaustedBudget> {
        match self {
            Self::Budget(exhausted) => Some(exhausted.clone()),
            _ => None,
        }
    }

    /// Returns whether the text names a remedy.
    pub fn names_cure(&self) -> bool {
        match self {
            Self::Error(AttemptError::Internal(error)) => is_blocked(error) || names_cure(error),
            _ => false,
        }
    }

    /// Returns whether the user has to fix the cause, reported at the end of the drain.
    pub fn is_reported_at_end(&self) -> bool {
        match self {
            Self::Error(AttemptError::Systemic(_) | AttemptError::Full(_)) => false,
            Self::Error(_) => true,
            _ => false,
        }
    }
}

/// A branch of the user's that is in the way of the run's is the user's to move.
pub(super) fn is_our_failure(error: &AttemptError) -> bool {
    match error {
        AttemptError::Systemic(_) | AttemptError::Full(_) => false,
        AttemptError::Internal(error) => !is_blocked(error),
        _ => true,
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
                | E::RemoteBranchGone { .. }
                | E::RemoteBranchNotOurs { .. }
                | E::UnfitRemote { .. }
                | E::UnknownRemote { .. }
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

    fn reason(error: WorkspaceError) -> StopReason {
        StopReason::Error(AttemptError::Internal(Error::from(error)))
    }

    #[test]
    fn error_with_a_cure_is_recognized() {
        assert!(reason(WorkspaceError::BranchNotOurs { branch: "a".to_owned() }).names_cure());
        assert!(!reason(WorkspaceError::NotReset(1)).names_cure());
    }

    #[test]
    fn cause_of_an_error_is_reported_once() {
        let source = std::io::Error::other("File exists");
        let error = WorkspaceError::Io { doing: "make the directory", path: "/a".into(), source };
        assert_eq!(reason(error).why().unwrap(), "cannot make the directory /a: File exists");
    }
}
