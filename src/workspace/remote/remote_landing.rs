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
            Ok(()) => Ok(Ok(self.landed(run, commit, parent).await)),
            Err(failure) => Box::pin(self.settle(landing, failure)).await,
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
                return Ok(Ok(self.landed(run, commit, parent).await));
            }
            if tip != parent {
                let tip = match self.refresh(run).await? {
                    Ok(Some(tip)) => tip.commit,
                    // It was deleted just now.
                    Ok(None) => return Ok(Err(failure)),
                    Err(failure) => return Ok(Err(failure)),
                };
                if self.repo.contains(&tip, commit).await? {
                    return Ok(Ok(Landing::Landed { held_by: None }));
                }
                moved_to = (tip != *parent).then_some(tip);
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
    async fn landed(&self, run: &RunId, commit: &str, parent: &str) -> Landing {
        let held_by = match self.follow_landing(run, commit, parent).await {
            Ok(BranchUpdate::Held(path)) => Some(path),
            Ok(_) => None,
            Err(error) => {
                tracing::warn!("the commit landed at {}, but not here: {error}", self.name());
                None
            }
        };
        Landing::Landed { held_by }
    }

    async fn follow_landing(
        &self,
        run: &RunId,
        commit: &str,
        parent: &str,
    ) -> Result<BranchUpdate> {
        let _reading = self.reading_tip.lock().await;
        let known = self.repo.remote_tip(run).await?;
        // Others may have landed on top before this one was recorded here.
        let is_later = known.filter(|known| known != parent && known != commit);
        if let Some(later) = is_later
            && self.repo.contains(&later, commit).await?
        {
            return Ok(BranchUpdate::UpToDate);
        }
        self.repo.follow_remote(run, None, commit, Some(parent)).await
    }
}
