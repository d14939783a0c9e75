//! Lands the work of a person: registered like a drain, and beside other drains of the run.

use super::owner::RegisteredDrain;
use super::undo::reclaim_dead;
use crate::attempt::{
    AttemptError, AttemptResult, DrainContext, PersonsWork, execute_persons_work,
};
use crate::clock::now;
use crate::phase::PhaseState;
use crate::progress::{Event, PhaseFinished};
use crate::store::{Fixer, PersonsClaim};
use crate::workspace::Reservation;

/// Result of landing a person's work.
#[derive(Debug)]
pub enum PersonsLanding {
    /// Another process uses the slot.
    SlotInUse,
    /// The slot has the files of its base.
    NothingChanged,
    /// The spec cannot be executed, for this reason.
    Unfixable(String),
    /// The attempt ended with a verdict.
    Ended(Box<PhaseFinished>),
}

/// Judges the work in a reserved slot as an attempt. The reservation ends if the work lands. `registered` has the run, and
/// is retired at the end.
///
/// # Errors
///
/// Errors of git, the disk or the database; the phase and the slot then wait for the person.
pub async fn land_persons_work(
    context: &DrainContext,
    registered: &RegisteredDrain,
    reservation: &Reservation,
    fix: &Fixer<'_>,
) -> Result<PersonsLanding, AttemptError> {
    let worked = land_as_owner(context, registered, reservation, fix).await;
    registered.retire_after(&context.store, worked).await
}

async fn land_as_owner(
    context: &DrainContext,
    registered: &RegisteredDrain,
    reservation: &Reservation,
    fix: &Fixer<'_>,
) -> Result<PersonsLanding, AttemptError> {
    let work = &reservation.work;
    reclaim_dead(context, registered, &work.run_id).await?;
    let Some(mut slot) = context.repo.acquire_reserved(reservation)? else {
        return Ok(PersonsLanding::SlotInUse);
    };
    slot.adopt(&work.base, &context.settings.workspace).await?;
    context.repo.note_agent();
    if slot.measure(&work.base, &[]).await?.changes.is_empty() {
        return Ok(PersonsLanding::NothingChanged);
    }
    let (run, phase) = (&work.run_id, &work.phase_id);
    let claim = context.store.claim_for_person(registered.id(), run, phase, fix, now()).await?;
    let claim = match claim {
        PersonsClaim::Claimed(claim) => *claim,
        PersonsClaim::Unfixable(why) => return Ok(PersonsLanding::Unfixable(why)),
    };
    // Work in files that git ignores alone is measured with the deliverables, by the attempt.
    let persons_work = PersonsWork { slot, base: work.base.clone() };
    let stop = registered.attempt_stop(run, phase);
    let watched = stop.watch();
    let executed = execute_persons_work(context, claim, persons_work, &watched);
    let AttemptResult { finished, next } = stop.during(executed).await;
    let Some(finished) = finished else {
        return Err(next.err().unwrap_or(AttemptError::LeaseLost));
    };
    let phase = finished.phase;
    context.progress.emit(&Event::PhaseFinished(Box::new(phase.clone())));
    if phase.state == PhaseState::Complete {
        context.repo.release(reservation)?;
    }
    next?;
    Ok(PersonsLanding::Ended(Box::new(phase)))
}
