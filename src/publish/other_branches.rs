//! Branches of earlier publications that are no part of this one: what was merged of them, and what they still promise.

use std::collections::HashSet;

use crate::failure::Failure;
use crate::forge::{PullRequest, PullRequestChange, PullRequestState};

use super::publication::SupersededBranch;
use super::pull_request_text::{PullRequestText, is_same, pull_request_text};
use super::stack::{StackMember, branch_of, stack_prefix};
use super::{Publisher, RunToPublish, Step};

/// Text of the pull request of a branch that is published no more.
const SUPERSEDED: &str = "This branch is no longer published by autopack: its landing was undone, or is part of \
                          another pull request. Close this pull request, or keep it as your own.";

/// A branch of an earlier publication.
pub(super) struct OtherBranch {
    branch: String,
    pull: Option<PullRequest>,
}

impl Publisher<'_> {
    /// Returns the branches of earlier publications that are no members now.
    pub(super) async fn other_branches(
        &self,
        step: &Step<'_>,
        members: &[StackMember],
    ) -> Result<Vec<OtherBranch>, Failure> {
        let names: HashSet<&str> = members.iter().map(|member| member.branch.as_str()).collect();
        let others = step.known.values().filter(|known| !names.contains(known.branch.as_str()));
        let mut found = Vec::new();
        for known in others {
            let pull = match self.target.forge_with_token() {
                Some(forge) => {
                    let find = async || self.stored_pull(forge, known).await;
                    step.patience.keep_asking(find).await?
                }
                None => None,
            };
            found.push(OtherBranch { branch: known.branch.clone(), pull });
        }
        found.sort_by(|one, other| one.branch.cmp(&other.branch));
        Ok(found)
    }

    /// Names the branches whose landing is published no more, and takes from their pull requests what a merge would
    /// close.
    pub(super) async fn end_superseded(
        &self,
        step: &Step<'_>,
        members: &[StackMember],
        others: Vec<OtherBranch>,
    ) -> Result<Vec<SupersededBranch>, Failure> {
        let live = self.live_branches(step.run, members);
        let prefix = stack_prefix(step.run);
        let mut superseded = Vec::new();
        for OtherBranch { branch, pull } in others {
            let is_live = live.contains(&branch) || !branch.starts_with(&prefix);
            let is_open = pull.as_ref().is_some_and(|pull| pull.state == PullRequestState::Open);
            let is_there = pull.is_none() && step.there.commits.contains_key(&branch);
            if is_live || !is_open && !is_there {
                continue;
            }
            if let Some(pull) = pull.as_ref().filter(|_| !self.options.dry_run) {
                self.take_promises(step, pull).await?;
            }
            let pull = pull.map(|pull| (pull.number, pull.url));
            superseded.push(SupersededBranch { branch, pull });
        }
        Ok(superseded)
    }

    /// Branches of landings that are published, by this publication or by one for each landing.
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
    /// Returns the pull request, if it was merged.
    pub(super) fn merged(&self) -> Option<&PullRequest> {
        self.pull.as_ref().filter(|pull| pull.state == PullRequestState::Merged)
    }
}
