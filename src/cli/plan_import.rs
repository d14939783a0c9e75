//! Importing plans, as `import` and `drain` have it in common, and the plan files of `drain FILE`: imported once, updated after a change, and else left alone.
//!
//! `.autopack/imports/<run>` holds the digest of the file that was imported last. An unchanged file is not imported
//! again, so that `phases edit` is not undone.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::config::suggestion::nearest;
use crate::failure::{Failure, WithHint};
use crate::import::{self, Existing, ImportError, PlanDraft, STDIN};
use crate::phase::RunId;
use crate::phase::plan::{Plan, PlanRun};
use crate::phase::words::hex;
use crate::progress::shown_id;
use crate::store::{ImportReport, Store, StoreError};
use crate::workspace::Repo;

/// Bytes read at a time: a database may be large.
const BLOCK: usize = 64 * 1024;

/// A plan file or directory that was read, and not imported yet.
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
        let mut draft = read_plan(file, run).await?;
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

/// Reads a plan.
///
/// # Errors
/// The file cannot be read or understood.
pub(super) async fn read_plan(file: &Path, run: Option<&RunId>) -> Result<PlanDraft, Failure> {
    let read = import::read(file, run).await;
    let is_text = file.extension().is_some_and(|ending| ending == "md" || ending == "txt");
    match read {
        Err(error @ ImportError::Malformed { .. }) if is_text => Err(error).or_hint(
            "a plan is YAML, JSON or JSONL; in Markdown, put it into a ```yaml block (docs/plan-format.md)",
        ),
        Err(error @ ImportError::Unreadable { .. }) => match similar_file(file) {
            Some(near) => Err(error).or_hint(format!("did you mean {near:?}?")),
            None => Err(error.into()),
        },
        read => Ok(read?),
    }
}

/// Returns the file with the most similar name in the same directory, as the user would write it.
pub(super) fn similar_file(path: &Path) -> Option<String> {
    let directory = path.parent().unwrap_or(Path::new(""));
    let place = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let entries = std::fs::read_dir(place).into_iter().flatten().flatten();
    let files: Vec<String> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| directory.join(entry.file_name()).to_string_lossy().into_owned())
        .collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    nearest(&path.to_string_lossy(), &files)
        .filter(|near| Path::new(near) != path)
        .map(str::to_owned)
}

/// Returns the stored phases of the draft's runs, because new phases may depend on them.
pub(super) async fn known_phases(store: &Store, draft: &PlanDraft) -> Result<Existing, Failure> {
    let mut existing = Existing::default();
    for run in draft.run_ids() {
        let phases = match store.phases(run, None).await {
            Ok(phases) => phases,
            Err(StoreError::UnknownRun { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        let needs: HashMap<_, _> =
            phases.into_iter().map(|phase| (phase.phase_id, phase.depends_on)).collect();
        existing.runs.insert(run.clone(), needs);
    }
    Ok(existing)
}

#[derive(Serialize)]
pub(super) struct ImportedRun<'a> {
    run_id: &'a RunId,
    added: u64,
    updated: u64,
    unchanged: u64,
    differing: u64,
    kept: u64,
    samples: u64,
    #[serde(skip_serializing_if = "is_none")]
    done: u64,
    #[serde(skip_serializing_if = "is_none")]
    skipped: u64,
    /// Decisions of the import, for people.
    pub notes: Vec<String>,
}

impl<'a> ImportedRun<'a> {
    pub fn new((run, report): (&'a PlanRun, &ImportReport)) -> Self {
        let notes = run.phases.iter().filter_map(|phase| {
            phase.note.as_ref().map(|note| format!("{}: {note}", phase.phase_id))
        });
        Self {
            run_id: &run.run_id,
            added: report.added,
            updated: report.updated,
            unchanged: report.unchanged,
            differing: report.differing,
            kept: report.kept,
            samples: report.samples,
            done: report.done,
            skipped: report.skipped,
            // Shown once, not on each repeated import of the same file.
            notes: if report.added + report.done + report.skipped > 0 {
                notes.collect()
            } else {
                Vec::new()
            },
        }
    }

    /// Formats the counts of a run.
    pub fn line(&self) -> String {
        let parts = [
            (self.added, "added"),
            (self.updated, "updated"),
            (self.unchanged, "unchanged"),
            (self.differing, "different here and kept (--update replaces them)"),
            (self.kept, "kept because work on them has started"),
            (self.samples, "telemetry samples"),
            (self.done, "complete (done in the source)"),
            (self.skipped, "skipped (dropped in the source)"),
        ];
        let counts: Vec<String> = parts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let counts = if counts.is_empty() { "nothing new".to_owned() } else { counts.join(", ") };
        format!("run {}: {counts}\n", shown_id(self.run_id.as_str()))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_none(count: &u64) -> bool {
    *count == 0
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

/// Returns the digest of a file's content; of a directory, the digest of the names and contents of its files.
pub(super) fn digest_of(input: &Path) -> Result<String, Failure> {
    let cannot = || format!("cannot read {}", input.display());
    let (mut digest, mut block) = (Sha256::new(), vec![0; BLOCK]);
    for (name, file) in import::input_files(input).with_context(cannot)? {
        let mut open = File::open(file).with_context(cannot)?;
        if !name.is_empty() {
            let length = open.metadata().with_context(cannot)?.len();
            digest.update(format!("{name}\0{length}\0"));
        }
        loop {
            match open.read(&mut block).with_context(cannot)? {
                0 => break,
                length => digest.update(&block[..length]),
            }
        }
    }
    Ok(hex(&digest.finalize()))
}

fn record(repo: &Repo, run: &RunId) -> PathBuf {
    repo.autopack_dir().join("imports").join(run.file_name())
}
