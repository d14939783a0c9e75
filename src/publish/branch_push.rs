//! Pushing a branch: only forward, or over what an earlier publication pushed. Commits of others are never replaced.

use crate::failure::Failure;
use crate::phase::words::counted;
use crate::progress::{shown_id, shown_message};
use crate::store::PublishedBranch;
use crate::workspace::{BranchPush, RemoteAccess, RemoteFailure};

use super::patience::StepError;
use super::publication::PushOutcome;
use super::stack::StackMember;
use super::{Publisher, Step};

impl Publisher<'_> {
    /// Brings a branch at the remote to its commit.
    pub(super) async fn push(
        &self,
        access: &mut RemoteAccess,
        step: &Step<'_>,
        member: &StackMember,
        known: Option<&PublishedBranch>,
    ) -> Result<PushOutcome, Failure> {
        let mut seen = Some(step.there.commits.get(&member.branch).cloned());
        // Where the branch was when a push found it elsewhere.
        let mut moved_from = None;
        let attempt = async || {
            // After a failed push the branch may be anywhere.
            let from = match seen.take() {
                Some(from) => from,
                None => access.branches().await??.commits.get(&member.branch).cloned(),
            };
            let outcome = self.plan_push(access, step, member, known, from.clone()).await?;
            if let (PushOutcome::Pushed { from, .. }, false) = (&outcome, self.options.dry_run) {
                self.explain_first_push(step);
                let expected = from.as_deref();
                let push = BranchPush { branch: &member.branch, commit: &member.commit, expected };
                let pushed = access.push(push).await?;
                if let Err(failure @ RemoteFailure::Moved { .. }) = pushed {
                    let is_again = moved_from.replace(from.clone()).as_ref() == Some(from);
                    return Err(if is_again { self.unmoved() } else { failure.into() });
                }
                pushed?;
            }
            Ok(outcome)
        };
        let pushed = step.patience.keep_trying(attempt).await;
        pushed.map_err(|failure| self.with_access_hint(failure))
    }

    /// The failure of a push that finds the branch elsewhere than a reading, again and again.
    fn unmoved(&self) -> StepError {
        let remote = shown_id(&self.target.remote.name);
        let text =
            format!("{remote} refuses the push as outdated, although the branch did not move");
        let hint = format!(
            "see whether pushes reach another repository than reads, and whether a lock is left there: `git remote get-url --push --all {remote}`"
        );
        StepError::Final(Failure::new(text).hint(hint))
    }

    /// Decides about a branch that is at `from` now. Nothing is pushed.
    async fn plan_push(
        &self,
        access: &mut RemoteAccess,
        step: &Step<'_>,
        member: &StackMember,
        known: Option<&PublishedBranch>,
        from: Option<String>,
    ) -> Result<PushOutcome, StepError> {
        let (repo, commit) = (self.repo, member.commit.as_str());
        // Commits that the remote does not have on any branch.
        let count_new = async || {
            let there = step.there.commits.values().chain(&from).map(String::as_str);
            Ok::<_, StepError>(repo.commits_outside(commit, there).await?.len() as u64)
        };
        let Some(at) = from.clone() else {
            return Ok(PushOutcome::Pushed { from: None, commits: count_new().await? });
        };
        if at == commit {
            return Ok(PushOutcome::UpToDate);
        }
        let is_known = repo.resolve(&at).await?.is_some();
        let is_ours = known.is_some_and(|known| known.pushed == at);
        if is_known && (is_ours || repo.contains(commit, &at).await?) {
            return Ok(PushOutcome::Pushed { from: Some(at), commits: count_new().await? });
        }
        if !is_known {
            access.fetch(&member.branch).await??;
        }
        let foreign = repo.foreign_commits(commit, &at).await?;
        if repo.contains(&at, commit).await? {
            return Ok(PushOutcome::Ahead { commits: foreign.count });
        }
        let (branch, remote) = (shown_id(&member.branch), shown_id(access.name()));
        let latest: Vec<String> = foreign.latest.iter().map(|line| shown_message(line)).collect();
        Err(StepError::Final(
            Failure::new(format!(
                "{branch} at {remote} has {} that autopack did not push: {}; nothing was pushed",
                counted(foreign.count, "commit"),
                latest.join(", ")
            ))
            .hint(format!(
                "to take them in: `git fetch {remote} {branch}`, `git switch {branch}`, `git merge FETCH_HEAD`, then \
                 publish again"
            )),
        ))
    }
}
