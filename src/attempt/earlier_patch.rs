//! Files of a phase's earlier attempt on another machine: the patch for the next attempt, the work for a person.

use std::path::PathBuf;

use super::DrainContext;
use super::artifacts::{AttemptDirectory, kept_patch};
use super::kept_files::{AttemptFileFinder, AttemptFiles, FilesPlace, FoundFiles};
use crate::phase::{PhaseId, RunId};
use crate::progress::printable;
use crate::store::{AttemptRow, Claim};

impl DrainContext {
    /// Finds the files of an attempt of another machine. `None` if the attempt was executed here, or the files are not
    /// stored yet: the work continues without the files.
    pub async fn files_of_other_machine(
        &self,
        run: &RunId,
        phase: &PhaseId,
        attempt: u32,
    ) -> Option<AttemptFiles> {
        match self.find_at_server(run, phase, attempt).await.ok()?? {
            (FoundFiles::Found(files), _) if files.place != FilesPlace::Here => Some(files),
            _ => None,
        }
    }

    /// Finds the remains of the last attempt of a phase, for a person continuing the work.
    ///
    /// # Errors
    ///
    /// The database or a file cannot be read.
    pub async fn kept_work(
        &self,
        run: &RunId,
        phase: &PhaseId,
        attempt: u32,
    ) -> anyhow::Result<KeptWork> {
        let own = AttemptDirectory::locate(&self.repo.autopack_dir(), run, phase, attempt);
        let Some((found, row)) = self.find_at_server(run, phase, attempt).await? else {
            return Ok(KeptWork::here(own));
        };
        let missing = explain_missing_work(&found, &row);
        Ok(match found {
            FoundFiles::Found(files) if files.place == FilesPlace::Here => {
                KeptWork::here(files.path)
            }
            FoundFiles::Found(files) => KeptWork {
                directory: Some(files.path.clone()),
                patch: files.whole_patch(),
                missing,
                _files: Some(files),
            },
            FoundFiles::Removed | FoundFiles::NotStored => {
                KeptWork { missing, ..KeptWork::default() }
            }
        })
    }

    async fn find_at_server(
        &self,
        run: &RunId,
        phase: &PhaseId,
        attempt: u32,
    ) -> anyhow::Result<Option<(FoundFiles, AttemptRow)>> {
        if !self.store.is_at_server() {
            return Ok(None);
        }
        let detail = self.store.phase(run, phase).await?;
        let row = detail.attempt_log.into_iter().find(|row| row.attempt == attempt);
        let Some(row) = row else { return Ok(None) };
        let (root, settings) = (self.repo.root(), &self.settings.artifacts);
        let finder = AttemptFileFinder { root, store: &self.store, settings };
        let found = finder.find(run, phase, &row, None).await?;
        Ok(Some((found, row)))
    }

    /// Copies the patch of the previous attempt into the directory of a claim's attempt.
    pub(super) async fn bring_earlier_patch(
        &self,
        claim: &Claim,
        directory: &AttemptDirectory,
    ) -> Option<PathBuf> {
        let earlier = claim.attempt.checked_sub(1).filter(|earlier| *earlier > 0)?;
        let files = self.files_of_other_machine(&claim.run_id, &claim.phase_id, earlier).await?;
        let patch = std::fs::read(files.whole_patch()?).ok()?;
        let path = directory.path().join(AttemptDirectory::EARLIER_PATCH);
        directory.write(&path, patch).ok()?;
        Some(path)
    }
}

/// Remains of the last attempt of a phase.
#[derive(Debug, Default)]
pub struct KeptWork {
    /// Directory of the attempt.
    pub directory: Option<PathBuf>,
    /// The patch.
    pub patch: Option<PathBuf>,
    /// The reason for a missing patch, if there may be a patch.
    pub missing: Option<String>,
    /// Keeps a temporary copy alive for the same time.
    _files: Option<AttemptFiles>,
}

impl KeptWork {
    fn here(directory: PathBuf) -> Self {
        Self { patch: kept_patch(&directory), directory: Some(directory), ..Self::default() }
    }
}

/// Returns the host of an attempt, for people.
pub fn shown_host(row: &AttemptRow) -> String {
    let host = row.host.as_deref().map(printable);
    host.map_or("another machine".to_owned(), |host| host.to_string())
}

fn explain_missing_work(found: &FoundFiles, row: &AttemptRow) -> Option<String> {
    row.log_dir.as_ref()?;
    let host = shown_host(row);
    let why = match found {
        FoundFiles::Found(files) if files.is_patch_cut() => format!(
            "its patch is longer than artifacts.database_kb, so only {host} has the whole patch; artifacts.dir shares whole files"
        ),
        FoundFiles::Found(_) => return None,
        FoundFiles::Removed => format!("its files were on {host}, and `autopack gc` removed them"),
        FoundFiles::NotStored => format!(
            "its files are on {host}, and nowhere else yet; the next drain in the clone there stores them, and so does `autopack gc`"
        ),
    };
    Some(format!("without the work of attempt {}: {why}", row.attempt))
}
