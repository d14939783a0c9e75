//! From a measured change to the run's tip: commit, CI, landing; on a moved tip, once more from there.

use super::ci_gate::Gate;
use super::{Attempt, Trouble};
use crate::phase::{Requeue, Verdict};
use crate::progress::Step;
use crate::workspace::{CommitMessage, Landing, Measured, Rebased};

/// Losing this many races in one attempt means that somebody else should have the branch for a while.
const ROUNDS: u32 = 20;

impl Attempt<'_> {
    pub(super) async fn test_and_land(&mut self, measured: &Measured) -> Result<Verdict, Trouble> {
        let claim = self.claim;
        let message = CommitMessage {
            run: &claim.run_id,
            phase: &claim.phase_id,
            attempt: claim.attempt,
            name: claim.phase.name(),
            body: claim.phase.description(),
        };
        let mut tip = self.base.clone();
        let mut commit = self.slot.commit(&measured.tree, &tip, &message).await?;
        self.slot.renew_agents_git(&commit)?;
        for _ in 0..ROUNDS {
            match self.ci(&commit).await? {
                Gate::Green => {}
                Gate::Red(failure) => return Ok(Verdict::Failed(failure)),
                Gate::Stopped => return Ok(Verdict::Requeued(Requeue::Interrupted)),
            }
            self.step(Step::Landing);
            self.site.store.record_landing(claim, &commit).await?;
            match self.slot.land(&self.fence, &claim.run_id, &tip, &commit).await? {
                Landing::Landed { held_by } => {
                    self.site.say_held(&self.branch, held_by.as_deref());
                    return Ok(Verdict::Passed { commit: Some(commit) });
                }
                Landing::Fenced => return Err(Trouble::LeaseLost),
                Landing::TipMoved(moved) => match self.slot.rebase(&commit, &moved).await? {
                    Rebased::Commit(rebased) => {
                        self.place(&rebased).await?;
                        self.base.clone_from(&moved);
                        (tip, commit) = (moved, rebased);
                    }
                    Rebased::Conflict { paths } => {
                        let message = format!("another landing changed {}", paths.join(", "));
                        return Ok(Verdict::Requeued(Requeue::BaseMoved { message }));
                    }
                },
            }
        }
        let message = format!("the branch moved {ROUNDS} times during this attempt");
        Ok(Verdict::Requeued(Requeue::BaseMoved { message }))
    }
}
