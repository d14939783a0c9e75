//! Landing of a measured change: through the merge queue, whose members are tested at the same time, each on those before
//! it, and land in order.
//!
//! A red result counts only once everything before the member has landed: until then, a change before it may be the cause.
//! Where many changes are red, each is tested on its own base first, and enters the queue only when green.

use std::time::Duration;

use super::ci_gate::Gate;
use super::commit_landing::CommitLanding;
use super::member_build::Change;
use super::member_test::TestEnd;
use super::queue_place::{QueuePlace, expected_parent, members_ahead};
use crate::attempt::{Attempt, AttemptError};
use crate::clock::now;
use crate::merge_queue::member_step::{MemberStep, MemberTest, next_step};
use crate::merge_queue::queue_changes::ChangeReceiver;
use crate::merge_queue::red_doubt::{AfterRed, RedRuns};
use crate::merge_queue::test_history::{TestHistory, TestMode};
use crate::phase::{RequeueReason, Verdict};
use crate::process::StopLevel;
use crate::progress::Step;
use crate::store::{MemberState, QueueMember};
use crate::workspace::{CommitMessage, Landing, MeasuredChange, RebaseOutcome};

/// Lost races with the user's commits, or conflicts in the queue, until the attempt is requeued.
const ROUNDS: u32 = 20;

/// End of a member's way through the queue.
enum Passage {
    Verdict(Verdict),
    /// The change conflicts with a member before it that has not landed.
    Conflict,
}

