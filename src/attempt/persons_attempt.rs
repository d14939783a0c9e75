//! An attempt of a person: the work was done in a reserved slot, and is judged like an agent's.

use super::attempt::{Attempt, AttemptStart, report_start};
use super::attempt_record::{Judged, Record};
use super::remote_run::EarlyFence;
use super::{AttemptDirectory, AttemptError, DrainContext};
use crate::agent::AgentReply;
use crate::phase::{RequeueReason, Verdict};
use crate::process::StopReceiver;
use crate::progress::Step;
use crate::store::Claim;
use crate::workspace::{FenceOutcome, Slot};

/// Name recorded in place of the agent's.
pub(super) const PERSON: &str = "person";

/// Work of a person.
pub struct PersonsWork {
    /// The slot, adopted at `base`.
    pub slot: Slot,
    /// Commit under the work.
    pub base: String,
}

/// Judges and lands the work.
pub(super) async fn persons_attempt(
    context: &DrainContext,
    claim: &Claim,
    work: PersonsWork,
    stop: &StopReceiver,
    record: &mut Record,
) -> Result<Verdict, AttemptError> {
    let PersonsWork { slot, base } = work;
    let early = match Box::pin(context.fence_early(claim, stop)).await? {
        EarlyFence::Stopped => return Ok(Verdict::Requeued(RequeueReason::Interrupted)),
        early => early,
    };
    let (facts, _) = context.ensure_branch(&claim.run_id).await?;
    report_start(context, claim, PERSON);
    let (run, phase, number) = (&claim.run_id, &claim.phase_id, claim.attempt);
    let directory = AttemptDirectory::create(&context.repo.autopack_dir(), run, phase, number)?;
    context.artifacts.begin(claim.executed_attempt(), &directory)?;
    let shown = directory.relative_to(context.repo.root());
    context.store.record_slot(claim, &slot.number().to_string(), &shown).await?;
    let fence = match early {
        EarlyFence::Claimed(fence) => fence,
        _ => match context.repo.fence(run, phase, number, claim.owner.as_str()).await? {
            FenceOutcome::Ours(fence) => fence,
            FenceOutcome::Fenced { .. } => return Err(AttemptError::LeaseLost),
        },
    };
    let start = AttemptStart { context, claim, slot, fence, branch: facts.branch, base, directory };
    let mut attempt = Attempt::begin(start, stop, record);
    attempt.step(Step::Preparing);
    if let Some(verdict) = attempt.check_base().await? {
        return Ok(verdict);
    }
    context.store.record_agent(claim, PERSON, None, None).await?;
    let Judged { verdict, .. } = attempt.judge_work(&AgentReply::silent()).await?;
    if matches!(verdict, Verdict::Passed { .. }) {
        attempt.remove_sessions();
    }
    Ok(verdict)
}
