//! Undoes landings of a run: registered like a drain, so that no drain of the run starts meanwhile.

use super::liveness::{Liveness, liveness};
use super::owner::RegisteredDrain;
use super::recover::{owned_work, reclaim};
use crate::attempt::{AttemptError, DrainContext, UndoEnd, land_revert};
use crate::clock::now;
use crate::phase::RunId;
use crate::process::StopReceiver;
use crate::store::{BeginRefusal, Owner, OwnerId, UndoOutcome, UndoRequest, UndoneLanding};

/// Result of an undo.
#[derive(Debug)]
pub enum UndoResult {
    /// The phase, or one of its dependents, cannot be undone.
    Refused(BeginRefusal),
    /// These processes work on the run.
    Busy(Vec<Owner>),
    /// The revert landed, or not.
    Ended {
        /// Landings of the undo.
        landings: Vec<UndoneLanding>,
        /// The end.
        end: UndoEnd,
    },
}

/// Undoes a phase. `registered` has the run, and is retired at the end.
///
/// # Errors
///
/// Errors of git, the disk or the database. If the revert may have landed, the next drain, undo or update settles it.
pub async fn undo(
    context: &DrainContext,
    registered: &RegisteredDrain,
    request: UndoRequest<'_>,
    stop: &StopReceiver,
) -> Result<UndoResult, AttemptError> {
    let worked = undo_as_owner(context, registered, request, stop).await;
    registered.retire_after(&context.store, worked).await
}

async fn undo_as_owner(
    context: &DrainContext,
    registered: &RegisteredDrain,
    request: UndoRequest<'_>,
    stop: &StopReceiver,
) -> Result<UndoResult, AttemptError> {
    let run = request.run;
    reclaim_dead(context, registered, run).await?;
    let store = &context.store;
    // The checks of the phase itself are part of what is undone; the project's CI is not.
    let ci = context.project_ci();
    let begun = match store.begin_undo(request, registered.id(), ci, now()).await? {
        Ok(begun) => begun,
        Err(BeginRefusal::RunIsBusy) => {
            return Ok(UndoResult::Busy(others(context, registered, run).await?));
        }
        Err(refusal) => return Ok(UndoResult::Refused(refusal)),
    };
    let ended = land_revert(context, &begun, stop).await;
    if let Err(error @ (AttemptError::Unsettled(_) | AttemptError::LeaseLost)) = ended {
        return Err(error);
    }
    let has_landed = matches!(ended, Ok(UndoEnd::Landed { .. }));
    end_change(context, run, (begun.revert, registered.id()), has_landed).await?;
    Ok(UndoResult::Ended { landings: begun.landings, end: ended? })
}

/// Ends an undo or an update in the store, and moves a branch that can follow.
pub(super) async fn end_change(
    context: &DrainContext,
    run: &RunId,
    (number, owner): (i64, &OwnerId),
    has_landed: bool,
) -> Result<(), AttemptError> {
    let outcome = if has_landed { UndoOutcome::Undone } else { UndoOutcome::Refused };
    let store = &context.store;
    store.end_undo(number, outcome, now()).await?;
    // Without a commit to land, the fence has no meaning.
    if let Err(error) = context.drop_change_fence(run, number, owner.as_str()).await {
        tracing::debug!("cannot remove the fence of the undo: {error}");
    }
    if has_landed && let Some(facts) = store.run_facts(run).await? {
        context.follow(run, &facts.branch).await?;
    }
    Ok(())
}

/// Reclaims the work of dead drains of the run, as a drain does at its start.
///
/// # Errors
///
/// Errors of git, the disk or the database.
pub async fn reclaim_dead(
    context: &DrainContext,
    registered: &RegisteredDrain,
    run: &RunId,
) -> Result<(), AttemptError> {
    for row in context.store.owners().await? {
        let is_of_run =
            row.owner.runs.contains(run) || row.executing.iter().any(|work| work.run_id == *run);
        if row.owner.id != *registered.id() && is_of_run && liveness(&row) == Liveness::Dead {
            let work = owned_work(&context.repo, &row, std::slice::from_ref(run));
            reclaim(context, registered.id(), &row.owner, work).await?;
        }
    }
    Ok(())
}

/// Returns the other processes that work on the run.
pub(super) async fn others(
    context: &DrainContext,
    registered: &RegisteredDrain,
    run: &RunId,
) -> Result<Vec<Owner>, AttemptError> {
    let rows = context.store.owners().await?;
    let is_other = |owner: &Owner| owner.id != *registered.id() && owner.runs.contains(run);
    Ok(rows.into_iter().map(|row| row.owner).filter(is_other).collect())
}
