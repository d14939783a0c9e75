//! Slots reserved for a person: `.autopack/reserved/N/reservation.json`. No attempt uses such a slot, and `gc` keeps it.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Repo;
use crate::git::error::{Context, Result, WorkspaceError};
use crate::git::removal::remove_any;
use crate::phase::{PhaseId, RunId};
use crate::process::FileLock;
use crate::workspace::Slot;

const FILE: &str = "reservation.json";

/// A slot reserved for a phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Number of the slot.
    pub slot: u32,
    /// The phase, and the base of the work.
    pub work: ReservedWork,
    /// Directory of the reservation, for files shown to the person.
    pub directory: PathBuf,
}

/// What a slot is reserved for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservedWork {
    /// Run of the phase.
    pub run_id: RunId,
    /// Id of the phase.
    pub phase_id: PhaseId,
    /// Commit under the work.
    pub base: String,
}

impl Repo {
    /// Returns the reserved slots, by number.
    ///
    /// # Errors
    /// If a reservation cannot be read.
    pub fn reservations(&self) -> Result<Vec<Reservation>> {
        let top = self.reservations_dir();
        let entries = match fs::read_dir(&top) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.doing("list", &top)?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let directory = entry.doing("list", &top)?.path();
            let name = directory.file_name().and_then(|name| name.to_str());
            let Some(slot) = name.and_then(|name| name.parse().ok()) else { continue };
            let file = directory.join(FILE);
            let text = match fs::read(&file) {
                // Another process is about to write it, or to remove the directory.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                text => text.doing("read", &file)?,
            };
            let work = serde_json::from_slice(&text).map_err(|error| WorkspaceError::Io {
                doing: "read",
                path: file.clone(),
                source: error.into(),
            })?;
            found.push(Reservation { slot, work, directory });
        }
        found.sort_by_key(|reservation| reservation.slot);
        Ok(found)
    }

    /// Returns the reservation for a phase.
    ///
    /// # Errors
    /// As for [`Self::reservations`].
    pub fn reservation_of(&self, run: &RunId, phase: &PhaseId) -> Result<Option<Reservation>> {
        let of_phase = |it: &Reservation| (&it.work.run_id, &it.work.phase_id) == (run, phase);
        Ok(self.reservations()?.into_iter().find(of_phase))
    }

    /// Whether a slot is reserved.
    pub(crate) fn is_reserved(&self, slot: u32) -> bool {
        self.reservation_dir(slot).join(FILE).exists()
    }

    /// Creates the directory of a slot's later reservation, empty.
    ///
    /// # Errors
    /// If the directory cannot be written.
    pub fn prepare_reservation(&self, slot: &Slot) -> Result<PathBuf> {
        let directory = self.reservation_dir(slot.number());
        remove_any(&directory).doing("empty", &directory)?;
        fs::create_dir_all(&directory).doing("create the directory", &directory)?;
        Ok(directory)
    }

    /// Reserves a slot in use by this process, or changes its reservation.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn reserve(&self, slot: &Slot, work: ReservedWork) -> Result<Reservation> {
        let directory = self.reservation_dir(slot.number());
        let (file, beside) = (directory.join(FILE), directory.join("reservation.new"));
        let text = serde_json::to_vec(&work).map_err(|error| WorkspaceError::Io {
            doing: "write",
            path: file.clone(),
            source: error.into(),
        })?;
        fs::write(&beside, text).doing("write", &beside)?;
        fs::rename(&beside, &file).doing("write", &file)?;
        Ok(Reservation { slot: slot.number(), work, directory })
    }

    /// Acquires a reserved slot; `None` while another process uses it.
    ///
    /// # Errors
    /// If the slot cannot be locked.
    pub fn acquire_reserved(&self, reservation: &Reservation) -> Result<Option<Slot>> {
        self.reopen(&self.locks_dir());
        self.reopen(&self.place()?.dir);
        let file = self.slot_lock(&reservation.slot.to_string());
        let lock = FileLock::try_lock(&file).doing("lock the slot", &file)?;
        let Some(mut lock) = lock else { return Ok(None) };
        lock.write(&format!("pid {}\n", std::process::id())).doing("write", &file)?;
        Slot::open(self, reservation.slot, lock).map(Some)
    }

    /// Ends a reservation: the next attempt may use the slot.
    ///
    /// # Errors
    /// If the directory cannot be removed.
    pub fn release(&self, reservation: &Reservation) -> Result<()> {
        remove_any(&reservation.directory).doing("remove", &reservation.directory)
    }

    fn reservations_dir(&self) -> PathBuf {
        self.autopack_dir().join("reserved")
    }

    fn reservation_dir(&self, slot: u32) -> PathBuf {
        self.reservations_dir().join(slot.to_string())
    }
}
