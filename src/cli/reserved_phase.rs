//! Shared by `attach` and `land`: a phase for a person, and the slot reserved for it.

use crate::failure::Failure;
use crate::phase::words::quoted;
use crate::phase::{PhaseId, PhaseState, RunId};
use crate::progress::shown_id;
use crate::store::{PhaseRow, Store};
use crate::workspace::{Repo, Reservation};

/// A phase and its reservation.
pub(super) struct ReservedPhase {
    /// The phase.
    pub row: PhaseRow,
    /// The reservation, if there is one.
    pub reservation: Option<Reservation>,
}

impl ReservedPhase {
    /// Finds the phase and its reservation.
    pub async fn find(
        store: &Store,
        repo: &Repo,
        run: &RunId,
        phase: &PhaseId,
    ) -> Result<Self, Failure> {
        let row = store.phase(run, phase).await?.row;
        let reservation = repo.reservation_of(run, phase)?;
        Ok(Self { row, reservation })
    }

    /// Returns the phase as an argument of other commands.
    pub fn argument(&self) -> String {
        quoted(&shown_id(&format!("{}/{}", self.row.run_id, self.row.phase_id))).into_owned()
    }

    /// Returns the reservation.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn require(&self) -> Result<&Reservation, Failure> {
        self.reservation.as_ref().ok_or_else(|| {
            let phase = shown_id(self.row.phase_id.as_str());
            Failure::new(format!("no slot is reserved for {phase}"))
                .hint(format!("`autopack attach {}` reserves one", self.argument()))
        })
    }

    /// Checks that no drain works on the phase, or will.
    ///
    /// # Errors
    ///
    /// The phase is neither failed nor held, or its spec cannot be executed.
    pub fn check_state(&self) -> Result<(), Failure> {
        let (phase, name) = (shown_id(self.row.phase_id.as_str()), self.argument());
        let refuse =
            |why: &str, hint: String| Err(Failure::new(format!("phase {phase} {why}")).hint(hint));
        match self.row.state {
            PhaseState::Queued if !self.row.held => refuse(
                "is queued: a drain may start it",
                format!("hold it first: autopack stop {name}"),
            ),
            PhaseState::Executing => {
                refuse("is running", format!("stop and hold it: autopack stop {name}"))
            }
            PhaseState::Complete => {
                refuse("has landed", format!("take it back first: autopack undo {name}"))
            }
            PhaseState::Skipped => {
                refuse("is skipped", format!("queue it again: autopack phases retry {name}"))
            }
            PhaseState::Failed | PhaseState::Queued => match &self.row.unfixable {
                Some(why) => refuse(
                    &format!("cannot be executed: {why}"),
                    format!("edit it: autopack phases edit {name}"),
                ),
                None => Ok(()),
            },
        }
    }
}

/// Explains that another process uses the slot.
pub(super) fn explain_in_use(reserved: &ReservedPhase) -> Failure {
    let phase = shown_id(reserved.row.phase_id.as_str());
    Failure::new(format!("the slot of {phase} is in use by another process"))
        .hint("leave the shell of `autopack attach` first")
}
