//! A run as given by the caller: commits, landings, failures and texts.

use std::collections::HashSet;

use crate::forge::TrackerName;
use crate::phase::{PhaseId, RunId};

/// Returns title and text of a run's pull request, without landings that were merged before.
pub type RunDescription = dyn Fn(&HashSet<PhaseId>) -> (String, String) + Send + Sync;

/// A run to publish.
pub struct RunToPublish {
    /// Id of the run.
    pub run: RunId,
    /// Branch of the run.
    pub branch: String,
    /// Commit at the start of the run.
    pub base_commit: String,
    /// Last commit of the run.
    pub tip: String,
    /// Describes the run for the pull request.
    pub describe: Box<RunDescription>,
    /// Landings in the tip.
    pub landed: Vec<LandedPhase>,
    /// Failed phases with an issue.
    pub failed: Vec<FailedPhase>,
    /// Issues with a phase that did not land in the tip: no merge closes them.
    pub open_issues: HashSet<IssueOrigin>,
}

/// A landing.
#[derive(Clone, Debug)]
pub struct LandedPhase {
    /// Id of the phase.
    pub phase_id: PhaseId,
    /// Commit of the landing in the tip.
    pub commit: String,
    /// Title of the landing's own pull request.
    pub title: String,
    /// Text of the landing's own pull request.
    pub text: String,
    /// The issue settled by the landing, alone or with others.
    pub issue: Option<IssueOrigin>,
}

/// A failed phase created from an issue.
#[derive(Clone, Debug)]
pub struct FailedPhase {
    /// Id of the phase.
    pub phase_id: PhaseId,
    /// The reason, without the varying parts.
    pub reason: String,
    /// Text of the comment.
    pub comment: String,
    /// The issue.
    pub issue: IssueOrigin,
}

/// The issue of a phase.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IssueOrigin {
    /// Repository of the issue.
    pub tracker: TrackerName,
    /// Number of the issue.
    pub number: u64,
}

impl IssueOrigin {
    /// Returns the name of the issue in messages.
    pub(super) fn shown(&self) -> String {
        format!("{}#{}", self.tracker, self.number)
    }
}
