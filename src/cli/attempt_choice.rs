//! The attempt of a command: `PHASE [--attempt N]`.

use std::path::{Path, PathBuf};

use super::Context;
use super::run_choice::{PhaseArg, RunUse};
use crate::attempt::AttemptDirectory;
use crate::drain::appears_dead;
use crate::failure::Failure;
use crate::phase::PhaseState;
use crate::phase::words::quoted;
use crate::progress::shown_id;
use crate::store::{AttemptRow, InFlight, PhaseRow, Store};
use crate::workspace::{Repo, SlotInfo};

/// An attempt of a phase.
#[derive(Debug, clap::Args)]
pub(super) struct AttemptArg {
    #[command(flatten)]
    phase: PhaseArg,
    /// Attempt N instead of the last attempt
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AttemptEnd {
    /// With an outcome in the database.
    Recorded,
    /// Its drain died, and no other drain has reclaimed the phase yet.
    DrainDied,
}

/// The chosen attempt.
pub(super) struct AttemptChoice {
    pub store: Store,
    pub row: PhaseRow,
    pub attempt: AttemptRow,
    /// Whether the command line names the attempt.
    pub is_named: bool,
}

impl AttemptArg {
    /// Opens the store and finds the attempt.
    pub async fn open(&self, context: &Context) -> Result<AttemptChoice, Failure> {
        let (store, run, phase) = self.phase.open(context, RunUse::Read).await?;
        let detail = store.phase(&run, &phase).await?;
        let found = match (self.attempt, detail.attempt_log.last()) {
            (None, Some(last)) => Ok(last.clone()),
            (Some(number), Some(last)) => {
                let mut attempts = detail.attempt_log.iter();
                attempts
                    .find(|row| row.attempt == number)
                    .cloned()
                    .ok_or_else(|| explain_unknown(&detail.row, number, last.attempt))
            }
            (_, None) => Err(explain_none(&detail.row)),
        };
        Ok(AttemptChoice {
            store,
            row: detail.row,
            attempt: found?,
            is_named: self.attempt.is_some(),
        })
    }
}

impl AttemptChoice {
    /// Closes the database.
    pub async fn close(&self) {
        self.store.clone().close().await;
    }

    /// Returns the phase as an argument of other commands.
    pub fn phase(&self) -> String {
        argument(&self.row)
    }

    /// Returns the attempt's name for messages.
    pub fn name(&self) -> String {
        format!(
            "attempt {} of phase {}",
            self.attempt.attempt,
            shown_id(self.row.phase_id.as_str())
        )
    }

    /// Returns the directory of the attempt's files, which may be gone.
    pub fn directory(&self, context: &Context) -> Result<PathBuf, Failure> {
        let root = context.workspace()?;
        let (row, number) = (&self.row, self.attempt.attempt);
        Ok(match &self.attempt.log_dir {
            Some(log_dir) => root.join(log_dir),
            None => {
                let directory = root.join(".autopack");
                AttemptDirectory::locate(&directory, &row.run_id, &row.phase_id, number)
            }
        })
    }

    /// Returns the slot of the attempt, which may hold another attempt by now.
    pub fn slot(&self, repo: &Repo) -> Result<Option<SlotInfo>, Failure> {
        let number = self.attempt.slot.as_ref().and_then(|slot| slot.parse::<u32>().ok());
        let slots = if number.is_some() { repo.slots()? } else { Vec::new() };
        Ok(slots.into_iter().find(|slot| Some(slot.number) == number))
    }

    /// Explains that the attempt's directory is gone.
    pub fn explain_no_files(&self, directory: &Path) -> Failure {
        let (name, directory) = (self.name(), directory.display());
        Failure::new(format!("{name} has no files any more: {directory} does not exist"))
            .hint("`autopack gc` removes the files of phases that landed")
    }

    /// Returns the end of the attempt, if it has ended.
    pub async fn end(&self) -> Result<Option<AttemptEnd>, Failure> {
        let detail = self.store.phase(&self.row.run_id, &self.row.phase_id).await?;
        let mut rows = detail.attempt_log.iter();
        let row = rows.find(|row| row.attempt == self.attempt.attempt);
        if row.is_none_or(|row| row.ended_at.is_some()) {
            return Ok(Some(AttemptEnd::Recorded));
        }
        let owners = self.store.owners().await?;
        let is_here = |work: &InFlight| {
            (&work.run_id, &work.phase_id) == (&self.row.run_id, &self.row.phase_id)
        };
        let owner = owners.iter().find(|row| row.executing.iter().any(is_here));
        Ok(owner.filter(|row| appears_dead(&row.owner)).map(|_| AttemptEnd::DrainDied))
    }
}

fn argument(row: &PhaseRow) -> String {
    quoted(&shown_id(&format!("{}/{}", row.run_id, row.phase_id))).into_owned()
}

fn explain_none(row: &PhaseRow) -> Failure {
    let phase = shown_id(row.phase_id.as_str());
    let run = quoted(&shown_id(row.run_id.as_str())).into_owned();
    let hint = match row.state {
        PhaseState::Queued => {
            format!("`autopack status {run}` shows why; `autopack drain {run}` runs it")
        }
        PhaseState::Complete => format!("`autopack phases show {}` tells why", argument(row)),
        _ => format!("`autopack phases retry {}` queues it", argument(row)),
    };
    Failure::new(format!("phase {phase} has no attempts; it is {}", row.state)).hint(hint)
}

fn explain_unknown(row: &PhaseRow, number: u32, last: u32) -> Failure {
    let phase = shown_id(row.phase_id.as_str());
    Failure::new(format!("phase {phase} has no attempt {number}; the last attempt is {last}"))
        .hint(format!("`autopack phases show {}` lists its attempts", argument(row)))
}
