//! What a publication did.

use crate::failure::Failure;
use crate::forge::CheckResults;
use crate::phase::PhaseId;

use super::stack::StackMember;

/// Result of a publication.
#[derive(Debug)]
pub struct Publication {
    /// Name of the remote.
    pub remote: String,
    /// Repository on the forge.
    pub forge: Option<String>,
    /// Branch into which the pull request goes, of several the lowest one.
    pub base: Option<String>,
    /// Whether there is a commit to publish.
    pub has_landings: bool,
    /// Branches: one, or one for each landing.
    pub branches: Vec<BranchResult>,
    /// Branches of earlier publications whose landing is published no more.
    pub superseded: Vec<SupersededBranch>,
    /// Comments on issues of failed phases.
    pub remarks: Vec<RemarkResult>,
    /// Why the rest is missing.
    pub unfinished: Option<Failure>,
}

/// A branch of a publication.
#[derive(Clone, Debug)]
pub struct BranchResult {
    /// The landing, if each has a branch.
    pub phase_id: Option<PhaseId>,
    /// Name of the branch.
    pub branch: String,
    /// Its last commit.
    pub commit: String,
    /// The push.
    pub push: PushOutcome,
    /// The pull request.
    pub pull: PullResult,
    /// Issues that a merge closes, as the pull request names them.
    pub closes: Vec<String>,
    /// Issues of which other parts are still open.
    pub part_of: Vec<String>,
    /// Page that compares the branch with its base.
    pub compare_url: Option<String>,
}

/// A branch of an earlier publication whose landing was undone, or went into another branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupersededBranch {
    /// Name of the branch.
    pub branch: String,
    /// Number and link of its open pull request.
    pub pull: Option<(u64, String)>,
}

/// Result of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushOutcome {
    /// The branch was moved from this commit, or created.
    Pushed {
        /// The commit before.
        from: Option<String>,
        /// Number of new commits.
        commits: u64,
    },
    /// The branch was there already.
    UpToDate,
    /// The branch was there already, with commits of others after it.
    Ahead {
        /// Number of commits of others.
        commits: u64,
    },
    /// Nothing was to be pushed.
    Skipped,
}

/// A pull request of a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullResult {
    /// What was done.
    pub action: PullAction,
    /// Number within the repository.
    pub number: Option<u64>,
    /// Link for people.
    pub url: Option<String>,
    /// Whether it is a draft.
    pub is_draft: bool,
    /// Branch into which it goes.
    pub base: Option<String>,
    /// Results of the forge's CI for the branch, if it was not pushed just now.
    pub checks: CheckResults,
    /// Whether the end of its text was cut off.
    pub is_cut: bool,
}

/// What was done with a pull request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullAction {
    /// Opened.
    Opened,
    /// Text, title or base were changed.
    Updated,
    /// Nothing to change.
    Unchanged,
    /// All of it was merged before.
    AlreadyMerged,
    /// Somebody closed it, and nothing landed since.
    Closed,
    /// There is no forge.
    NoForge,
    /// There is no token for the forge.
    NoToken,
    /// The forge did not do it; the branch is pushed.
    Failed,
}

/// A comment of a publication.
#[derive(Clone, Debug)]
pub struct RemarkResult {
    /// The failed phase.
    pub phase_id: PhaseId,
    /// The issue, such as `github:owner/repo#12`.
    pub issue: String,
    /// What was done.
    pub action: RemarkAction,
    /// Link to the comment.
    pub url: Option<String>,
}

/// What was done with a comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemarkAction {
    /// Added.
    Added,
    /// There was one with the same reason.
    Unchanged,
    /// There is no token for the forge.
    NoToken,
    /// The issue is gone, or does not take comments.
    Refused,
}

impl BranchResult {
    pub(super) fn new(member: &StackMember) -> Self {
        Self {
            phase_id: member.phase_id.clone(),
            branch: member.branch.clone(),
            commit: member.commit.clone(),
            push: PushOutcome::Skipped,
            pull: PullResult::without(PullAction::NoForge),
            closes: Vec::new(),
            part_of: Vec::new(),
            compare_url: None,
        }
    }
}

impl PullResult {
    /// A result without a pull request.
    pub(super) fn without(action: PullAction) -> Self {
        Self {
            action,
            number: None,
            url: None,
            is_draft: false,
            base: None,
            checks: CheckResults::default(),
            is_cut: false,
        }
    }
}

impl PushOutcome {
    /// Returns the name in JSON.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Pushed { .. } => "pushed",
            Self::UpToDate => "up_to_date",
            Self::Ahead { .. } => "ahead",
            Self::Skipped => "skipped",
        }
    }
}

impl PullAction {
    /// Returns the name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::AlreadyMerged => "already_merged",
            Self::Closed => "closed",
            Self::NoForge => "no_forge",
            Self::NoToken => "no_token",
            Self::Failed => "failed",
        }
    }
}

impl RemarkAction {
    /// Returns the name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Unchanged => "unchanged",
            Self::NoToken => "no_token",
            Self::Refused => "refused",
        }
    }
}