impl Attempt<'_> {
    pub(crate) async fn test_and_land(
        &mut self,
        measured: &MeasuredChange,
    ) -> Result<Verdict, AttemptError> {
        let claim = self.claim;
        let credit = self.context.agent_credit(claim, &self.record.usage)?;
        let message = CommitMessage {
            run: &claim.run_id,
            phase: &claim.phase_id,
            attempt: claim.attempt,
            name: claim.phase.name(),
            body: claim.phase.description(),
            is_of_strangers: claim.phase.is_from_tracker(),
            credit: credit.as_ref(),
        };
        let base = self.base.clone();
        let commit = self.slot.commit(&measured.tree, &base, &message).await?;
        let mut change = Change { base, commit, is_green: false, is_noted: false };
        let queue = &self.context.merge_queue;
        if let Some(ms) = self.record.agent_ms {
            queue.history(&claim.run_id, |history| history.note_agent(Duration::from_millis(ms)));
        }
        if queue.mode(&claim.run_id) == TestMode::AloneFirst {
            let tested = self.test_alone_first(&change.commit).await?;
            let gate = self.judge_test(tested, &change.commit).await?;
            self.note_result(&gate);
            if let Some(verdict) = verdict_of(gate) {
                return Ok(verdict);
            }
            (change.is_green, change.is_noted) = (true, true);
        }
        for _ in 0..ROUNDS {
            // From before the row is there until it is gone, so that no worker of this drain waits for a row left behind.
            let present = queue.presence(&claim.run_id, &claim.phase_id);
            let (position, has_others) = self.enter().await?;
            queue.history(&claim.run_id, |history| history.has_other_drains = has_others);
            let place = QueuePlace::new(position, has_others, has_others || queue.is_shared());
            let passed = self.pass_queue(place, &mut change).await;
            drop(present);
            self.context.merge_queue.changes.notify();
            match passed? {
                Passage::Verdict(verdict) => return Ok(verdict),
                Passage::Conflict => {
                    if let Some(verdict) = self.wait_for_conflict(position, &change).await? {
                        return Ok(verdict);
                    }
                }
            }
        }
        Ok(branch_moved())
    }

    /// Takes a position at the end of the queue. Returns the position, and whether another drain works on the run.
    async fn enter(&self) -> Result<(i64, bool), AttemptError> {
        let enter = || self.context.store.enter_merge_queue(self.claim, now());
        self.context.disk.retry_while_full(&self.stop, enter).await
    }

    /// Goes through the queue, and leaves it with the verdict.
    async fn pass_queue(
        &mut self,
        mut place: QueuePlace,
        change: &mut Change,
    ) -> Result<Passage, AttemptError> {
        // Without it, the tip known here may be older than the last landing of another clone.
        if self.context.remote.is_some() && place.has_other_drains {
            Box::pin(self.context.current_tip(&self.claim.run_id)).await?;
        }
        let passed = self.take_steps(&mut place, change).await;
        if let (Ok(Passage::Verdict(Verdict::Requeued(_))), Some(own)) = (&passed, &place.own)
            && own.test == MemberTest::Green
        {
            let commit = own.commit.clone();
            if let Some(tested) = place.tested.take() {
                self.note_green_runs(tested);
            }
            self.keep_unlanded(&commit).await;
        }
        // A landing deletes the ref, and the end of the attempt removes the member.
        let has_landed =
            matches!(&passed, Ok(Passage::Verdict(Verdict::Passed { commit: Some(_) })));
        let (run, position) = (&self.claim.run_id, place.position);
        if let (false, Some(kept)) = (has_landed, &place.kept)
            && let Err(error) = self.context.repo.drop_queue_ref(run, position).await
        {
            tracing::warn!("cannot drop {}: {error}", kept.name());
        }
        if !has_landed {
            Box::pin(self.withdraw_member(&place)).await;
        }
        let is_awaited = place.is_shared || !has_landed;
        if is_awaited && let Err(error) = self.context.store.leave_merge_queue(position).await {
            tracing::warn!("cannot leave the merge queue yet: {error}");
        }
        passed
    }

    async fn take_steps(
        &mut self,
        place: &mut QueuePlace,
        change: &mut Change,
    ) -> Result<Passage, AttemptError> {
        let (context, claim) = (self.context, self.claim);
        let (run, queue) = (&claim.run_id, &context.merge_queue);
        loop {
            let mut changes = queue.changes.receiver();
            let ahead = members_ahead(context, run, &claim.owner, place.position).await?;
            let guess = place.own.as_ref().map_or(&change.base, |own| &own.parent);
            let parent = expected_parent(context, run, &ahead, guess).await?;
            // Not seen as a run of CI yet, or not any more.
            let starts = ahead
                .iter()
                .any(|member| matches!(member.state, MemberState::Building | MemberState::Testing));
            let pause = queue.pause(run, starts);
            let depth = if pause.is_some() { 1 } else { queue.depth(run) };
            let (count, own) = (ahead.len(), place.own.as_ref());
            match next_step(count, parent.as_deref(), own, depth) {
                MemberStep::Wait => {
                    // A member whose test goes on may be the cause.
                    if !ahead.iter().any(|member| member.state == MemberState::Testing) {
                        self.record_red(place).await;
                    }
                    let waiting = self.wait_behind(&ahead, changes);
                    let waited = match pause {
                        Some(pause) => tokio::time::timeout(pause, waiting).await,
                        None => Ok(waiting.await),
                    };
                    if let Ok(Some(verdict)) = waited {
                        return Ok(Passage::Verdict(verdict));
                    }
                }
                MemberStep::Build { parent } => {
                    if !Box::pin(self.fetch_parent(&ahead, &parent)).await? {
                        match self.wait_behind(&ahead, changes).await {
                            Some(verdict) => return Ok(Passage::Verdict(verdict)),
                            None => continue,
                        }
                    }
                    match self.build_member(place, change, &parent).await {
                        Ok(None) => {}
                        Ok(Some(paths)) if ahead.is_empty() => {
                            return Ok(Passage::Verdict(conflict(&paths)));
                        }
                        Ok(Some(_)) => return Ok(Passage::Conflict),
                        // A `git gc` of the user may have removed the commit before; it lands, or its member leaves.
                        Err(error)
                            if !ahead.is_empty() && !matches!(error, AttemptError::LeaseLost) =>
                        {
                            tracing::warn!("waiting for the commit before: {error}");
                            changes.next(true).await;
                        }
                        Err(error) => return Err(error),
                    }
                    if self.stop.level() > StopLevel::Run && place.own.is_none() {
                        return Ok(Passage::Verdict(interrupted()));
                    }
                }
                MemberStep::Test => {
                    let ended = self.test_member(place, false, &change.base).await?;
                    if ended == TestEnd::Stopped && self.stop.level() > StopLevel::Run {
                        return Ok(Passage::Verdict(interrupted()));
                    }
                    if ended == TestEnd::Green && !change.is_noted {
                        change.is_noted = true;
                        self.note_result(&Gate::Green);
                    }
                }
                MemberStep::Land => {
                    if let Some(verdict) = self.land(place, change).await? {
                        return Ok(Passage::Verdict(verdict));
                    }
                }
            }
        }
    }

    /// Compares the results with the tip, and lands. Returns `None` if the member is to look at the queue again.
    async fn land(
        &mut self,
        place: &mut QueuePlace,
        change: &mut Change,
    ) -> Result<Option<Verdict>, AttemptError> {
        let (context, run) = (self.context, &self.claim.run_id);
        let Some(own) = place.own.clone() else { return Ok(None) };
        let queue = &context.merge_queue;
        if own.test != MemberTest::Green && self.stop.level() > StopLevel::Run {
            return Ok(Some(interrupted()));
        }
        if own.test == MemberTest::Red
            && !place.is_judged
            && self.repeat_in_doubt(place, change).await?
        {
            return Ok(None);
        }
        if !place.is_judged {
            let Some(tested) = place.tested.take() else { return Ok(None) };
            let gate = self.judge_test(tested, &own.commit).await?;
            if !std::mem::replace(&mut change.is_noted, true) {
                self.note_result(&gate);
            }
            if let Some(verdict) = verdict_of(gate) {
                return Ok(Some(verdict));
            }
            place.is_judged = true;
        }
        self.step(Step::Landing);
        let landed = match Box::pin(self.land_commit(place, &own)).await? {
            CommitLanding::Done(landed) => landed,
            CommitLanding::Again => return Ok(None),
            CommitLanding::Stopped => return Ok(Some(interrupted())),
        };
        match landed {
            Landing::Landed { held_by } => {
                // Recorded before the members behind read the result.
                self.note_green(&own.commit).await;
                self.keep_results().await;
                queue.history(run, TestHistory::note_landing);
                context.note_held_branch(&self.branch, held_by.as_deref());
                Ok(Some(Verdict::Passed { commit: Some(own.commit) }))
            }
            Landing::Fenced => Err(AttemptError::LeaseLost),
            Landing::TipMoved(_) if place.lost_races == ROUNDS => Ok(Some(branch_moved())),
            Landing::TipMoved(_) => {
                place.lost_races += 1;
                Ok(None)
            }
        }
    }

    /// Repeats the red test of the member at the head of the queue, or waits, if another run of CI may be its cause. Returns
    /// whether it did: otherwise the test counts.
    async fn repeat_in_doubt(
        &mut self,
        place: &mut QueuePlace,
        change: &Change,
    ) -> Result<bool, AttemptError> {
        let mut changes = self.context.merge_queue.changes.receiver();
        let runs = match self.after_red_member(place) {
            AfterRed::Counts => return Ok(false),
            AfterRed::Wait => {
                tokio::select! {
                    () = changes.next(false) => {}
                    () = self.stop.reached(StopLevel::Graceful) => {}
                }
                return Ok(true);
            }
            AfterRed::AgainBeside => RedRuns::SecondBeside,
            AfterRed::AgainAlone => RedRuns::Alone,
        };
        self.record_red(place).await;
        if self.test_member(place, runs == RedRuns::Alone, &change.base).await? != TestEnd::Stopped
        {
            place.red_runs = runs;
        }
        Ok(true)
    }

    /// Waits for a change of the queue behind these members. Returns the verdict after a stop.
    async fn wait_behind(
        &self,
        ahead: &[QueueMember],
        mut changes: ChangeReceiver,
    ) -> Option<Verdict> {
        self.report_step(&waiting(ahead));
        let is_others = ahead.iter().any(|member| member.owner != self.claim.owner);
        let queue = &self.context.merge_queue;
        let _waiting = is_others.then(|| queue.changes.wait_for_others());
        tokio::select! {
            () = changes.next(is_others) => None,
            () = self.stop.reached(StopLevel::Graceful) => Some(interrupted()),
        }
    }

    /// Waits until the members before a position have landed or left. Returns the verdict if the change conflicts with
    /// what landed.
    async fn wait_for_conflict(
        &mut self,
        position: i64,
        change: &Change,
    ) -> Result<Option<Verdict>, AttemptError> {
        let (context, claim) = (self.context, self.claim);
        let run = &claim.run_id;
        loop {
            let changes = context.merge_queue.changes.receiver();
            let ahead = members_ahead(context, run, &claim.owner, position).await?;
            if ahead.is_empty() {
                break;
            }
            if let Some(verdict) = self.wait_behind(&ahead, changes).await {
                return Ok(Some(verdict));
            }
        }
        let Some(tip) = Box::pin(context.current_tip(run)).await? else { return Ok(None) };
        Ok(match self.slot.rebase(&change.commit, &tip).await? {
            RebaseOutcome::Commit(_) => None,
            RebaseOutcome::Conflict { paths } => Some(conflict(&paths)),
        })
    }
}

/// Returns the verdict of a test that is not green.
fn verdict_of(gate: Gate) -> Option<Verdict> {
    match gate {
        Gate::Green => None,
        Gate::Red(failure) => Some(Verdict::Failed(failure)),
        Gate::Stopped => Some(interrupted()),
    }
}

fn interrupted() -> Verdict {
    Verdict::Requeued(RequeueReason::Interrupted)
}

fn branch_moved() -> Verdict {
    let message = format!("the branch moved {ROUNDS} times during this attempt");
    Verdict::Requeued(RequeueReason::BaseMoved { message })
}

fn conflict(paths: &[String]) -> Verdict {
    let message = format!("another landing changed {}", paths.join(", "));
    Verdict::Requeued(RequeueReason::BaseMoved { message })
}

/// Returns what a waiting member shows.
fn waiting(ahead: &[QueueMember]) -> String {
    match ahead.len() {
        0 => "in the merge queue".to_owned(),
        1 => format!("in the merge queue behind {}", ahead[0].phase_id),
        n => format!("in the merge queue behind {n} phases"),
    }
}
