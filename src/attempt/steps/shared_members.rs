//! Members of the merge queue at the remote of the runs: what drains of other clones build on.

use super::queue_place::QueuePlace;
use crate::attempt::{Attempt, AttemptError};
use crate::store::QueueMember;
use crate::workspace::WorkspaceError;

impl Attempt<'_> {
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
