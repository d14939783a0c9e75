//! Place of an attempt in the merge queue, and the commit that its own has to be built on.

use super::ci_gate::Tested;
use crate::attempt::{AttemptError, DrainContext};
use crate::merge_queue::ci_permits::TestRuns;
use crate::merge_queue::member_step::MemberCommit;
use crate::merge_queue::red_doubt::RedRuns;
use crate::phase::RunId;
use crate::store::{MemberState, OwnerId, QueueMember};
use crate::workspace::QueueRef;

/// Place of an attempt in the merge queue.
pub(super) struct QueuePlace {
    pub position: i64,
    /// Whether members of other workers or drains may build on this one.
    pub is_shared: bool,
    /// The member's commit, once made.
    pub own: Option<MemberCommit>,
    /// Whether another drain works on the run.
    pub has_other_drains: bool,
    /// Ref of the commit.
    pub kept: Option<QueueRef>,
    /// Ref of the commit at the remote, for drains of other clones.
    pub at_remote: Option<QueueRef>,
    /// Runs of CI on the commit.
    pub tested: Option<Tested>,
    /// Whether the results were compared with the base, and are green.
    pub is_judged: bool,
    /// Runs of the red test so far.
    pub red_runs: RedRuns,
    /// Runs of CI of the last test.
    pub runs: TestRuns,
    /// Whether the store knows that the test is red.
    pub is_known_red: bool,
    /// Whether the ref was lost and written again.
    pub has_new_ref: bool,
    /// Landings prevented by commits of the user.
    pub lost_races: u32,
}

impl QueuePlace {
    pub fn new(position: i64, has_other_drains: bool, is_shared: bool) -> Self {
        Self {
            position,
            is_shared,
            own: None,
            has_other_drains,
            kept: None,
            at_remote: None,
            tested: None,
            is_judged: false,
            red_runs: RedRuns::First,
            runs: TestRuns::default(),
            is_known_red: false,
            has_new_ref: false,
            lost_races: 0,
        }
    }

    /// Forgets the commit and its test.
    pub fn forget_commit(&mut self) {
        (self.own, self.tested) = (None, None);
        (self.is_judged, self.is_known_red) = (false, false);
        self.red_runs = RedRuns::First;
    }

    /// Returns once the commit is no longer the one to land, because the queue before the member changed. Errors of the
    /// store or of git are left to the next step of the member.
    pub async fn wait_until_moot(
        &self,
        context: &DrainContext,
        (run, owner): (&RunId, &OwnerId),
        own: &MemberCommit,
    ) {
        loop {
            let mut changes = context.merge_queue.changes.receiver();
            let mut has_others = false;
            if let Ok(ahead) = members_ahead(context, run, owner, self.position).await {
                let parent = expected_parent(context, run, &ahead, &own.parent).await;
                let has_moved =
                    parent.is_ok_and(|parent| parent.is_none_or(|parent| parent != own.parent));
                if has_moved {
                    return;
                }
                has_others = ahead.iter().any(|member| member.owner != *owner);
            }
            let _waiting = has_others.then(|| context.merge_queue.changes.wait_for_others());
            changes.next(has_others).await;
        }
    }
}

/// Returns the members before a position. Rows that attempts of this drain left behind do not count: nobody lands them.
pub(super) async fn members_ahead(
    context: &DrainContext,
    run: &RunId,
    owner: &OwnerId,
    position: i64,
) -> Result<Vec<QueueMember>, AttemptError> {
    let mut ahead = context.store.members_before(run, position).await?;
    let queue = &context.merge_queue;
    ahead.retain(|member| member.owner != *owner || queue.is_present(run, &member.phase_id));
    Ok(ahead)
}

/// Returns the member that the next one is built on. Red members are left out: while their test is repeated, they probably leave.
pub(super) fn last_of(ahead: &[QueueMember]) -> Option<&QueueMember> {
    ahead.iter().rfind(|member| member.state != MemberState::Red)
}

/// Returns the commit that a member has to be built on: of the member before, or the tip. `None` while the commit before is
/// being made, or the remote does not answer. `guess` is the tip if the files of the refs say so.
pub(super) async fn expected_parent(
    context: &DrainContext,
    run: &RunId,
    ahead: &[QueueMember],
    guess: &str,
) -> Result<Option<String>, AttemptError> {
    if let Some(last) = last_of(ahead) {
        return Ok(last.commit.clone());
    }
    if context.repo.is_known_tip(run, guess).await? {
        return Ok(Some(guess.to_owned()));
    }
    Box::pin(context.current_tip(run)).await
}
