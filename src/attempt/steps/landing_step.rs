//! From a measured change to the run's tip: CI, then landing, in turn with the other attempts of this drain and with other
//! drains.
//!
//! CI first runs beside whatever the others do, so that a red change never stands in the queue. Whoever's turn it is and
//! finds the tip moved runs CI again *in* its turn: nobody else can move the tip meanwhile, so that an attempt tests twice
//! at most, and each turn ends with a landing or a verdict. Out of turn, all who wait would test the same tip at once, and
//! all but one in vain. Only the user, and a drain that was given up and lives, can still be faster; then it starts over.

use super::ci_gate::Gate;
use crate::attempt::{Attempt, Trouble};
use crate::config::MovedTip;
use crate::merge_queue::drain_order::DrainOrder;
use crate::merge_queue::landing_order::LandingTurn;
use crate::phase::footprint::{Footprint, is_related};
use crate::phase::{Requeue, Verdict};
use crate::process::StopLevel;
use crate::progress::Step;
use crate::workspace::{CommitMessage, Landing, Measured, Rebased};

/// Losing this many races in one attempt means that somebody else should have the branch for a while.
const ROUNDS: u32 = 20;

impl Attempt<'_> {
    pub(crate) async fn test_and_land(&mut self, measured: &Measured) -> Result<Verdict, Trouble> {
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
        let Some(turn) = self.turn().await else {
            return Ok(Verdict::Requeued(Requeue::Interrupted));
        };
        let (run, us) = (&claim.run_id, &claim.owner);
        let order = DrainOrder { repo: &self.site.repo, store: &self.site.store };
        let _among_drains = order.turn_among_drains(run, us, self.stop).await;
        self.land(turn, measured, tip, commit).await
    }

    /// A green change, onto the tip as it is by now.
    async fn land(
        &mut self,
        mut turn: LandingTurn,
        measured: &Measured,
        mut tip: String,
        mut commit: String,
    ) -> Result<Verdict, Trouble> {
        let claim = self.claim;
        for _ in 0..ROUNDS {
            self.step(Step::Landing);
            self.record.landing = Some(commit.clone());
            // Objects that no ref leads to are nobody's yet, so that they may go over while the commit is written down.
            // Those of a commit that cannot land as it is would only lie about there.
            let hand_over = async {
                if turn.is_beyond(&tip) { Ok(()) } else { self.slot.hand_over(&commit, &tip).await }
            };
            let (recorded, handed) = tokio::join!(self.record_landing(&commit), hand_over);
            recorded?;
            // Landing hands over what is missing, again and again where a `git gc` of the user's is in the way.
            if let Err(error) = handed {
                tracing::debug!("handing over ahead: {error}");
            }
            let moved = match self.slot.land(&self.fence, &claim.run_id, &tip, &commit).await? {
                Landing::Landed { held_by } => {
                    // Before the next in turn looks for it.
                    self.note_green(&commit).await;
                    turn.note(&commit);
                    self.site.say_held(&self.branch, held_by.as_deref());
                    return Ok(Verdict::Passed { commit: Some(commit) });
                }
                Landing::Fenced => return Err(Trouble::LeaseLost),
                Landing::TipMoved(moved) => moved,
            };
            let rebased = match self.slot.rebase(&commit, &moved).await? {
                Rebased::Commit(rebased) => rebased,
                Rebased::Conflict { paths } => {
                    let message = format!("another landing changed {}", paths.join(", "));
                    return Ok(Verdict::Requeued(Requeue::BaseMoved { message }));
                }
            };
            if self.is_to_be_tested_again(measured, &moved).await? {
                self.base.clone_from(&moved);
                if let Some(verdict) = self.test(&rebased).await? {
                    return Ok(verdict);
                }
            } else {
                // What CI said is of another tree than the one that lands, and no baseline for it.
                self.record.green.clear();
            }
            (tip, commit) = (moved, rebased);
        }
        let message = format!("the branch moved {ROUNDS} times during this attempt");
        Ok(Verdict::Requeued(Requeue::BaseMoved { message }))
    }

    /// The work is done and green: a disk that is full is waited for, not a reason to do it again.
    async fn record_landing(&self, commit: &str) -> Result<(), Trouble> {
        loop {
            match self.site.store.record_landing(self.claim, commit).await.map_err(Trouble::from) {
                Err(Trouble::Full(why)) if self.site.wait_for_space(&why, self.stop).await => {}
                recorded => return recorded,
            }
        }
    }

    /// `None`: it is green.
    async fn test(&mut self, commit: &str) -> Result<Option<Verdict>, Trouble> {
        Ok(match self.ci(commit).await? {
            Gate::Green => None,
            Gate::Red(failure) => Some(Verdict::Failed(failure)),
            Gate::Stopped => Some(Verdict::Requeued(Requeue::Interrupted)),
        })
    }

    /// `None`: the drain was stopped before its turn came.
    async fn turn(&self) -> Option<LandingTurn> {
        self.does("waiting for its turn to land");
        tokio::select! {
            biased;
            turn = self.site.landings.turn(&self.claim.run_id) => Some(turn),
            () = self.stop.reached(StopLevel::Graceful) => None,
        }
    }

    /// Whether what landed since CI was green may change what it says.
    async fn is_to_be_tested_again(
        &self,
        measured: &Measured,
        moved: &str,
    ) -> Result<bool, Trouble> {
        if self.site.settings.ci.moved_tip == MovedTip::Always {
            return Ok(true);
        }
        // From the tip that was tested, however many landings ago that is.
        let landed = self.slot.changed_between(&self.base, moved).await?;
        let changed: Vec<String> = measured.changes.iter().map(|c| c.path.clone()).collect();
        Ok(is_related(&Footprint::of(&self.claim.phase), &changed, &landed))
    }
}
