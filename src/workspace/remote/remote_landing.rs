//! Landing at the remote: one push, and the refs decide about a push without an answer.

use super::{RemoteFence, ref_layout};
use crate::git::error::{Result, WorkspaceError};
use crate::git::remote_access::RemoteAnswer;
use crate::git::remote_failure::RemoteFailure;
use crate::git::remote_refs::RefChange;
use crate::phase::RunId;
use crate::workspace::repo::claim_ref::ClaimRef;
use crate::workspace::repo::queue_refs::QueueRef;
use crate::workspace::repo::run_branch::BranchUpdate;
use crate::workspace::slot::land::Landing;

/// Questions after a push whose claim is gone: a push that arrives between two refs of an answer shows half of itself.
const QUESTIONS: u32 = 2;

/// A commit to land under a claim.
#[derive(Clone, Copy, Debug)]
pub struct FencedLanding<'a> {
    /// The run.
    pub run: &'a RunId,
    /// Name of the run's branch.
    pub branch: &'a str,
    /// The claim.
    pub claim: &'a ClaimRef,
    /// Tip of the branch, under the commit.
    pub parent: &'a str,
    /// The commit, in this clone's objects.
    pub commit: &'a str,
    /// Ref of the commit in the merge queue at the remote.
    pub member: Option<&'a QueueRef>,
}

impl RemoteFence {
    /// Makes the commit the run's tip, if the tip is still its parent and the claim is still ours. A failure means that it
    /// did not land yet, or that nobody knows; repeating the call is safe.
    ///
    /// # Errors
    /// [`WorkspaceError::RemoteBranchGone`], or git fails.
    pub async fn land(&self, landing: FencedLanding<'_>) -> Result<RemoteAnswer<Landing>> {
        let FencedLanding { run, claim, parent, commit, .. } = landing;
        let mut changes = vec![
            RefChange::update(&ref_layout::branch(run), parent, commit),
            RefChange::delete(&claim.name, &claim.id),
        ];
        changes.extend(landing.member.map(|it| RefChange::delete(&it.name, &it.commit)));
        match self.access().await?.change_refs("land", &changes).await? {
            Ok(()) => self.landed(run, commit, Some(parent)).await,
            Err(failure) => self.settle(landing, failure).await,
        }
    }

    /// Asks the remote what became of a push.
    async fn settle(
        &self,
        landing: FencedLanding<'_>,
        failure: RemoteFailure,
    ) -> Result<RemoteAnswer<Landing>> {
        let FencedLanding { run, claim, parent, commit, member, .. } = landing;
        let branch = ref_layout::branch(run);
        let mut names = vec![branch.as_str(), claim.name.as_str()];
        names.extend(member.map(|member| member.name.as_str()));
        let mut access = self.access().await?;
        let mut moved_to = None;
        for question in 1..=QUESTIONS {
            let refs = match access.refs(&names).await? {
                Ok(refs) => refs,
                Err(failure) => return Ok(Err(failure)),
            };
            let Some(tip) = refs.get(&branch) else {
                let (remote, branch) = (self.name().to_owned(), landing.branch.to_owned());
                return Err(WorkspaceError::RemoteBranchGone { remote, branch });
            };
            if tip == commit {
                return self.landed(run, commit, Some(parent)).await;
            }
            if tip != parent {
                let tip = match self.take_in(run, None, tip).await? {
                    Ok(tip) => tip.commit,
                    Err(failure) => return Ok(Err(failure)),
                };
                if self.repo.contains(&tip, commit).await? {
                    return self.landed(run, &tip, None).await;
                }
                moved_to = Some(tip);
            }
            let is_claimed = refs.get(&claim.name) == Some(&claim.id);
            match (is_claimed, moved_to.take()) {
                (true, Some(tip)) => return Ok(Ok(Landing::TipMoved(tip))),
                (true, None) => {
                    let is_lost = |it: &QueueRef| refs.get(&it.name) != Some(&it.commit);
                    return match member.is_some_and(is_lost) {
                        // Somebody deleted it; it does not matter.
                        true => {
                            Box::pin(self.land(FencedLanding { member: None, ..landing })).await
                        }
                        false => Ok(Err(failure)),
                    };
                }
                (false, _) if question == QUESTIONS => return Ok(Ok(Landing::Fenced)),
                (false, _) => {}
            }
        }
        Ok(Err(failure))
    }

    /// Moves the refs of this clone after a landing. Only the remote decides, so an error here is no failure.
    async fn landed(
        &self,
        run: &RunId,
        tip: &str,
        parent: Option<&str>,
    ) -> Result<RemoteAnswer<Landing>> {
        let held_by = match self.repo.follow_remote(run, None, tip, parent).await {
            Ok(BranchUpdate::Held(path)) => Some(path),
            Ok(_) => None,
            Err(error) => {
                tracing::warn!("the commit landed at {}, but not here: {error}", self.name());
                None
            }
        };
        Ok(Ok(Landing::Landed { held_by }))
    }
}
