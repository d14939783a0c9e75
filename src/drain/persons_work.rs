//! Lands the work of a person: registered like a drain, and beside other drains of the run.

use std::time::Duration;

use super::owner::RegisteredDrain;
use crate::attempt::{
    AttemptError, AttemptResult, DrainContext, PersonsWork, execute_persons_work,
};
use crate::clock::now;
use crate::phase::PhaseState;
use crate::progress::{Event, PhaseFinished};
use crate::store::{Fixer, PersonsClaim};
use crate::workspace::{Reservation, Slot};

/// Longest wait for the files of the attempt; the next drain stores what remains.
const STORING: Duration = Duration::from_secs(30);

/// Result of landing a person's work.
#[derive(Debug)]
pub enum PersonsLanding {
    /// The phase waits for others.
    Blocked,
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
    slot: Slot,
    fix: &Fixer<'_>,
) -> Result<PersonsLanding, AttemptError> {
    let worked = land_as_owner(context, registered, reservation, slot, fix).await;
    let ended = registered.retire_after(&context.store, worked).await;
    if let Some(missing) = context.artifacts.finish(STORING).await {
        tracing::warn!("{missing}");
    }
    ended
}

async fn land_as_owner(
    context: &DrainContext,
    registered: &RegisteredDrain,
    reservation: &Reservation,
    slot: Slot,
    fix: &Fixer<'_>,
) -> Result<PersonsLanding, AttemptError> {
    let work = &reservation.work;
    context.repo.note_agent();
    let (run, phase) = (&work.run_id, &work.phase_id);
    let claim = context.store.claim_for_person(registered.id(), run, phase, fix, now()).await?;
    let claim = match claim {
        PersonsClaim::Claimed(claim) => *claim,
        PersonsClaim::Blocked => return Ok(PersonsLanding::Blocked),
        PersonsClaim::Unfixable(why) => return Ok(PersonsLanding::Unfixable(why)),
    };
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
        context.repo.release(reservation).await?;
    }
    next?;
    Ok(PersonsLanding::Ended(Box::new(phase)))
}
