//! Shared by `attach` and `land`: a phase for a person, and the slot reserved for it.

use super::{Context, autofix_limits};
use crate::config::WorkspaceSettings;
use crate::failure::Failure;
use crate::phase::words::quoted;
use crate::phase::{PathPattern, PhaseId, PhaseState, RunId};
use crate::process::FileLock;
use crate::progress::shown_id;
use crate::store::{PhaseRow, Store};
use crate::workspace::{MeasuredChange, Repo, Reservation, ReservedSlot, Slot};

/// A phase and its reservation, locked for this command.
pub(super) struct ReservedPhase {
    /// The phase.
    pub row: PhaseRow,
    /// Deliverables of the phase: measured even if git ignores them.
    pub deliverables: Vec<PathPattern>,
    /// Reserved slot of the phase.
    pub reservation: Option<Reservation>,
    _lock: FileLock,
}

impl ReservedPhase {
    /// Finds the phase and its reservation.
    pub async fn find(
        store: &Store,
        context: &Context,
        repo: &Repo,
        run: &RunId,
        phase: &PhaseId,
    ) -> Result<Self, Failure> {
        let Some(lock) = repo.lock_for_person(run, phase)? else {
            return Err(explain_in_use(phase));
        };
        let row = store.phase(run, phase).await?.row;
        let fix = autofix_limits::fixer(&context.config()?.settings, repo.root());
        let fixed = fix(&row.spec, row.last_failure.as_ref()).result;
        let deliverables = fixed.map(|spec| spec.deliverables().to_vec()).unwrap_or_default();
        let reservation = repo.reservation_of(run, phase)?;
        Ok(Self { row, deliverables, reservation, _lock: lock })
    }

    /// Opens the reserved slot, with the work in it.
    ///
    /// # Errors
    ///
    /// Its files are gone, another process uses it, or git fails.
    pub async fn open_slot(
        &self,
        repo: &Repo,
        reservation: &Reservation,
        settings: &WorkspaceSettings,
    ) -> Result<Slot, Failure> {
        match repo.acquire_reserved(reservation)? {
            ReservedSlot::Open(mut slot) => {
                slot.adopt(&reservation.work.base, settings).await?;
                Ok(*slot)
            }
            ReservedSlot::InUse => Err(explain_in_use(&self.row.phase_id)),
            ReservedSlot::Gone(path) => {
                let name = self.argument();
                let text = format!("the reserved files in {} are gone", path.display());
                Err(Failure::new(text).hint(format!(
                    "put them back, or begin again: autopack attach {name} --discard"
                )))
            }
        }
    }

    /// Returns the change in the slot.
    ///
    /// # Errors
    ///
    /// The files cannot be read, or git fails.
    pub async fn measure(
        &self,
        slot: &Slot,
        reservation: &Reservation,
    ) -> Result<MeasuredChange, Failure> {
        Ok(slot.measure(&reservation.work.base, &self.deliverables).await?)
    }

    /// Returns the phase as an argument of other commands.
    pub fn argument(&self) -> String {
        quoted(&shown_id(&format!("{}/{}", self.row.run_id, self.row.phase_id))).into_owned()
    }

    /// Returns the reservation.
    ///
    /// # Errors
    ///
    /// No slot is reserved.
    pub fn require(&self) -> Result<&Reservation, Failure> {
        self.reservation.as_ref().ok_or_else(|| {
            let phase = shown_id(self.row.phase_id.as_str());
            Failure::new(format!("no slot is reserved for {phase}"))
                .hint(format!("`autopack attach {}` reserves one", self.argument()))
        })
    }

    /// Refuses a phase within reach of drains.
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

/// Explains that another process works on the phase.
pub(super) fn explain_in_use(phase: &PhaseId) -> Failure {
    let phase = shown_id(phase.as_str());
    Failure::new(format!("another `attach` or `land` of {phase} is running"))
        .hint("leave its shell, or wait for its end")
}
