//! Undoes landings of a run: registered like a drain, so that no drain of the run starts meanwhile.

use super::liveness::{Liveness, liveness};
use super::owner::RegisteredDrain;
use super::recover::{owned_work, reclaim};
use crate::attempt::{AttemptError, DrainContext, UndoEnd, land_revert};
use crate::clock::now;
use crate::phase::PhaseCi;
use crate::process::StopReceiver;
use crate::store::{BeginRefusal, Owner, UndoOutcome, UndoRequest, UndoneLanding};

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
/// Errors of git, the disk or the database. If the revert may have landed, the next drain or undo settles it.
pub async fn undo(
    context: &DrainContext,
    registered: &RegisteredDrain,
    request: UndoRequest<'_>,
    stop: &StopReceiver,
) -> Result<UndoResult, AttemptError> {
    let result = undo_as_owner(context, registered, request, stop).await;
    let retired = registered.retire(&context.store).await;
    let result = result?;
    retired?;
    Ok(result)
}

async fn undo_as_owner(
    context: &DrainContext,
    registered: &RegisteredDrain,
    request: UndoRequest<'_>,
    stop: &StopReceiver,
) -> Result<UndoResult, AttemptError> {
    reclaim_dead(context, registered, &request).await?;
    let store = &context.store;
    // The checks of the phase itself are part of what is undone; the project's CI is not.
    let max = context.settings.ci.max_timeout_seconds;
    let ci = PhaseCi { timeout_seconds: max, ..PhaseCi::default() };
    let begun = match store.begin_undo(request, registered.id(), ci, now()).await? {
        Ok(begun) => begun,
        Err(BeginRefusal::RunIsBusy) => {
            return Ok(UndoResult::Busy(others(context, registered, &request).await?));
        }
        Err(refusal) => return Ok(UndoResult::Refused(refusal)),
    };
    let ended = land_revert(context, &begun, stop).await;
    if let Err(error @ (AttemptError::Unsettled(_) | AttemptError::LeaseLost)) = ended {
        return Err(error);
    }
    let outcome = match &ended {
        Ok(UndoEnd::Landed { .. }) => UndoOutcome::Undone,
        _ => UndoOutcome::Refused,
    };
    store.end_undo(begun.revert, outcome, now()).await?;
    let run = request.run;
    // Without a revert to land, the fence has no meaning.
    if let Err(error) = context.repo.drop_undo_fence(run).await {
        tracing::debug!("cannot remove the fence of the undo: {error}");
    }
    let end = ended?;
    if matches!(end, UndoEnd::Landed { .. })
        && let Some(facts) = store.run_facts(run).await?
    {
        context.follow(run, &facts.branch).await?;
    }
    Ok(UndoResult::Ended { landings: begun.landings, end })
}

/// Reclaims the work of dead drains of the run, as a drain does at its start.
async fn reclaim_dead(
    context: &DrainContext,
    registered: &RegisteredDrain,
    request: &UndoRequest<'_>,
) -> Result<(), AttemptError> {
    let run = std::slice::from_ref(request.run);
    for row in context.store.owners().await? {
        let is_of_run = row.owner.runs.contains(request.run)
            || row.executing.iter().any(|work| work.run_id == *request.run);
        if row.owner.id != *registered.id() && is_of_run && liveness(&row) == Liveness::Dead {
            let work = owned_work(&context.repo, &row, run);
            reclaim(context, registered.id(), &row.owner, work).await?;
        }
    }
    Ok(())
}

/// Returns the other processes that work on the run.
async fn others(
    context: &DrainContext,
    registered: &RegisteredDrain,
    request: &UndoRequest<'_>,
) -> Result<Vec<Owner>, AttemptError> {
    let rows = context.store.owners().await?;
    let is_other = |owner: &Owner| owner.id != *registered.id() && owner.runs.contains(request.run);
    Ok(rows.into_iter().map(|row| row.owner).filter(is_other).collect())
}
