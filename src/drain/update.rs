//! Updates a run's branch: registered like a drain, so that no drain of the run starts meanwhile.

use super::owner::RegisteredDrain;
use super::undo::{end_change, others, reclaim_dead};
use crate::attempt::{AttemptError, DrainContext, UpdateEnd, land_update};
use crate::clock::now;
use crate::phase::RunId;
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
    let worked = update_as_owner(context, registered, run, base, stop).await;
    registered.retire_after(&context.store, worked).await
}

async fn update_as_owner(
    context: &DrainContext,
    registered: &RegisteredDrain,
    run: &RunId,
    base: &UpdateBase,
    stop: &StopReceiver,
) -> Result<UpdateResult, AttemptError> {
    reclaim_dead(context, registered, run).await?;
    if let Some(end) = context.sync_branch(run, stop).await? {
        end.answer()?;
    }
    let (facts, tip) = context.ensure_branch(run).await?;
    let tip = tip.commit;
    if context.repo.contains(&tip, &base.commit).await? {
        context.follow(run, &facts.branch).await?;
        return Ok(UpdateResult::UpToDate { tip });
    }
    let ci = context.project_ci();
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
    end_change(context, run, (begun.number, registered.id()), has_landed).await?;
    Ok(UpdateResult::Ended(ended?))
}
