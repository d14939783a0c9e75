//! Landing of a commit, in this repository or at the remote of the runs.

use std::sync::atomic::{AtomicBool, Ordering};

use super::queue_place::QueuePlace;
use crate::attempt::remote_waits::RemoteEnd;
use crate::attempt::{Attempt, AttemptError};
use crate::merge_queue::member_step::MemberCommit;
use crate::phase::words::short_commit;
use crate::workspace::{ClaimedWork, FencedLanding, Landing, QueueRef, RemoteFence};

/// End of a try to land.
pub(super) enum CommitLanding {
    /// The refs decided.
    Done(Landing),
    /// The member is to look at the queue again.
    Again,
    /// The operator stopped the attempt; the commit has not landed, and cannot land any more.
    Stopped,
}

impl Attempt<'_> {
    /// Lands the member's commit where the run is.
    pub(super) async fn land_commit(
        &mut self,
        place: &mut QueuePlace,
        own: &MemberCommit,
    ) -> Result<CommitLanding, AttemptError> {
        let (landed, otherwise) = match &self.context.remote {
            None => (self.land_here(place, own).await?, CommitLanding::Again),
            Some(remote) => {
                (self.land_at_remote(remote, place, own).await?, CommitLanding::Stopped)
            }
        };
        Ok(landed.map_or(otherwise, CommitLanding::Done))
    }

    /// Lands in this repository. Returns `None` if the member is to look at the queue again.
    async fn land_here(
        &self,
        place: &mut QueuePlace,
        own: &MemberCommit,
    ) -> Result<Option<Landing>, AttemptError> {
        let (kept, run) = (place.kept.as_ref(), &self.claim.run_id);
        let (fence, slot) = (&self.fence, &self.slot);
        let landed = slot.land_member(fence, run, &own.parent, &own.commit, kept).await;
        match (landed, kept) {
            // Somebody removed the ref, such as a fetch of a mirror.
            (Err(error), Some(kept)) if !place.has_new_ref => {
                tracing::warn!("{error}; writing {} again", kept.name());
                let repo = &self.context.repo;
                let put = repo.put_queue_ref(run, place.position, &own.commit).await?;
                (place.kept, place.has_new_ref) = (Some(put), true);
                Ok(None)
            }
            (landed, _) => Ok(Some(landed?)),
        }
    }

    /// Lands the member's commit. Waits until the remote has told what became of the push. `None`: the operator stopped the
    /// attempt, and the commit has not landed and cannot land any more.
    async fn land_at_remote(
        &self,
        remote: &RemoteFence,
        place: &QueuePlace,
        own: &MemberCommit,
    ) -> Result<Option<Landing>, AttemptError> {
        let (parent, commit) = (own.parent.as_str(), own.commit.as_str());
        let work = ClaimedWork::from(self.claim);
        let member = place.at_remote.as_ref();
        let landed = self.push_landing(remote, &work, (parent, commit), member).await?;
        if let (Some(Landing::Landed { .. }), Some(kept)) = (&landed, &place.kept) {
            let (repo, run) = (&self.context.repo, &self.claim.run_id);
            if let Err(error) = repo.drop_queue_ref(run, place.position).await {
                tracing::warn!("cannot drop {}: {error}", kept.name());
            }
        }
        Ok(landed)
    }

    /// As [`Self::land_at_remote`], for any work: a commit on its parent.
    pub(in crate::attempt) async fn push_landing(
        &self,
        remote: &RemoteFence,
        work: &ClaimedWork,
        (parent, commit): (&str, &str),
        member: Option<&QueueRef>,
    ) -> Result<Option<Landing>, AttemptError> {
        let (context, slot) = (self.context, &self.slot);
        let (run, branch, claim) = (&work.run, self.branch.as_str(), &self.fence);
        let landing = FencedLanding { run, branch, claim, parent, commit, member };
        let is_repeated = AtomicBool::new(false);
        let land = || async {
            // A `git gc` of the user may have removed the objects.
            if is_repeated.swap(true, Ordering::Relaxed) {
                slot.forget_handing_over();
            }
            slot.copy_objects(commit, parent).await?;
            remote.land(landing).await
        };
        let (failure, is_stopped) = match context.ask_remote(&self.stop, land).await? {
            RemoteEnd::Answered(landed) => return Ok(Some(landed)),
            RemoteEnd::Stopped(failure) => (failure, true),
            RemoteEnd::Silent(failure) => (failure, false),
        };
        match Box::pin(context.has_landed_for_good(work, commit, None)).await? {
            Some(true) => Ok(Some(Landing::Landed { held_by: None })),
            Some(false) if is_stopped => Ok(None),
            Some(false) => Err(AttemptError::Systemic(failure.to_string())),
            None => Err(AttemptError::Unsettled(format!(
                "{failure}; the next drain checks whether {} landed",
                short_commit(commit)
            ))),
        }
    }
}
