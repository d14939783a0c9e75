//! Place of an attempt in the merge queue, and the commit that its own has to be built on.

use super::ci_gate::Tested;
use crate::attempt::{AttemptError, DrainContext};
use crate::merge_queue::member_step::MemberCommit;
use crate::phase::RunId;
use crate::store::{OwnerId, QueueMember};
use crate::workspace::QueueRef;

/// Place of an attempt in the merge queue.
pub(super) struct QueuePlace {
    pub position: i64,
    /// The member's commit, once made.
    pub own: Option<MemberCommit>,
    /// Ref of the commit.
    pub kept: Option<QueueRef>,
    /// Runs of CI on the commit.
    pub tested: Option<Tested>,
    /// Whether the results were compared with the base, and are green.
    pub is_judged: bool,
    /// Whether CI was red beside another run.
    pub was_red_in_company: bool,
    /// Landings prevented by commits of the user.
    pub lost_races: u32,
}

impl QueuePlace {
    pub fn new(position: i64) -> Self {
        Self {
            position,
            own: None,
            kept: None,
            tested: None,
            is_judged: false,
            was_red_in_company: false,
            lost_races: 0,
        }
    }

    /// Forgets the commit and its test.
    pub fn forget_commit(&mut self) {
        (self.own, self.tested) = (None, None);
        (self.is_judged, self.was_red_in_company) = (false, false);
    }

    /// Returns once the commit is no longer the one to land, because the queue before the member changed.
    pub async fn wait_until_moot(
        &self,
        context: &DrainContext,
        (run, owner): (&RunId, &OwnerId),
        own: &MemberCommit,
    ) -> Result<(), AttemptError> {
        loop {
            let mut changes = context.merge_queue.changes.receiver();
            let ahead = context.store.members_before(run, self.position).await?;
            let parent = expected_parent(context, run, &ahead, &own.parent).await?;
            if parent.is_none_or(|parent| parent != own.parent) {
                return Ok(());
            }
            changes.next(ahead.iter().any(|member| member.owner != *owner)).await;
        }
    }
}

/// Returns the commit that a member has to be built on: of the member before, or the tip. `None` while the commit before is
/// being made. `guess` is the tip if the files of the refs say so.
pub(super) async fn expected_parent(
    context: &DrainContext,
    run: &RunId,
    ahead: &[QueueMember],
    guess: &str,
) -> Result<Option<String>, AttemptError> {
    if let Some(last) = ahead.last() {
        return Ok(last.commit.clone());
    }
    if context.repo.is_loose_tip(run, guess) {
        return Ok(Some(guess.to_owned()));
    }
    Ok(Some(context.repo.tip(run).await?.commit))
}
