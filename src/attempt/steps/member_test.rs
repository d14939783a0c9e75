//! CI on the commit of a member of the merge queue, beside the tests of the other members.

use super::ci_gate::{Gate, Tested};
use super::queue_place::QueuePlace;
use crate::attempt::attempt::CiTurn;
use crate::attempt::{Attempt, AttemptError};
use crate::merge_queue::member_step::MemberTest;
use crate::process::{StopLevel, StopReceiver};

/// End of a member's test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TestEnd {
    Green,
    Red,
    /// The operator stopped the drain or the phase, or the commit is no longer the one to land.
    Stopped,
}

impl Attempt<'_> {
    /// Runs CI on the member's commit, until the commit is no longer the one to land; `alone`: once more, without another
    /// run beside it. `is_first`: nothing is before the member.
    pub(super) async fn test_member(
        &mut self,
        place: &mut QueuePlace,
        (alone, is_first): (bool, bool),
    ) -> Result<TestEnd, AttemptError> {
        let (context, run) = (self.context, &self.claim.run_id);
        let Some(own) = place.own.clone() else { return Ok(TestEnd::Stopped) };
        let queue = &context.merge_queue;
        self.ci_turn = CiTurn { alone, had_company: false };
        let (handle, stop) = StopReceiver::pair();
        let whole = std::mem::replace(&mut self.stop, stop);
        let moot = place.wait_until_moot(context, (run, &self.claim.owner), &own);
        let tested = tokio::select! {
            tested = self.run_test(&own.commit, !alone) => tested,
            never = handle.forward(&whole) => match never {},
            never = async {
                moot.await;
                handle.raise(StopLevel::Graceful);
                std::future::pending().await
            } => never,
        };
        self.stop = whole;
        let turn = std::mem::take(&mut self.ci_turn);
        let tested = tested?;
        if tested.is_stopped() {
            return Ok(TestEnd::Stopped);
        }
        queue.history(run, |history| history.note_queue_run());
        let is_green = tested.is_green();
        self.note_company(is_green, alone, turn);
        place.is_red_in_doubt = !is_green && !alone && (turn.had_company || !is_first);
        if place.is_shared {
            let record = context.store.record_member_test(place.position, &own.commit, is_green);
            // For people and for the members behind, who look again anyway.
            if let Err(error) = record.await {
                tracing::warn!("cannot record the test of a queued commit: {error}");
            }
            // Those behind a red member wait, and those behind a green one go on.
            queue.changes.notify();
        }
        let (test, end) = match is_green {
            true => (MemberTest::Green, TestEnd::Green),
            false => (MemberTest::Red, TestEnd::Red),
        };
        if let Some(own) = &mut place.own {
            own.test = test;
        }
        place.tested = Some(tested);
        Ok(end)
    }

    /// Runs CI on a change on its own base, before the queue. A red run beside another is repeated like a member's.
    pub(super) async fn test_alone_first(&mut self, commit: &str) -> Result<Tested, AttemptError> {
        self.ci_turn = CiTurn::default();
        let tested = self.run_test(commit, true).await?;
        let turn = std::mem::take(&mut self.ci_turn);
        if tested.is_stopped() {
            return Ok(tested);
        }
        self.note_company(tested.is_green(), false, turn);
        if tested.is_green() || !turn.had_company {
            return Ok(tested);
        }
        self.ci_turn.alone = true;
        let again = self.run_test(commit, false).await;
        let turn = std::mem::take(&mut self.ci_turn);
        let again = again?;
        if !again.is_stopped() {
            self.note_company(again.is_green(), true, turn);
        }
        Ok(again)
    }

    /// Records whether a change is red, for the choice how the next changes are tested.
    pub(super) fn note_result(&self, gate: &Gate) {
        let queue = &self.context.merge_queue;
        match gate {
            Gate::Stopped => {}
            Gate::Green => queue.history(&self.claim.run_id, |history| history.note_test(false)),
            Gate::Red(_) => queue.history(&self.claim.run_id, |history| history.note_test(true)),
        }
    }

    /// Learns from a run whether runs of CI disturb each other. `is_repeated`: the run before was red, perhaps because of
    /// another.
    fn note_company(&self, is_green: bool, is_repeated: bool, turn: CiTurn) {
        let queue = &self.context.merge_queue;
        let is_new = queue.history(&self.claim.run_id, |history| {
            if is_green && turn.had_company {
                history.note_parallel_pass();
            }
            is_green && is_repeated && history.note_parallel_failure()
        });
        if is_new {
            queue.permits.run_one_at_a_time();
            self.context.progress.note(
                "CI failed twice beside another run of CI and passed alone: CI runs one at a time from here on (set \
                 ci.parallel: 1)",
            );
        }
    }
}
