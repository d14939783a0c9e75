//! `import github:owner/repo`: issues of a tracker as a run.

use super::imported_run::ImportedRun;
use super::plan_import::{known_phases, resolve};
use super::tracker_access::{describe_left_out, forge_failure, open_forge, report_issues};
use super::{Context, open_database};
use crate::failure::Failure;
use crate::forge::{IssueFilter, TrackerName};
use crate::import::Existing;
use crate::import::trackers::{TrackerChoice, TrackerIssues, draft_issues};
use crate::phase::plan::{Plan, PlanRun};
use crate::phase::{RunId, UnixMs};
use crate::progress::shown_id;
use crate::store::{RunSource, Store, StoreError};

/// An import of issues.
pub(super) struct TrackerImport {
    pub tracker: TrackerName,
    pub filter: IssueFilter,
    pub run_id: Option<RunId>,
    pub update: bool,
    /// Whether a dependency of each cycle is dropped.
    pub break_cycles: bool,
}

/// A finished import.
pub(super) struct ImportedIssues {
    pub plan: Plan,
    pub report: crate::store::ImportReport,
    pub left_out: u64,
    pub store: Store,
}

impl ImportedIssues {
    /// Returns the counts of the run.
    pub fn run(&self) -> ImportedRun<'_> {
        ImportedRun::new((&self.plan.runs[0], &self.report))
    }
}

impl TrackerImport {
    /// Asks the forge and stores the issues.
    ///
    /// # Errors
    /// The forge refuses, no issue counts, the run has another source, or the database cannot be written; nothing is
    /// imported then.
    pub async fn run(self, context: &Context) -> Result<ImportedIssues, Failure> {
        let url = open_database::url(context)?;
        let run = self.run_id.clone().unwrap_or_else(|| RunId::new(self.tracker.run_id()));
        let stored = match Store::open_existing(&url).await {
            Ok(store) => Some(store),
            Err(StoreError::NoDatabase { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let before = match &stored {
            Some(store) => self.source_before(store, &run).await?,
            None => None,
        };
        let mut choice = match &before {
            Some(source) => TrackerChoice::of_json(&source.choice),
            None => TrackerChoice::default(),
        };
        choice.add(&self.tracker, self.filter.clone());
        let known = match &stored {
            Some(store) if self.update => {
                let phases = store.tracked_phases(&run, &self.name()).await?;
                let open = phases.iter().filter(|phase| !phase.state.satisfies_dependents());
                open.map(|phase| phase.issue).collect()
            }
            _ => Vec::new(),
        };

        let forge = open_forge(&self.tracker, context).await?;
        // Changes after this are seen by the next synchronization.
        let seen = match self.tracker.issue {
            None => forge.latest_change().await.map_err(forge_failure)?,
            Some(_) => None,
        };
        let request = choice.import_request(&self.tracker, known);
        let found = TrackerIssues::fetch(forge.as_ref(), &request).await.map_err(forge_failure)?;
        if found.issues.is_empty() {
            return Err(self.no_issues(&found));
        }
        report_issues(&self.tracker, &found);
        let draft = draft_issues(&self.tracker, &found, &run, self.break_cycles)?;
        for warning in &draft.warnings {
            tracing::warn!("{warning}");
        }
        let existing = match &stored {
            Some(store) => known_phases(store, &draft).await?,
            None => Existing::default(),
        };
        let plan = resolve(draft, &existing)?;
        let store = open_database::create_store(&url, context).await?;
        // A known run may lack changes that only a synchronization makes.
        let seen = seen.filter(|_| before.is_none());
        let compared_at = Some(crate::clock::now());
        let source =
            RunSource { tracker: self.name(), choice: choice.to_json(), seen, compared_at };
        let report = import(&store, &plan.runs[0], self.update, &source).await?;
        forge.keep_pages();
        Ok(ImportedIssues { plan, report, left_out: found.left_out, store })
    }

    fn name(&self) -> String {
        self.tracker.repository().to_string()
    }

    /// Returns the source of an existing run; `None` for a new run.
    async fn source_before(
        &self,
        store: &Store,
        run: &RunId,
    ) -> Result<Option<RunSource>, Failure> {
        if !store.run_ids_by_use().await?.contains(run) {
            return Ok(None);
        }
        let source = store.run_source(run).await?;
        let (shown, name) = (shown_id(run.as_str()), self.name());
        match source {
            Some(source) if source.tracker == name => Ok(Some(source)),
            Some(source) => Err(Failure::new(format!(
                "run {shown} comes from {}, not from {name}",
                source.tracker
            ))),
            None => Err(Failure::new(format!("run {shown} exists and does not come from {name}"))),
        }
        .map_err(|failure: Failure| failure.hint("import into another run with `--run-id RUN`"))
    }

    fn no_issues(&self, found: &TrackerIssues) -> Failure {
        let text = match self.tracker.issue {
            Some(_) => format!("{} is no issue", self.tracker),
            None => format!("{} has no open issues{}", self.tracker, self.filter.describe()),
        };
        match describe_left_out(&self.tracker, found) {
            Some(left_out) => Failure::new(format!("{text} to import")).hint(left_out),
            None if self.tracker.issue.is_some() => {
                Failure::new(text).hint("check the number; pull requests are not imported")
            }
            None => Failure::new(text)
                .hint("check the labels and other options; closed issues are not imported"),
        }
    }
}

async fn import(
    store: &Store,
    run: &PlanRun,
    update: bool,
    source: &RunSource,
) -> Result<crate::store::ImportReport, StoreError> {
    let now: UnixMs = crate::clock::now();
    store.import_from_tracker(run, update, source, now).await
}
