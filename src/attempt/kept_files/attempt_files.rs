//! Finds the files of an attempt: those of this clone, else in the shared directory, else in the database.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use tempfile::TempDir;

use super::packed_files::{decompress, missing_bytes, unpack};
use super::shared_artifacts::SharedArtifacts;
use crate::attempt::AttemptDirectory;
use crate::config::ArtifactsSettings;
use crate::phase::{PhaseId, RunId};
use crate::store::{AttemptRow, Store, StoredFile, StoredFiles};

/// Places with files of attempts.
#[derive(Clone, Copy, Debug)]
pub struct AttemptFileFinder<'a> {
    /// Root of the repository.
    pub root: &'a Path,
    /// The store.
    pub store: &'a Store,
    /// Settings of shared files.
    pub settings: &'a ArtifactsSettings,
}

/// Result of a search.
#[derive(Debug)]
pub enum FoundFiles {
    /// The files.
    Found(AttemptFiles),
    /// Removed by `gc`.
    Removed,
    /// Only where the attempt was executed.
    NotStored,
}

/// Files of an attempt in a directory that can be read.
#[derive(Debug)]
pub struct AttemptFiles {
    /// The directory.
    pub path: PathBuf,
    /// Where the files were found.
    pub place: FilesPlace,
    /// Names of files without their middle, and the number of bytes left out.
    pub cut: Vec<(String, u64)>,
    _temporary: Option<TempDir>,
}

/// Place of an attempt's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilesPlace {
    /// The clone of the command.
    Here,
    /// The shared directory.
    Shared,
    /// The database: the directory is temporary.
    Database,
}

impl AttemptFileFinder<'_> {
    /// Returns the directory of an attempt's files in this clone, which may be missing.
    pub fn own_directory(&self, run: &RunId, phase: &PhaseId, attempt: &AttemptRow) -> PathBuf {
        match &attempt.log_dir {
            Some(log_dir) => self.root.join(log_dir),
            None => {
                let directory = self.root.join(".autopack");
                AttemptDirectory::locate(&directory, run, phase, attempt.attempt)
            }
        }
    }

    /// Finds the files of an attempt, if it ever had any and they are not only on another machine.
    ///
    /// # Errors
    ///
    /// As for [`Self::find`].
    pub async fn find_known(
        &self,
        run: &RunId,
        phase: &PhaseId,
        attempt: &AttemptRow,
    ) -> anyhow::Result<Option<AttemptFiles>> {
        if attempt.log_dir.is_none() {
            return Ok(None);
        }
        Ok(match self.find(run, phase, attempt, None).await? {
            FoundFiles::Found(files) => Some(files),
            FoundFiles::Removed | FoundFiles::NotStored => None,
        })
    }

    /// Finds the files of an attempt; in the database, only the one with this name, if given.
    ///
    /// # Errors
    ///
    /// The database or a file cannot be read.
    pub async fn find(
        &self,
        run: &RunId,
        phase: &PhaseId,
        attempt: &AttemptRow,
        name: Option<&str>,
    ) -> anyhow::Result<FoundFiles> {
        let own = self.own_directory(run, phase, attempt);
        // Without a mark, the attempt is of a time before there were several machines; or the directory has work that a person
        // discarded here.
        let is_own = match AttemptDirectory::at(own.clone()).owner() {
            Some(owner) => owner == attempt.owner,
            None => !self.store.is_at_server() || attempt.host.is_none(),
        };
        if own.is_dir() && is_own {
            return Ok(FoundFiles::Found(AttemptFiles::at(own, FilesPlace::Here)));
        }
        if let Some(dir) = &self.settings.dir {
            let shared = SharedArtifacts::new(self.root, dir);
            let path = shared.locate(run, phase, attempt.attempt, &attempt.owner);
            if path.is_dir() {
                return Ok(FoundFiles::Found(AttemptFiles::at(path, FilesPlace::Shared)));
            }
        }
        Ok(match self.store.stored_files(run, phase, attempt.attempt, name).await? {
            StoredFiles::NotStored => FoundFiles::NotStored,
            StoredFiles::Removed => FoundFiles::Removed,
            StoredFiles::Files(files) => FoundFiles::Found(AttemptFiles::write(&files)?),
        })
    }
}

impl AttemptFiles {
    /// Returns the patch, if there is one and it is whole.
    pub fn whole_patch(&self) -> Option<PathBuf> {
        let patch = self.path.join(AttemptDirectory::PATCH);
        (patch.is_file() && !self.is_patch_cut()).then_some(patch)
    }

    /// Whether the patch is without its middle.
    pub fn is_patch_cut(&self) -> bool {
        self.cut.iter().any(|(name, _)| name == AttemptDirectory::PATCH)
    }

    fn at(path: PathBuf, place: FilesPlace) -> Self {
        Self { path, place, cut: Vec::new(), _temporary: None }
    }

    /// Writes stored files to a temporary directory.
    fn write(files: &[StoredFile]) -> anyhow::Result<Self> {
        let temporary = tempfile::Builder::new().prefix("autopack-files-").tempdir();
        let temporary = temporary.context("cannot create a temporary directory")?;
        let mut cut = Vec::new();
        for (position, file) in (0..).zip(files) {
            let path = temporary.path().join(Path::new(&file.name).file_name().unwrap_or_default());
            write_in_order(&path, &unpack(file)?, position)
                .with_context(|| format!("cannot write {}", path.display()))?;
            let missing = missing_bytes(file, decompress(&file.content)?.len());
            if missing > 0 {
                cut.push((file.name.clone(), missing));
            }
        }
        let path = temporary.path().to_owned();
        Ok(Self { path, place: FilesPlace::Database, cut, _temporary: Some(temporary) })
    }
}

/// Writes a file whose times tell its position among others.
fn write_in_order(path: &Path, bytes: &[u8], position: u64) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(position))
}
