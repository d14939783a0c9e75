//! The store that `drain --dry-run` reads: autopack's own, or a temporary one for plan files that are not imported.

use tempfile::TempDir;

use super::drain_runs::{DrainTargets, NamedTargets, named_runs};
use super::plan_import::PlanFile;
use super::{Context, open_database};
use crate::failure::{Exit, Failure};
use crate::phase::RunId;
use crate::progress::NOTES;
use crate::store::{DatabaseUrl, RunSummary, Store, StoreError};
use crate::workspace::Repo;

/// An open store with the runs to show.
pub(super) struct DryRunStore {
    pub store: Store,
    pub runs: Vec<RunSummary>,
    /// Holds a temporary store, which is removed with the value.
    _directory: Option<TempDir>,
}

impl DryRunStore {
    /// Opens the store; `None` if nothing is queued. autopack's own database is not changed.
    ///
    /// # Errors
    /// As for a drain; also if runs are named together with plans that are not imported yet.
    pub async fn open(
        targets: &DrainTargets,
        named: NamedTargets,
        context: &Context,
        repo: &Repo,
    ) -> Result<Option<Self>, Failure> {
        let (mut runs, files) = match named {
            NamedTargets::Some { runs, files } => (runs, files),
            NamedTargets::Empty(_) => return Ok(None),
            NamedTargets::None => {
                let store = open_database::open_existing(context).await?;
                let runs = targets.default_runs(&store, repo).await?;
                return Ok(runs.map(|runs| Self { store, runs, _directory: None }));
            }
        };
        if !is_known(&files, context).await? {
            if !runs.is_empty() {
                return Err(Failure::new("a dry run shows either runs or a new plan file")
                    .hint("name only the file, or only the runs")
                    .exit(Exit::Usage));
            }
            return Self::of_files(files, repo).await.map(Some);
        }
        let store = open_database::open_existing(context).await?;
        for file in &files {
            if !file.is_imported(&store, repo).await? {
                let name = file.name();
                tracing::info!(target: NOTES, "{name} may have changed; this is the imported plan");
            }
            runs.extend(file.runs());
        }
        let runs = named_runs(&store, &runs).await?;
        Ok(Some(Self { store, runs, _directory: None }))
    }

    /// Imports the files into a temporary store.
    async fn of_files(files: Vec<PlanFile>, repo: &Repo) -> Result<Self, Failure> {
        let directory = tempfile::Builder::new().prefix("autopack-dry-run-").tempdir()?;
        let path = directory.path().join("autopack.db");
        let url = DatabaseUrl::parse(&format!("sqlite:///{}", path.display()), repo.root())?;
        let store = Store::open(&url).await?;
        let mut runs: Vec<RunId> = Vec::new();
        for file in files {
            runs.extend(file.runs());
            file.import(&store).await?;
        }
        let runs = named_runs(&store, &runs).await?;
        Ok(Self { store, runs, _directory: Some(directory) })
    }
}

/// Whether autopack's store has all runs of the files.
async fn is_known(files: &[PlanFile], context: &Context) -> Result<bool, Failure> {
    if files.is_empty() {
        return Ok(true);
    }
    let store = match Store::open_existing(&open_database::url(context)?).await {
        Err(StoreError::NoDatabase { .. }) => return Ok(false),
        store => store?,
    };
    let known = store.run_ids_by_use().await?;
    store.close().await;
    Ok(files.iter().flat_map(PlanFile::runs).all(|run| known.contains(&run)))
}
