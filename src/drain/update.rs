//! Updates a run's branch: registered like a drain, so that no drain of the run starts meanwhile.

use super::owner::RegisteredDrain;
use super::undo::{end_change, others, reclaim_dead};
use crate::attempt::{AttemptError, DrainContext, UpdateEnd, land_update};
use crate::clock::now;
use crate::phase::{PhaseCi, RunId};
use crate::process::StopReceiver;
use crate::store::{Owner, UpdateRefusal};
use crate::workspace::UpdateBase;

/// Result of an update.
#[derive(Debug)]
pub enum UpdateResult {
    /// The branch has the base already.
    UpToDate {
        /// Tip of the branch.
        tip: String,
    },
    /// These processes work on the run.
    Busy(Vec<Owner>),
    /// The merge landed, or not.
    Ended(UpdateEnd),
}

/// Merges a base into a run's branch. `registered` has the run, and is retired at the end.
///
/// # Errors
///
/// Errors of git, the disk or the database. If the merge may have landed, the next drain, undo or update settles it.
pub async fn update(
    context: &DrainContext,
    registered: &RegisteredDrain,
    run: &RunId,
    base: &UpdateBase,
    stop: &StopReceiver,
) -> Result<UpdateResult, AttemptError> {
    let result = update_as_owner(context, registered, run, base, stop).await;
    let retired = registered.retire(&context.store).await;
    let result = result?;
    retired?;
    Ok(result)
}

async fn update_as_owner(
    context: &DrainContext,
    registered: &RegisteredDrain,
    run: &RunId,
    base: &UpdateBase,
    stop: &StopReceiver,
) -> Result<UpdateResult, AttemptError> {
    reclaim_dead(context, registered, run).await?;
    let (facts, tip) = context.ensure_branch(run).await?;
    let tip = tip.commit;
    if context.repo.contains(&tip, &base.commit).await? {
        context.follow(run, &facts.branch).await?;
        return Ok(UpdateResult::UpToDate { tip });
    }
    let max = context.settings.ci.max_timeout_seconds;
    let ci = PhaseCi { timeout_seconds: max, ..PhaseCi::default() };
    let store = &context.store;
    let begun = match store.begin_update(run, &base.commit, registered.id(), ci, now()).await? {
        Ok(begun) => begun,
        Err(UpdateRefusal::RunIsBusy) => {
            return Ok(UpdateResult::Busy(others(context, registered, run).await?));
        }
        // Nothing to keep.
        Err(UpdateRefusal::NoPhases) => return Ok(UpdateResult::UpToDate { tip }),
    };
    let ended = land_update(context, &begun, base, stop).await;
    if let Err(error @ (AttemptError::Unsettled(_) | AttemptError::LeaseLost)) = ended {
        return Err(error);
    }
    let has_landed = matches!(ended, Ok(UpdateEnd::Landed { .. }));
    end_change(context, run, begun.number, has_landed).await?;
    Ok(UpdateResult::Ended(ended?))
}
