//! Plans the publication of a branch: finds commits merged before, and the pull request by branch or by number.

use std::collections::HashSet;

use crate::failure::Failure;
use crate::forge::{PullRequest, PullRequestState};
use crate::store::PublishedBranch;

use super::patience::StepError;
use super::publication::{PullAction, PullResult};
use super::stack::StackMember;
use super::target::ForgeAccess;
use super::{Publisher, Step};

/// Plan for a branch.
pub(super) struct MemberPlan {
    pub pull: PullPlan,
    /// Commits outside the base and outside merged pull requests.
    pub outside: HashSet<String>,
}

/// Plan for the pull request of a branch.
pub(super) enum PullPlan {
    /// Nothing to do, and nothing to push.
    Settled(PullResult),
    /// Nothing to do for the pull request.
    Without(PullAction),
    /// Open a pull request.
    Open,
    /// Update this pull request.
    Update(Box<PullRequest>),
}

/// Pull requests of a branch.
#[derive(Default)]
pub(super) struct BranchPulls {
    /// The open pull request.
    pub open: Option<PullRequest>,
    /// The last pull request, if none is open.
    last: Option<PullRequest>,
    pub merged: Vec<PullRequest>,
}

impl BranchPulls {
    /// Whether the last pull request was merged or closed.
    pub fn has_ended(&self) -> bool {
        self.last.is_some()
    }
}

impl Publisher<'_> {
    /// Plans a branch. Without an unmerged commit, there is nothing to do. A closed pull request counts as long as
    /// nothing landed since.
    pub(super) async fn plan_member(
        &self,
        step: &Step<'_>,
        member: &StackMember,
        target: Option<&str>,
    ) -> Result<MemberPlan, Failure> {
        let known = step.known.get(&member.branch);
        let mut pulls = BranchPulls::default();
        if let Some(forge) = self.target.forge_with_token() {
            let find = async || self.find_pulls(forge, &member.branch, known).await;
            pulls = step.patience.keep_asking(find).await?;
        }
        let mut merged = step.merged.clone();
        for pull in &pulls.merged {
            merged.extend(self.merged_commits(step, pull, known).await?);
        }
        let outside_of = async |merged: &[String]| {
            let merged = merged.iter().map(String::as_str);
            self.repo.commits_outside(&member.commit, merged).await
        };
        let outside = outside_of(&merged).await?;
        let settled = |action, pull: Option<&PullRequest>| {
            PullPlan::Settled(PullResult {
                number: pull.map(|pull| pull.number),
                url: pull.map(|pull| pull.url.clone()),
                ..PullResult::without(action)
            })
        };
        let last = pulls.last.as_ref();
        let is_closed = |pull: &&PullRequest| pull.state == PullRequestState::Closed;
        let pull = if let Some(open) = pulls.open {
            PullPlan::Update(Box::new(open))
        } else if !member.has_any_of(&outside) {
            settled(PullAction::AlreadyMerged, last.filter(|pull| !is_closed(pull)))
        } else if self.is_without_change(step, member, target).await? {
            settled(PullAction::AlreadyMerged, None)
        } else if let Some(closed) = last.filter(is_closed)
            && {
                merged.push(closed.head_commit.clone());
                !member.has_any_of(&outside_of(&merged).await?)
            }
        {
            settled(PullAction::Closed, Some(closed))
        } else {
            match self.target.forge() {
                None => PullPlan::Without(PullAction::NoForge),
                Some(forge) if !forge.has_token => PullPlan::Without(PullAction::NoToken),
                Some(_) => PullPlan::Open,
            }
        };
        Ok(MemberPlan { pull, outside })
    }

    /// Returns the pull requests of a branch. By now, a stored number alone could belong to another repository.
    pub(super) async fn find_pulls(
        &self,
        forge: &ForgeAccess,
        branch: &str,
        known: Option<&PublishedBranch>,
    ) -> Result<BranchPulls, StepError> {
        let is_open = |pull: &PullRequest| pull.state == PullRequestState::Open;
        let mut found = forge.client.pull_requests_of(branch).await?;
        // Lists lag behind, and Gitea's has only open ones.
        if let Some(known) = known
            && !found.iter().any(is_open)
            && let Some(stored) = self.stored_pull(forge, known).await?
            && !found.iter().any(|pull| pull.number == stored.number)
        {
            found.push(stored);
        }
        found.sort_by_key(|pull| (is_open(pull), pull.number));
        let merged = found.iter().filter(|pull| pull.state == PullRequestState::Merged);
        let merged = merged.cloned().collect();
        Ok(match found.pop() {
            Some(pull) if is_open(&pull) => BranchPulls { open: Some(pull), last: None, merged },
            last => BranchPulls { open: None, last, merged },
        })
    }

    /// Returns the pull request of a stored number, if the pull request still belongs to the branch.
    async fn stored_pull(
        &self,
        forge: &ForgeAccess,
        known: &PublishedBranch,
    ) -> Result<Option<PullRequest>, StepError> {
        let stored = known.pull_request.as_ref();
        let Some(stored) = stored.filter(|stored| stored.forge == forge.name.to_string()) else {
            return Ok(None);
        };
        let pull = forge.client.pull_request(stored.number).await?;
        Ok(pull.filter(|pull| pull.branch == known.branch))
    }

    /// Returns commits of a merged pull request. The last commit may come from a stranger and be unknown here. In this
    /// case, the last commit pushed by autopack counts, unless the branch was pushed again since.
    pub(super) async fn merged_commits(
        &self,
        step: &Step<'_>,
        pull: &PullRequest,
        known: Option<&PublishedBranch>,
    ) -> Result<Vec<String>, Failure> {
        let mut commits = vec![pull.head_commit.clone()];
        if self.repo.resolve(&pull.head_commit).await?.is_none()
            && let Some(known) = known
            && known.pull_request.as_ref().is_some_and(|stored| stored.number == pull.number)
            && step.there.commits.get(&known.branch) != Some(&known.pushed)
        {
            commits.push(known.pushed.clone());
        }
        Ok(commits)
    }

    /// Whether the branch and the target branch of the merge have the same files.
    async fn is_without_change(
        &self,
        step: &Step<'_>,
        member: &StackMember,
        target: Option<&str>,
    ) -> Result<bool, Failure> {
        let Some(at) = target.and_then(|target| step.there.commits.get(target)) else {
            return Ok(false);
        };
        let theirs = self.repo.tree_id(at).await?;
        Ok(theirs.is_some() && theirs == self.repo.tree_id(&member.commit).await?)
    }
}
