//! CI on the commit of a member of the merge queue, beside the tests of the other members.

use super::ci_gate::{Gate, Tested};
use super::queue_place::QueuePlace;
use crate::attempt::attempt::CiTurn;
use crate::attempt::{Attempt, AttemptError};
use crate::merge_queue::ci_permits::TestRuns;
use crate::merge_queue::member_step::MemberTest;
use crate::merge_queue::red_doubt::{AfterRed, RedRuns, after_red};
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
    /// Runs CI on the member's commit, until the commit is no longer the one to land; `alone`: without another run beside it.
    /// `change_base` is the commit before the change in its slot.
    pub(super) async fn test_member(
        &mut self,
        place: &mut QueuePlace,
        alone: bool,
        change_base: &str,
    ) -> Result<TestEnd, AttemptError> {
        let (context, run) = (self.context, &self.claim.run_id);
        let Some(own) = place.own.clone() else { return Ok(TestEnd::Stopped) };
        let queue = &context.merge_queue;
        let is_repeated = own.test == MemberTest::Red;
        self.ci_turn = CiTurn { alone, runs: TestRuns::default() };
        let (handle, stop) = StopReceiver::pair();
        let whole = std::mem::replace(&mut self.stop, stop);
        let moot = place.wait_until_moot(context, (run, &self.claim.owner), &own);
        let tested = tokio::select! {
            tested = self.run_test(&own.commit, !is_repeated) => tested,
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
        let is_green = tested.is_green() || self.is_as_red_as(&tested, change_base).await?;
        place.runs = turn.runs;
        self.note_company(is_green, (is_repeated, alone), &place.runs);
        // A red one is recorded once its test is repeated, or waits for others: until then, the tests of those behind tell
        // whether the red one is in doubt.
        if is_green && place.is_shared {
            self.record_test(place, &own.commit, true).await;
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

    /// Records that a member is red: those behind leave it out.
    pub(super) async fn record_red(&self, place: &mut QueuePlace) {
        let Some(own) = &place.own else { return };
        if own.test == MemberTest::Red
            && place.is_shared
            && !std::mem::replace(&mut place.is_known_red, true)
        {
            self.record_test(place, &own.commit, false).await;
        }
    }

    async fn record_test(&self, place: &QueuePlace, commit: &str, is_green: bool) {
        let record = self.context.store.record_member_test(place.position, commit, is_green);
        // For people and for the members behind, who look again anyway.
        if let Err(error) = record.await {
            tracing::warn!("cannot record the test of a queued commit: {error}");
        }
        self.context.merge_queue.changes.notify();
    }

    /// Returns what follows the red test of a member at the head of the queue.
    pub(super) fn after_red_member(&self, place: &QueuePlace) -> AfterRed {
        self.after_red(place.red_runs, &place.runs, place.has_other_drains)
    }

    fn after_red(&self, runs: RedRuns, test: &TestRuns, has_other_drains: bool) -> AfterRed {
        let queue = &self.context.merge_queue;
        let mut company = queue.permits.company(test);
        // Their runs are not known here.
        company.has_unknown |= has_other_drains && company.is_any();
        queue.history(&self.claim.run_id, |history| {
            let is_safe = history.is_parallel_safe();
            let after = after_red(runs, company, is_safe, || history.is_red_real());
            if after == AfterRed::Counts && runs != RedRuns::First {
                history.note_repeat(true);
            }
            after
        })
    }

    /// Returns whether CI failed as it does without the change: tests that were red before do not count.
    async fn is_as_red_as(&self, tested: &Tested, base: &str) -> Result<bool, AttemptError> {
        let Tested::Ran(test) = tested else { return Ok(false) };
        // The phase's own check has to pass, whatever the base says.
        let is_compared = self.context.settings.ci.baseline && !test.has_passed();
        let known = match is_compared {
            true => self.known_results(&test.plan, base).await?,
            false => None,
        };
        Ok(known.is_some_and(|known| self.is_green_beside(test, &known)))
    }

    /// Runs CI on a change on its own base, before the queue. A red run beside another is repeated like a member's.
    pub(super) async fn test_alone_first(&mut self, commit: &str) -> Result<Tested, AttemptError> {
        let mut runs = RedRuns::First;
        loop {
            let (is_repeated, alone) = (runs != RedRuns::First, runs == RedRuns::Alone);
            self.ci_turn = CiTurn { alone, runs: TestRuns::default() };
            let tested = self.run_test(commit, !is_repeated).await;
            let turn = std::mem::take(&mut self.ci_turn);
            let tested = tested?;
            if tested.is_stopped() {
                return Ok(tested);
            }
            let base = self.base.clone();
            let is_green = tested.is_green() || self.is_as_red_as(&tested, &base).await?;
            self.note_company(is_green, (is_repeated, alone), &turn.runs);
            if is_green {
                return Ok(tested);
            }
            runs = loop {
                let mut changes = self.context.merge_queue.changes.receiver();
                match self.after_red(runs, &turn.runs, false) {
                    AfterRed::Counts => return Ok(tested),
                    AfterRed::AgainBeside => break RedRuns::SecondBeside,
                    AfterRed::AgainAlone => break RedRuns::Alone,
                    AfterRed::Wait => tokio::select! {
                        () = changes.next(false) => {}
                        () = self.stop.reached(StopLevel::Graceful) => return Ok(Tested::Known(Gate::Stopped)),
                    },
                }
            };
        }
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

    /// Learns from a test whether runs of CI disturb each other. `is_repeated`: the test was red before, perhaps because of
    /// another run.
    fn note_company(&self, is_green: bool, (is_repeated, alone): (bool, bool), test: &TestRuns) {
        if !is_green {
            return;
        }
        let queue = &self.context.merge_queue;
        let passed_together = queue.permits.passed_together(test);
        let is_new = queue.history(&self.claim.run_id, |history| {
            if passed_together {
                history.note_parallel_pass();
            }
            if is_repeated {
                history.note_repeat(false);
            }
            is_repeated && alone && history.note_parallel_failure()
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
