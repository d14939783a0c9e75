//! Slots reserved for a person: `.autopack/reserved/N.json`, and a mark beside the slot's files. No attempt uses such a slot,
//! and `gc` keeps it.
//!
//! Programs of the person see the directory `.autopack/reserved/N`, never the record. A ref keeps the base.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Repo;
use crate::git::error::{Context, Result};
use crate::git::refs::ref_error;
use crate::git::removal::remove_any;
use crate::phase::words::hex;
use crate::phase::{PhaseId, RunId};
use crate::process::FileLock;
use crate::workspace::Slot;

/// A slot reserved for a phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Number of the slot.
    pub slot: u32,
    /// The phase, and the base of the work.
    pub work: ReservedWork,
    /// Directory with files shown to the person.
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
    /// Paths with a conflict when the work was put on this base.
    #[serde(default)]
    pub conflicts: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Record {
    #[serde(flatten)]
    work: ReservedWork,
    /// Content of the mark beside the slot's files: another directory at the same path does not have it.
    mark: String,
}

/// A reserved slot, opened.
pub enum ReservedSlot {
    /// The slot.
    Open(Box<Slot>),
    /// Another process uses it.
    InUse,
    /// Its files are gone, or elsewhere.
    Gone(PathBuf),
}

impl Repo {
    /// Returns the reserved slots, by number. A record that cannot be read is skipped with a warning; its slot stays
    /// reserved.
    ///
    /// # Errors
    /// If the directory cannot be listed.
    pub fn reservations(&self) -> Result<Vec<Reservation>> {
        let top = self.reservations_dir();
        let entries = match fs::read_dir(&top) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.doing("list", &top)?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let file = entry.doing("list", &top)?.path();
            let name = file.file_name().and_then(|name| name.to_str());
            let number = name.and_then(|name| name.strip_suffix(".json"));
            let Some(slot) = number.and_then(|number| number.parse().ok()) else { continue };
            match read(&file) {
                Ok(Some(Record { work, .. })) => {
                    found.push(Reservation { slot, work, directory: top.join(slot.to_string()) });
                }
                Ok(None) => {}
                Err(why) => tracing::warn!(
                    "slot {slot} stays reserved, but {} cannot be read: {why}; remove the file to free the slot",
                    file.display()
                ),
            }
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

    /// Locks a phase for a command of a person; `None` while another command has it.
    ///
    /// # Errors
    /// If the lock file cannot be made.
    pub fn lock_for_person(&self, run: &RunId, phase: &PhaseId) -> Result<Option<FileLock>> {
        let directory = self.reservations_dir().join("locks");
        fs::create_dir_all(&directory).doing("create the directory", &directory)?;
        let name = hex(&Sha256::digest(format!("{run}\0{phase}"))[..16]);
        let file = directory.join(format!("{name}.lock"));
        FileLock::try_lock(&file).doing("lock", &file)
    }

    /// Whether a slot is reserved.
    pub(crate) fn is_reserved(&self, slot: u32) -> bool {
        fs::symlink_metadata(self.record_file(slot)).is_ok()
    }

    /// Creates the directory of a slot's later reservation, empty.
    ///
    /// # Errors
    /// If the directory cannot be written.
    pub fn prepare_reservation(&self, slot: &Slot) -> Result<PathBuf> {
        let directory = self.reservations_dir().join(slot.number().to_string());
        remove_any(&directory).doing("empty", &directory)?;
        fs::create_dir_all(&directory).doing("create the directory", &directory)?;
        Ok(directory)
    }

    /// Reserves a slot in use by this process, or changes its reservation.
    ///
    /// # Errors
    /// If git fails, or a file cannot be written.
    pub async fn reserve(&self, slot: &Slot, work: ReservedWork) -> Result<Reservation> {
        let number = slot.number();
        let (name, base) = (ref_of(number), &work.base);
        let kept = self.transact("keep the base", &format!("update {name} {base}\n")).await?;
        if !kept.ok() {
            return Err(ref_error(kept));
        }
        let mark = format!("{}-{:?}", std::process::id(), std::time::SystemTime::now());
        let mark = hex(&Sha256::digest(mark)[..16]);
        let beside = mark_of(slot.path());
        fs::write(&beside, &mark).doing("write", &beside)?;
        let file = self.record_file(number);
        let text = serde_json::to_vec(&Record { work: work.clone(), mark });
        let text = text.map_err(std::io::Error::other).doing("write", &file)?;
        let new = file.with_extension("new");
        fs::write(&new, text).doing("write", &new)?;
        fs::rename(&new, &file).doing("write", &file)?;
        let directory = self.reservations_dir().join(number.to_string());
        Ok(Reservation { slot: number, work, directory })
    }

    /// Acquires a reserved slot.
    ///
    /// # Errors
    /// If the slot cannot be locked.
    pub fn acquire_reserved(&self, reservation: &Reservation) -> Result<ReservedSlot> {
        self.reopen(&self.locks_dir());
        let place = self.place()?;
        self.reopen(&place.dir);
        let file = self.slot_lock(&reservation.slot.to_string());
        let lock = FileLock::try_lock(&file).doing("lock the slot", &file)?;
        let Some(mut lock) = lock else { return Ok(ReservedSlot::InUse) };
        lock.write(&format!("pid {}\n", std::process::id())).doing("write", &file)?;
        let checkout = place.checkout(reservation.slot);
        let record = read(&self.record_file(reservation.slot)).ok().flatten();
        let is_marked = record.is_some_and(|record| {
            fs::read(mark_of(&checkout)).is_ok_and(|mark| mark == record.mark.as_bytes())
        });
        let is_there = fs::symlink_metadata(&checkout).is_ok_and(|found| found.is_dir());
        if !is_marked || !is_there {
            return Ok(ReservedSlot::Gone(checkout));
        }
        Ok(ReservedSlot::Open(Box::new(Slot::open(self, reservation.slot, lock)?)))
    }

    /// Ends a reservation: the next attempt may use the slot.
    ///
    /// # Errors
    /// If git fails, or a file cannot be removed.
    pub async fn release(&self, reservation: &Reservation) -> Result<()> {
        let mark = mark_of(&self.place()?.checkout(reservation.slot));
        let record = self.record_file(reservation.slot);
        for path in [&mark, &reservation.directory, &record] {
            remove_any(path).doing("remove", path)?;
        }
        let order = format!("delete {}\n", ref_of(reservation.slot));
        let dropped = self.transact("drop the kept base", &order).await?;
        if dropped.ok() { Ok(()) } else { Err(ref_error(dropped)) }
    }

    fn reservations_dir(&self) -> PathBuf {
        self.autopack_dir().join("reserved")
    }

    fn record_file(&self, slot: u32) -> PathBuf {
        self.reservations_dir().join(format!("{slot}.json"))
    }
}

/// Reads a record; `None` if there is none.
fn read(file: &Path) -> std::result::Result<Option<Record>, String> {
    let text = match fs::read(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|error| error.to_string())?,
    };
    let record: Record = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    let base = &record.work.base;
    if base.is_empty() || !base.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err("its base is no commit".to_owned());
    }
    Ok(Some(record))
}

fn ref_of(slot: u32) -> String {
    format!("refs/autopack/reserved/{slot}")
}

/// The mark beside a slot's files, which is removed with them.
fn mark_of(checkout: &Path) -> PathBuf {
    checkout.with_added_extension("reserved")
}
