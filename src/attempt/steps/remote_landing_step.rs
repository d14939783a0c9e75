//! Landing at the remote of the runs, and members of the merge queue of other clones.

use super::queue_place::QueuePlace;
use crate::attempt::remote_waits::RemoteEnd;
use crate::attempt::{Attempt, AttemptError};
use crate::merge_queue::member_step::MemberCommit;
use crate::phase::words::short_commit;
use crate::store::QueueMember;
use crate::workspace::{
    ClaimedWork, FencedLanding, Landing, QueueRef, RemoteFence, WorkspaceError,
};

impl Attempt<'_> {
    /// Lands the member's commit. Waits until the remote has told what became of the push. `None`: the operator stopped the
    /// attempt, and the commit has not landed and cannot land any more.
    pub(super) async fn land_at_remote(
        &mut self,
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
        let land = || async {
            // A `git gc` of the user may have removed the objects.
            slot.forget_handing_over();
            slot.copy_objects(commit, parent).await?;
            remote.land(landing).await
        };
        let (failure, is_stopped) = match context.ask_remote(&self.stop, land).await? {
            RemoteEnd::Answered(landed) => return Ok(Some(landed)),
            RemoteEnd::Stopped(failure) => (failure, true),
            RemoteEnd::Silent(failure) => (failure, false),
        };
        match context.has_landed_for_good(work, commit, None).await? {
            Some(true) => Ok(Some(Landing::Landed { held_by: None })),
            Some(false) if is_stopped => Ok(None),
            Some(false) => Err(AttemptError::Systemic(failure.to_string())),
            None => Err(AttemptError::Unsettled(format!(
                "{failure}; the next drain checks whether {} landed",
                short_commit(commit)
            ))),
        }
    }

    /// Shares the commit with drains of other clones, which build on it. Without it they wait until it has landed.
    pub(super) async fn share_member(
        &self,
        place: &mut QueuePlace,
        commit: &str,
    ) -> Result<(), WorkspaceError> {
        let Some(remote) = self.context.remote.as_ref().filter(|_| place.has_other_drains) else {
            return Ok(());
        };
        match remote.put_member(&self.claim.run_id, place.position, commit).await? {
            Ok(member) => place.at_remote = Some(member),
            Err(failure) => tracing::debug!("the queued commit is not shared: {failure}"),
        }
        Ok(())
    }

    /// Deletes the shared commit of a member that left.
    pub(super) async fn withdraw_member(&self, place: &QueuePlace) {
        let (Some(remote), Some(member)) = (&self.context.remote, &place.at_remote) else { return };
        match remote.drop_member(member).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => tracing::debug!("{} stays: {failure}", member.name()),
            Err(error) => tracing::debug!("{} stays: {error}", member.name()),
        }
    }

    /// Fetches the commit before, if it is of a drain of another clone. Returns whether it can be built on.
    pub(super) async fn fetch_parent(
        &self,
        ahead: &[QueueMember],
        parent: &str,
    ) -> Result<bool, AttemptError> {
        let last = ahead.last().filter(|last| last.owner != self.claim.owner);
        let (Some(remote), Some(last)) = (&self.context.remote, last) else { return Ok(true) };
        match remote.fetch_member(&self.claim.run_id, last.position, parent).await? {
            Ok(is_here) => Ok(is_here),
            Err(failure) => {
                tracing::debug!("waiting for the commit before: {failure}");
                Ok(false)
            }
        }
    }
}
