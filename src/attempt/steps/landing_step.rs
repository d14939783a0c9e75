//! Landing of a measured change on the run's tip: CI, then a queue position among the attempts of this drain and
//! among drains.
//!
//! CI first runs in parallel with other attempts, so that a red change never blocks the queue. If the tip moved, CI
//! runs again *while holding* the queue position: nobody else can move the tip meanwhile, so an attempt is tested at
//! most twice, and each queue position ends with a landing or a verdict. Without the queue, all waiting attempts
//! would test the same tip at once, and all but the first in vain. Only the user, and a fenced drain still alive, can
//! be faster; then the attempt starts over.

use super::ci_gate::Gate;
use crate::attempt::{Attempt, AttemptError};
use crate::config::MovedTip;
use crate::merge_queue::drain_order::DrainOrder;
use crate::merge_queue::landing_order::QueuePosition;
use crate::phase::footprint::{Footprint, is_related};
use crate::phase::{RequeueReason, Verdict};
use crate::process::StopLevel;
use crate::progress::Step;
use crate::workspace::{CommitMessage, Landing, MeasuredChange, RebaseOutcome};

/// Lost races per attempt until the attempt is requeued, to leave the branch to others for a while.
const ROUNDS: u32 = 20;

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
        let tip = self.base.clone();
        let commit = self.slot.commit(&measured.tree, &tip, &message).await?;
        if let Some(verdict) = self.test(&commit).await? {
            return Ok(verdict);
        }
        let Some(position) = self.wait_in_merge_queue().await else {
            return Ok(Verdict::Requeued(RequeueReason::Interrupted));
        };
        let (run, us) = (&claim.run_id, &claim.owner);
        let order = DrainOrder { repo: &self.context.repo, store: &self.context.store };
        let _among_drains = order.wait_among_drains(run, us, self.stop).await;
        self.land(position, measured, tip, commit).await
    }

    /// Lands a green change on the current tip.
    async fn land(
        &mut self,
        mut position: QueuePosition,
        measured: &MeasuredChange,
        mut tip: String,
        mut commit: String,
    ) -> Result<Verdict, AttemptError> {
        let claim = self.claim;
        for _ in 0..ROUNDS {
            self.step(Step::Landing);
            self.record.landing = Some(commit.clone());
            // Objects without a ref are harmless, so they are copied while the commit is recorded. Objects of a
            // commit unable to land as is would be useless there.
            let copy_objects = async {
                if position.is_beyond(&tip) {
                    Ok(())
                } else {
                    self.slot.copy_objects(&commit, &tip).await
                }
            };
            let (recorded, handed) = tokio::join!(self.record_landing(&commit), copy_objects);
            recorded?;
            // Landing copies missing objects, repeatedly if a `git gc` of the user interferes.
            if let Err(error) = handed {
                tracing::debug!("handing over ahead: {error}");
            }
            let moved = match self.slot.land(&self.fence, &claim.run_id, &tip, &commit).await? {
                Landing::Landed { held_by } => {
                    // Recorded before the next attempt in the queue reads the result.
                    self.note_green(&commit).await;
                    position.note(&commit);
                    self.context.note_held_branch(&self.branch, held_by.as_deref());
                    return Ok(Verdict::Passed { commit: Some(commit) });
                }
                Landing::Fenced => return Err(AttemptError::LeaseLost),
                Landing::TipMoved(moved) => moved,
            };
            let rebased = match self.slot.rebase(&commit, &moved).await? {
                RebaseOutcome::Commit(rebased) => rebased,
                RebaseOutcome::Conflict { paths } => {
                    let message = format!("another landing changed {}", paths.join(", "));
                    return Ok(Verdict::Requeued(RequeueReason::BaseMoved { message }));
                }
            };
            if self.is_to_be_tested_again(measured, &moved).await? {
                self.base.clone_from(&moved);
                if let Some(verdict) = self.test(&rebased).await? {
                    return Ok(verdict);
                }
            } else {
                // The results of CI are for another tree than the landed tree, and no baseline.
                self.record.green.clear();
            }
            (tip, commit) = (moved, rebased);
        }
        let message = format!("the branch moved {ROUNDS} times during this attempt");
        Ok(Verdict::Requeued(RequeueReason::BaseMoved { message }))
    }

    /// Records the commit to land. The work is complete and green, so a full disk is waited for.
    async fn record_landing(&self, commit: &str) -> Result<(), AttemptError> {
        let record = || self.context.store.record_landing(self.claim, commit);
        self.context.disk.retry_while_full(self.stop, record).await
    }

    /// Runs CI at the commit. Returns `None` if green.
    async fn test(&mut self, commit: &str) -> Result<Option<Verdict>, AttemptError> {
        Ok(match self.ci(commit).await? {
            Gate::Green => None,
            Gate::Red(failure) => Some(Verdict::Failed(failure)),
            Gate::Stopped => Some(Verdict::Requeued(RequeueReason::Interrupted)),
        })
    }

    /// Waits for the queue position. Returns `None` if the drain was stopped.
    async fn wait_in_merge_queue(&self) -> Option<QueuePosition> {
        self.report_step("waiting in the merge queue");
        tokio::select! {
            biased;
            position = self.context.merge_queue.wait_for_position(&self.claim.run_id) => Some(position),
            () = self.stop.reached(StopLevel::Graceful) => None,
        }
    }

    /// Returns whether landings since the green CI run may change the result.
    async fn is_to_be_tested_again(
        &self,
        measured: &MeasuredChange,
        moved: &str,
    ) -> Result<bool, AttemptError> {
        if self.context.settings.ci.moved_tip == MovedTip::Always {
            return Ok(true);
        }
        // Compared with the tested tip, regardless of the number of landings in between.
        let landed = self.slot.changed_between(&self.base, moved).await?;
        let changed: Vec<String> = measured.changes.iter().map(|c| c.path.clone()).collect();
        Ok(is_related(&Footprint::of(&self.claim.phase), &changed, &landed))
    }
}
