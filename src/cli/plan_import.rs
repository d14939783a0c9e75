//! Plan files of `drain FILE`: imported once, updated after a change, and else left alone.
//!
//! `.autopack/imports/<run>` holds the digest of the file that was imported last. An unchanged file is not imported
//! again, so that `phases edit` is not undone.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use super::import::{ImportedRun, known_phases};
use crate::failure::Failure;
use crate::import::{self, Existing, STDIN};
use crate::phase::RunId;
use crate::phase::plan::{Plan, PlanRun};
use crate::phase::words::hex;
use crate::store::Store;
use crate::workspace::Repo;

/// Bytes read at a time: a database may be large.
const BLOCK: usize = 64 * 1024;

/// A plan file that was read, and not imported yet.
pub(super) struct PlanFile {
    name: String,
    plan: Plan,
    warnings: Vec<String>,
    /// `None` for standard input.
    digest: Option<String>,
}

impl PlanFile {
    /// Reads a plan; new phases may depend on phases of the store. Writes nothing.
    ///
    /// # Errors
    /// The file cannot be read or understood.
    pub async fn read(
        file: &Path,
        run: Option<&RunId>,
        store: Option<&Store>,
    ) -> Result<Self, Failure> {
        let mut draft = import::read(file, run).await?;
        let warnings = std::mem::take(&mut draft.warnings);
        let existing = match store {
            Some(store) => known_phases(store, &draft).await?,
            None => Existing::default(),
        };
        let plan = draft.resolve(&existing)?;
        let digest = (file.as_os_str() != STDIN).then(|| digest_of(file)).transpose()?;
        Ok(Self { name: file.display().to_string(), plan, warnings, digest })
    }

    /// Returns the runs of the plan.
    pub fn runs(&self) -> Vec<RunId> {
        self.plan.runs.iter().map(|run| run.run_id.clone()).collect()
    }

    /// Returns whether the store has the runs of the plan, imported from a file with the same content.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn is_imported(&self, store: &Store, repo: &Repo) -> Result<bool, Failure> {
        let known = store.run_ids_by_use().await?;
        let is_same = |run: &PlanRun| {
            let digest = std::fs::read_to_string(record(repo, &run.run_id)).ok();
            known.contains(&run.run_id) && digest.is_some() && digest == self.digest
        };
        Ok(self.plan.runs.iter().all(is_same))
    }

    /// Returns the file as named by the user.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Imports the plan, replacing specs as `import --update` does, and records its content. Returns a line for each
    /// run; none if nothing changed.
    ///
    /// # Errors
    /// The plan contradicts the store, or the database or the disk cannot be written.
    pub async fn import_and_record(
        self,
        store: &Store,
        repo: &Repo,
    ) -> Result<Vec<String>, Failure> {
        let (runs, digest) = (self.runs(), self.digest.clone());
        let lines = self.import(store).await?;
        if let Some(digest) = digest {
            remember(repo, &runs, &digest)?;
        }
        Ok(lines)
    }

    /// Imports the plan.
    ///
    /// # Errors
    /// The plan contradicts the store, or the database cannot be written.
    pub async fn import(self, store: &Store) -> Result<Vec<String>, Failure> {
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
        let plan = &self.plan;
        let known = store.run_ids_by_use().await?;
        let reports = store.import_by_run(plan, true, crate::clock::now()).await?;
        let mut lines = Vec::new();
        for (run, report) in plan.runs.iter().zip(&reports) {
            let is_known = known.contains(&run.run_id);
            let counts = ImportedRun::new((run, report)).line();
            if is_known && report.added + report.updated + report.kept == 0 {
                continue;
            }
            let name = &self.name;
            lines.push(match is_known {
                false => format!("imported {name}: {}", counts.trim_end()),
                true => format!("{name} has changed (as `import --update`): {}", counts.trim_end()),
            });
        }
        Ok(lines)
    }
}

/// Records the content of an imported file for its runs.
pub(super) fn remember(repo: &Repo, runs: &[RunId], digest: &str) -> Result<(), Failure> {
    for run in runs {
        let path = record(repo, run);
        std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
        std::fs::write(path, digest)?;
    }
    Ok(())
}

/// Returns the digest of a file's content.
pub(super) fn digest_of(file: &Path) -> Result<String, Failure> {
    let cannot = || format!("cannot read {}", file.display());
    let mut open = File::open(file).with_context(cannot)?;
    let (mut digest, mut block) = (Sha256::new(), vec![0; BLOCK]);
    loop {
        match open.read(&mut block).with_context(cannot)? {
            0 => return Ok(hex(&digest.finalize())),
            length => digest.update(&block[..length]),
        }
    }
}

fn record(repo: &Repo, run: &RunId) -> PathBuf {
    repo.autopack_dir().join("imports").join(run.file_name())
}
