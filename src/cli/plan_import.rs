//! Importing plans, as `import` and `drain` have it in common, and the plan files of `drain FILE`: imported once, updated after a change, and else left alone.
//!
//! `.autopack/imports/<run>` holds the digest of the file that was imported last. An unchanged file is not imported
//! again, so that `phases edit` is not undone.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use super::imported_run::ImportedRun;
use super::source_import::import_source;
use crate::config::suggestion::nearest;
use crate::failure::{Failure, WithHint};
use crate::import::{self, Existing, ImportError, PlanDraft, ReadOptions, STDIN};
use crate::phase::RunId;
use crate::phase::plan::{Plan, PlanRun};
use crate::phase::words::{hex, quoted};
use crate::store::{ImportMode, Store, StoreError};
use crate::workspace::Repo;

/// Bytes read at a time: a database may be large.
const BLOCK: usize = 64 * 1024;
/// Warnings shown for each source.
const SHOWN: usize = 10;

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
        options: &ReadOptions,
        store: Option<&Store>,
    ) -> Result<Self, Failure> {
        let mut draft = match read_plan(file, options, store).await {
            Err(failure) => return Self::without_phases(file, failure),
            Ok(draft) => draft,
        };
        let warnings = std::mem::take(&mut draft.warnings);
        let existing = match store {
            Some(store) => known_phases(store, &draft).await?,
            None => Existing::default(),
        };
        let plan = resolve(draft, &existing)?;
        let digest = (file.as_os_str() != STDIN).then(|| digest_of(file)).transpose()?;
        Ok(Self { name: file.display().to_string(), plan, warnings, digest })
    }

    /// A file that lists no phases is a plan with empty runs. Fails for any other reason not to read the file.
    fn without_phases(file: &Path, failure: Failure) -> Result<Self, Failure> {
        match empty_plan(&failure) {
            None => Err(failure),
            Some(plan) => Ok(Self {
                name: file.display().to_string(),
                plan,
                warnings: Vec::new(),
                digest: None,
            }),
        }
    }

    /// Returns whether the file lists no phases.
    pub fn is_empty(&self) -> bool {
        !self.plan.runs.iter().any(PlanRun::has_items)
    }

    /// Returns the runs of the plan.
    pub fn runs(&self) -> Vec<RunId> {
        let runs = self.plan.runs.iter().filter(|run| run.has_items());
        runs.map(|run| run.run_id.clone()).collect()
    }

    /// Returns whether the store has the runs of the plan, imported from a file with the same content.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn is_imported(&self, store: &Store, repo: &Repo) -> Result<bool, Failure> {
        let known = store.run_ids_by_use().await?;
        let is_same = |run: &RunId| {
            let digest = std::fs::read_to_string(record(repo, run)).ok();
            known.contains(run) && digest.is_some() && digest == self.digest
        };
        Ok(self.runs().iter().all(is_same))
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
    pub async fn import(mut self, store: &Store) -> Result<Vec<String>, Failure> {
        warn_of(&self.warnings);
        let known = store.run_ids_by_use().await?;
        let reports = import_source(store, &mut self.plan, ImportMode::Update).await?;
        let mut lines = Vec::new();
        for (run, report) in self.plan.runs.iter().zip(&reports) {
            let is_known = known.contains(&run.run_id);
            let imported = ImportedRun::new((run, report));
            let counts = imported.line();
            let changes =
                report.added + report.updated + report.kept + report.stopped + report.reopened;
            let name = &self.name;
            let removed = imported.removed_line(name, &prune_hint(name));
            if is_known && changes == 0 {
                lines.extend(removed);
                continue;
            }
            lines.push(match is_known {
                false => format!("imported {name}: {counts}"),
                true => format!("{name} has changed (as `import --update`): {counts}"),
            });
            lines.extend(removed);
        }
        Ok(lines)
    }
}

/// Says how to skip phases that the file no longer has: a drain runs them all the same.
fn prune_hint(name: &str) -> String {
    format!(
        "they still run; to skip the open ones: autopack import {} --update --prune",
        quoted(name)
    )
}

/// Reads a plan. Its parts go into their runs of the store.
///
/// # Errors
/// The file cannot be read or understood.
pub(super) async fn read_plan(
    file: &Path,
    options: &ReadOptions,
    store: Option<&Store>,
) -> Result<PlanDraft, Failure> {
    let stored_parts = match store {
        Some(store) => store.source_parts().await?,
        None => Vec::new(),
    };
    let options = ReadOptions { stored_parts, ..options.clone() };
    match import::read(file, &options).await {
        Err(error @ ImportError::Unrecognized { is_prose: true, .. }) => {
            let name = file.display().to_string();
            Err(error).or_hint(format!(
                "an agent makes a plan of a text in sentences: `autopack plan {} -o plan.yaml`; `autopack import --list-formats` \
                 lists all formats",
                quoted(&name)
            ))
        }
        Err(error @ ImportError::Unrecognized { .. }) => Err(error).or_hint(
            "`autopack import --list-formats` lists all formats, and --from chooses one; a plan in Markdown is a ```yaml block (docs/plan-format.md)",
        ),
        Err(error @ ImportError::Unreadable { .. }) => match similar_file(file) {
            Some(near) => Err(error).or_hint(format!("did you mean {near:?}?")),
            None => Err(error.into()),
        },
        read => Ok(read?),
    }
}

/// Checks the dependencies of a plan.
///
/// # Errors
/// A dependency is unknown, or dependencies form a cycle.
pub(super) fn resolve(draft: PlanDraft, existing: &Existing) -> Result<Plan, Failure> {
    match draft.resolve(existing) {
        Err(error) if error.has_cycle() => Err(error).or_hint(
            "or drop the last dependency of each cycle: `autopack import FILE --break-cycles`",
        ),
        resolved => Ok(resolved?),
    }
}

/// Returns the runs of a source that lists no phases, if this is the reason of the failure.
pub(super) fn empty_plan(failure: &Failure) -> Option<Plan> {
    let causes = failure.error().chain();
    match causes.filter_map(|cause| cause.downcast_ref::<ImportError>()).next()? {
        ImportError::Empty { runs, .. } if !runs.is_empty() => Some(Plan { runs: runs.clone() }),
        _ => None,
    }
}

/// Shows the first warnings about a source, and the number of the others.
pub(super) fn warn_of(warnings: &[String]) {
    for warning in warnings.iter().take(SHOWN) {
        tracing::warn!("{warning}");
    }
    if let Some(more) = warnings.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        tracing::warn!("... and {more} more warnings");
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::plan::SourcePart;
    use crate::phase::{PhaseId, PhaseState};
    use crate::store::{ImportReport, RemovedPhase};

    #[test]
    fn a_drain_says_how_to_skip_phases_that_the_file_no_longer_has() {
        let run =
            PlanRun::empty(RunId::new("r"), "my list.md", "my list.md", SourcePart::default());
        let removed =
            vec![RemovedPhase { phase_id: PhaseId::new("zeta"), state: PhaseState::Queued }];
        let report = ImportReport { removed, ..ImportReport::default() };
        let line = ImportedRun::new((&run, &report))
            .removed_line(&run.source, &prune_hint(&run.source))
            .unwrap();
        assert!(line.starts_with("1 phase no longer in my list.md: zeta; "), "{line}");
        assert!(line.ends_with("autopack import 'my list.md' --update --prune"), "{line}");
    }
}
