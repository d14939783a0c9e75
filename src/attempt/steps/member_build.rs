//! Making the commit of a member of the merge queue: the change, on the commit before it.

use std::time::Duration;

use super::queue_place::QueuePlace;
use crate::attempt::{Attempt, AttemptError};
use crate::merge_queue::member_step::{MemberCommit, MemberTest};
use crate::workspace::{RebaseOutcome, WorkspaceError};

/// Rounds for a commit that a `git gc` interferes with.
const GC_ROUNDS: u32 = 6;
const GC_PAUSE: Duration = Duration::from_millis(200);

/// Change of an attempt, as a commit on its own base.
pub(super) struct Change {
    pub base: String,
    pub commit: String,
    /// Whether CI was green with the commit, compared with its base.
    pub is_green: bool,
    /// Whether the test history knows the result.
    pub is_noted: bool,
}

impl Attempt<'_> {
    /// Makes the member's commit on a parent. Returns the conflicting paths if the change does not fit.
    pub(super) async fn build_member(
        &mut self,
        place: &mut QueuePlace,
        change: &Change,
        parent: &str,
    ) -> Result<Option<Vec<String>>, AttemptError> {
        place.forget_commit();
        let is_base = parent == change.base;
        let mut round = 1;
        let made = loop {
            match self.make_commit(place, change, parent).await {
                // A `git gc` of the user may remove objects and directories until a ref names the commit.
                Err(error) if round < GC_ROUNDS => {
                    tracing::debug!("making the commit again: {error}");
                    self.slot.forget_handing_over();
                    tokio::time::sleep(GC_PAUSE).await;
                }
                made => break made?,
            }
            round += 1;
        };
        let commit = match made {
            RebaseOutcome::Commit(commit) => commit,
            RebaseOutcome::Conflict { paths } => return Ok(Some(paths)),
        };
        self.record.landing = Some(commit.clone());
        let record =
            || self.context.store.record_member_commit(self.claim, place.position, parent, &commit);
        // The work is complete, so a full disk is waited for.
        self.context.disk.retry_while_full(&self.stop, record).await?;
        self.context.merge_queue.changes.notify();
        self.base = parent.to_owned();
        let is_tested = is_base && change.is_green;
        let test = if is_tested { MemberTest::Green } else { MemberTest::Missing };
        place.is_judged = is_tested;
        place.own = Some(MemberCommit { parent: parent.to_owned(), commit, test });
        Ok(None)
    }

    /// Makes the commit, writes its objects where the members behind read them, and points the member's ref at it.
    async fn make_commit(
        &self,
        place: &mut QueuePlace,
        change: &Change,
        parent: &str,
    ) -> Result<RebaseOutcome, WorkspaceError> {
        let repo = &self.context.repo;
        if repo.wait_for_gc().await {
            self.slot.forget_handing_over();
        }
        let commit = match parent == change.base {
            true => change.commit.clone(),
            false => match self.slot.rebase(&change.commit, parent).await? {
                RebaseOutcome::Commit(commit) => commit,
                conflict @ RebaseOutcome::Conflict { .. } => return Ok(conflict),
            },
        };
        self.slot.copy_objects(&commit, parent).await?;
        if place.is_shared {
            let run = &self.claim.run_id;
            place.kept = Some(repo.put_queue_ref(run, place.position, &commit).await?);
        }
        Box::pin(self.share_member(place, &commit)).await?;
        Ok(RebaseOutcome::Commit(commit))
    }
}
