//! Members of the merge queue at the remote, for drains of other clones.

use super::queue_place::{QueuePlace, last_of};
use crate::attempt::{Attempt, AttemptError};
use crate::store::QueueMember;
use crate::workspace::WorkspaceError;

impl Attempt<'_> {
    /// Shares the commit: drains of other clones build on it. Otherwise they wait until it lands.
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

    /// Deletes the shared commit after the member left.
    pub(super) async fn withdraw_member(&self, place: &QueuePlace) {
        let (Some(remote), Some(member)) = (&self.context.remote, &place.at_remote) else { return };
        match remote.drop_member(member).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => tracing::debug!("{} stays: {failure}", member.name()),
            Err(error) => tracing::debug!("{} stays: {error}", member.name()),
        }
    }

    /// Fetches the commit before, if another clone made it. Returns `true` if the attempt can build on it.
    pub(super) async fn fetch_parent(
        &self,
        ahead: &[QueueMember],
        parent: &str,
    ) -> Result<bool, AttemptError> {
        let last = last_of(ahead).filter(|last| last.owner != self.claim.owner);
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
