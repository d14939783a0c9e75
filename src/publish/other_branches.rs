//! Branches of earlier publications outside this publication: their merged parts, and their remaining promises.

use std::collections::HashSet;

use crate::failure::Failure;
use crate::forge::{PullRequest, PullRequestChange};

use super::member_plan::BranchPulls;
use super::publication::SupersededBranch;
use super::pull_request_text::{PullRequestText, is_same, pull_request_text};
use super::stack::{StackMember, branch_of, stack_prefix};
use super::{Publisher, RunToPublish, Step};

/// Text of the pull request of a branch no longer published.
const SUPERSEDED: &str = "This branch is no longer published by autopack: its landing was undone, or is part of \
                          another pull request. Close this pull request, or keep it as your own.";

/// A branch of an earlier publication.
pub(super) struct OtherBranch {
    branch: String,
    pulls: BranchPulls,
}

impl Publisher<'_> {
    /// Returns the branches of earlier publications that are not members now.
    pub(super) async fn other_branches(
        &self,
        step: &Step<'_>,
        members: &[StackMember],
    ) -> Result<Vec<OtherBranch>, Failure> {
        let names: HashSet<&str> = members.iter().map(|member| member.branch.as_str()).collect();
        let others = step.known.values().filter(|known| !names.contains(known.branch.as_str()));
        let mut found = Vec::new();
        for known in others {
            let pulls = match self.target.forge_with_token() {
                Some(forge) => {
                    let find = async || self.find_pulls(forge, &known.branch, Some(known)).await;
                    step.patience.keep_asking(find).await?
                }
                None => BranchPulls::default(),
            };
            found.push(OtherBranch { branch: known.branch.clone(), pulls });
        }
        found.sort_by(|one, other| one.branch.cmp(&other.branch));
        Ok(found)
    }

    /// Names the branches with landings no longer published. Removes from their pull requests the issues to be closed
    /// by a merge.
    pub(super) async fn end_superseded(
        &self,
        step: &Step<'_>,
        members: &[StackMember],
        others: Vec<OtherBranch>,
    ) -> Result<Vec<SupersededBranch>, Failure> {
        let live = self.live_branches(step.run, members);
        let prefix = stack_prefix(step.run);
        let mut superseded = Vec::new();
        for OtherBranch { branch, pulls } in others {
            let is_live = live.contains(&branch) || !branch.starts_with(&prefix);
            let is_there = !pulls.has_ended() && step.there.commits.contains_key(&branch);
            if is_live || pulls.open.is_none() && !is_there {
                continue;
            }
            let pull = pulls.open;
            if let Some(pull) = pull.as_ref().filter(|_| !self.options.dry_run) {
                self.take_promises(step, pull).await?;
            }
            let pull = pull.map(|pull| (pull.number, pull.url));
            superseded.push(SupersededBranch { branch, pull });
        }
        Ok(superseded)
    }

    /// Branches of published landings, by this publication or by a publication for each landing.
    fn live_branches(&self, run: &RunToPublish, members: &[StackMember]) -> HashSet<String> {
        match self.options.per_phase {
            true => members.iter().map(|member| member.branch.clone()).collect(),
            false => run.landed.iter().map(|phase| branch_of(run, &phase.phase_id)).collect(),
        }
    }

    async fn take_promises(&self, step: &Step<'_>, pull: &PullRequest) -> Result<(), Failure> {
        let Some(forge) = self.target.forge_with_token() else { return Ok(()) };
        let PullRequestText { text, .. } = pull_request_text(Some(&pull.body), "", SUPERSEDED);
        if is_same(&text, &pull.body) {
            return Ok(());
        }
        let change = PullRequestChange { body: Some(&text), ..PullRequestChange::default() };
        let update = async || Ok(forge.client.change_pull_request(pull, change).await?);
        step.patience.keep_asking(update).await.map(drop).map_err(|failure| {
            let (words, mark) = forge.name.pull_request_words();
            failure.prefixed(&format!("cannot update {words} {mark}{}:", pull.number))
        })
    }
}

impl OtherBranch {
    /// Returns the merged pull requests.
    pub(super) fn merged(&self) -> &[PullRequest] {
        &self.pulls.merged
    }
}
