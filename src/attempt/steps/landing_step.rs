//! Landing of a measured change: through the merge queue, whose members are tested at the same time, each on those before
//! it, and land in order.
//!
//! A red result counts only once everything before the member has landed: until then, a change before it may be the cause.
//! Where many changes are red, each is tested on its own base first, and enters the queue only when green.

use super::ci_gate::Gate;
use super::queue_place::{QueuePlace, expected_parent};
use crate::attempt::attempt::CiTurn;
use crate::attempt::{Attempt, AttemptError};
use crate::clock::now;
use crate::merge_queue::member_step::{MemberCommit, MemberStep, MemberTest, next_step};
use crate::merge_queue::test_history::{TestHistory, TestMode};
use crate::phase::{RequeueReason, Verdict};
use crate::process::{StopLevel, StopReceiver};
use crate::progress::Step;
use crate::store::QueueMember;
use crate::workspace::{CommitMessage, Landing, MeasuredChange, RebaseOutcome};

/// Lost races with the user's commits, or conflicts in the queue, until the attempt is requeued.
const ROUNDS: u32 = 20;

/// Change of an attempt, as a commit on its own base.
struct Change {
    base: String,
    commit: String,
    /// Whether CI was green with the commit, compared with its base.
    is_green: bool,
    /// Whether the change was tested, on whatever base.
    is_tested: bool,
}

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
        let message = CommitMessage {
            run: &claim.run_id,
            phase: &claim.phase_id,
            attempt: claim.attempt,
            name: claim.phase.name(),
            body: claim.phase.description(),
        };
        let base = self.base.clone();
        let commit = self.slot.commit(&measured.tree, &base, &message).await?;
        let mut change = Change { base, commit, is_green: false, is_tested: false };
        let queue = &self.context.merge_queue;
        if queue.mode(&claim.run_id) == TestMode::AloneFirst {
            let gate = self.ci(&change.commit).await?;
            queue.history(&claim.run_id, |history| history.note_test(matches!(gate, Gate::Red(_))));
            if let Some(verdict) = verdict_of(gate) {
                return Ok(verdict);
            }
            (change.is_green, change.is_tested) = (true, true);
        }
        for _ in 0..ROUNDS {
            let place = QueuePlace::new(self.enter().await?);
            let position = place.position;
            let passed = self.pass_queue(place, &mut change).await;
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
        let message = format!("the branch moved {ROUNDS} times during this attempt");
        Ok(Verdict::Requeued(RequeueReason::BaseMoved { message }))
    }

    /// Takes a position at the end of the queue.
    async fn enter(&self) -> Result<i64, AttemptError> {
        let enter = || self.context.store.enter_merge_queue(self.claim, now());
        self.context.disk.retry_while_full(&self.stop, enter).await
    }

    /// Goes through the queue, and leaves it with the verdict.
    async fn pass_queue(
        &mut self,
        mut place: QueuePlace,
        change: &mut Change,
    ) -> Result<Passage, AttemptError> {
        let passed = self.take_steps(&mut place, change).await;
        // A landing deletes the ref, and the end of the attempt removes the member.
        let has_landed =
            matches!(&passed, Ok(Passage::Verdict(Verdict::Passed { commit: Some(_) })));
        let (run, position) = (&self.claim.run_id, place.position);
        if let (false, Some(kept)) = (has_landed, &place.kept)
            && let Err(error) = self.context.repo.drop_queue_ref(run, position).await
        {
            tracing::warn!("cannot drop {}: {error}", kept.name());
        }
        let is_awaited = self.context.merge_queue.is_shared() || !has_landed;
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
            let ahead = context.store.members_before(run, place.position).await?;
            let guess = place.own.as_ref().map_or(&change.base, |own| &own.parent);
            let parent = expected_parent(context, run, &ahead, guess).await?;
            let depth = queue.depth(run);
            match next_step(ahead.len(), parent.as_deref(), place.own.as_ref(), depth) {
                MemberStep::Wait => {
                    self.report_step(&waiting(&ahead));
                    let is_others = ahead.last().is_some_and(|last| last.owner != claim.owner);
                    let _waiting = is_others.then(|| queue.changes.wait_for_others());
                    tokio::select! {
                        () = changes.next(is_others) => {}
                        () = self.stop.reached(StopLevel::Graceful) => {
                            return Ok(Passage::Verdict(interrupted()));
                        }
                    }
                }
                MemberStep::Build { parent } => {
                    if let Some(paths) = self.build(place, change, &parent).await? {
                        return Ok(match ahead.is_empty() {
                            true => Passage::Verdict(conflict(&paths)),
                            false => Passage::Conflict,
                        });
                    }
                }
                step @ (MemberStep::Test | MemberStep::TestAgain) => {
                    let again = step == MemberStep::TestAgain;
                    self.test_member(place, again, &ahead).await?;
                    if let (Some(tested), false) = (&place.tested, change.is_tested) {
                        change.is_tested = true;
                        queue.history(run, |history| history.note_test(!tested.is_green()));
                    }
                    if self.stop.level() > StopLevel::Run && place.tested.is_none() {
                        return Ok(Passage::Verdict(interrupted()));
                    }
                }
                MemberStep::Land => {
                    if let Some(verdict) = self.land(place).await? {
                        return Ok(Passage::Verdict(verdict));
                    }
                }
            }
        }
    }

    /// Makes the member's commit on a parent. Returns the conflicting paths if the change does not fit.
    async fn build(
        &mut self,
        place: &mut QueuePlace,
        change: &Change,
        parent: &str,
    ) -> Result<Option<Vec<String>>, AttemptError> {
        place.forget_commit();
        let is_base = parent == change.base;
        let commit = match is_base {
            true => change.commit.clone(),
            false => match self.slot.rebase(&change.commit, parent).await? {
                RebaseOutcome::Commit(commit) => commit,
                RebaseOutcome::Conflict { paths } => return Ok(Some(paths)),
            },
        };
        // The members behind read these objects, and the ref keeps them.
        self.slot.copy_objects(&commit, parent).await?;
        let run = &self.claim.run_id;
        if self.context.merge_queue.is_shared() {
            let old = place.kept.as_ref();
            let kept = self.context.repo.put_queue_ref(run, place.position, &commit, old).await?;
            place.kept = Some(kept);
        }
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

    /// Runs CI on the member's commit, until the commit is no longer the one to land.
    async fn test_member(
        &mut self,
        place: &mut QueuePlace,
        again: bool,
        ahead: &[QueueMember],
    ) -> Result<(), AttemptError> {
        let (context, run) = (self.context, &self.claim.run_id);
        let Some(own) = place.own.clone() else { return Ok(()) };
        let queue = &context.merge_queue;
        let is_safe = queue.history(run, |history| {
            history.note_queue_run();
            history.is_parallel_safe()
        });
        self.ci_turn = CiTurn { alone: again && !is_safe, had_company: false };
        let (handle, stop) = StopReceiver::pair();
        let whole = std::mem::replace(&mut self.stop, stop);
        let moot = place.wait_until_moot(context, (run, &self.claim.owner), &own);
        let tested = tokio::select! {
            tested = self.run_test(&own.commit) => tested,
            never = handle.forward(&whole) => match never {},
            never = async {
                let moot = moot.await;
                handle.raise(StopLevel::Graceful);
                match moot {
                    Ok(()) => std::future::pending().await,
                    Err(error) => Err(error),
                }
            } => never,
        };
        self.stop = whole;
        let CiTurn { alone, had_company } = std::mem::take(&mut self.ci_turn);
        let tested = tested?;
        if tested.is_stopped() {
            // Either the operator stopped the drain, or the queue before this member changed.
            return Ok(());
        }
        let is_green = tested.is_green();
        let is_disturbed = is_green && again && alone && place.was_red_in_company;
        place.was_red_in_company |= !is_green && had_company;
        let is_new = queue.history(run, |history| {
            if is_green && had_company {
                history.note_parallel_pass();
            }
            is_disturbed && history.note_parallel_failure()
        });
        if is_new {
            queue.permits.run_one_at_a_time();
            context.progress.note(
                "CI failed twice beside another run of CI and passed alone: CI runs one at a time from here on (set \
                 ci.parallel: 1)",
            );
        }
        if !ahead.is_empty() {
            let record = context.store.record_member_test(place.position, &own.commit, is_green);
            record.await?;
        }
        if let Some(own) = &mut place.own {
            own.test = match (is_green, again) {
                (true, _) => MemberTest::Green,
                (false, false) => MemberTest::Red,
                (false, true) => MemberTest::RedAgain,
            };
        }
        place.tested = Some(tested);
        Ok(())
    }

    /// Compares the results with the tip, and lands. Returns `None` if the member is to look at the queue again.
    async fn land(&mut self, place: &mut QueuePlace) -> Result<Option<Verdict>, AttemptError> {
        let (context, run) = (self.context, &self.claim.run_id);
        let Some(own) = place.own.clone() else { return Ok(None) };
        let queue = &context.merge_queue;
        let is_safe = queue.history(run, |history| history.is_parallel_safe());
        if own.test == MemberTest::Red && place.was_red_in_company && !is_safe {
            self.test_member(place, true, &[]).await?;
            return Ok((self.stop.level() > StopLevel::Run).then(interrupted));
        }
        if !place.is_judged {
            let Some(tested) = place.tested.take() else { return Ok(None) };
            if let Some(verdict) = verdict_of(self.judge_test(tested, &own.commit).await?) {
                return Ok(Some(verdict));
            }
            place.is_judged = true;
        }
        self.step(Step::Landing);
        let kept = place.kept.as_ref();
        let (fence, slot) = (&self.fence, &self.slot);
        match slot.land_member(fence, run, &own.parent, &own.commit, kept).await? {
            Landing::Landed { held_by } => {
                // Recorded before the members behind read the result.
                self.note_green(&own.commit).await;
                self.keep_results().await;
                queue.history(run, TestHistory::note_landing);
                context.note_held_branch(&self.branch, held_by.as_deref());
                Ok(Some(Verdict::Passed { commit: Some(own.commit) }))
            }
            Landing::Fenced => Err(AttemptError::LeaseLost),
            Landing::TipMoved(_) if place.lost_races == ROUNDS => {
                let message = format!("the branch moved {ROUNDS} times during this attempt");
                Ok(Some(Verdict::Requeued(RequeueReason::BaseMoved { message })))
            }
            Landing::TipMoved(_) => {
                place.lost_races += 1;
                Ok(None)
            }
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
            let mut changes = context.merge_queue.changes.receiver();
            let ahead = context.store.members_before(run, position).await?;
            let Some(last) = ahead.last() else { break };
            self.report_step(&waiting(&ahead));
            let is_others = last.owner != claim.owner;
            let _waiting = is_others.then(|| context.merge_queue.changes.wait_for_others());
            tokio::select! {
                () = changes.next(is_others) => {}
                () = self.stop.reached(StopLevel::Graceful) => return Ok(Some(interrupted())),
            }
        }
        let tip = context.repo.tip(run).await?.commit;
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
