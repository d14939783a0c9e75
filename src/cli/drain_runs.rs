//! The runs of a drain: named, of plan files that are imported first, all, or the only run with queued phases.

use std::path::Path;

use super::Context;
use super::open_database;
use super::plan_import::{PlanFile, similar_file};
use super::run_choice::{find_run, known_run};
use crate::config::FinalTest;
use crate::config::suggestion::nearest;
use crate::failure::{Exit, Failure};
use crate::forge::TrackerName;
use crate::import::ReadOptions;
use crate::phase::words::{first_few, quoted};
use crate::phase::{PhaseState, RunId};
use crate::progress::{NOTES, shown_id};
use crate::store::{CleanOutcome, CleanTest, RunSummary, Store, StoreError};
use crate::workspace::Repo;

/// Runs named in an error.
const NAMED: usize = 8;

/// Runs and plan files on the command line of a drain.
#[derive(Debug, Default, clap::Args)]
pub(super) struct DrainTargets {
    /// Runs to drain, or plan files and directories to import and drain [default: the only run with queued phases]
    #[arg(value_name = "RUN | FILE")]
    targets: Vec<String>,

    /// Run to drain; may repeat. With a FILE: the run to import into
    #[arg(long = "run-id", value_name = "RUN")]
    run_ids: Vec<String>,

    /// Drain all runs of this repository, in import order
    #[arg(long, conflicts_with_all = ["targets", "run_ids"])]
    all: bool,
}

/// What the command line of a drain names.
pub(super) enum NamedTargets {
    /// Nothing.
    None,
    /// Runs, and plan files that can be read.
    Some { runs: Vec<RunId>, files: Vec<PlanFile> },
    /// Nothing but files that list no phases, described in a line.
    Empty(String),
}

impl DrainTargets {
    /// Reads the plan files and looks up the runs. Writes nothing.
    ///
    /// # Errors
    /// A target is neither a run nor a file, or a file is no plan.
    pub async fn read(&self, context: &Context) -> Result<NamedTargets, Failure> {
        if self.targets.is_empty() && self.run_ids.is_empty() {
            return Ok(NamedTargets::None);
        }
        let store = match Store::open_existing(&open_database::url(context)?).await {
            Ok(store) => Some(store),
            Err(StoreError::NoDatabase { .. }) if !self.targets.is_empty() => None,
            Err(_) => Some(open_database::open_existing(context).await?),
        };
        let (mut runs, mut paths) = (Vec::new(), Vec::new());
        for target in &self.targets {
            let run = match &store {
                Some(store) => known_run(store, target).await?,
                None => None,
            };
            match run {
                Some(run) => runs.push(run),
                None if is_input(target) => paths.push(Path::new(target)),
                None => return Err(unknown_target(target, store.as_ref(), context).await?),
            }
        }
        let into = match (self.run_ids.as_slice(), paths.len()) {
            ([run], 1) if runs.is_empty() => Some(RunId::new(run)),
            (_, 0) | ([], _) => {
                for name in &self.run_ids {
                    match &store {
                        Some(store) => runs.push(find_run(store, name).await?),
                        None => drop(open_database::open_existing(context).await?),
                    }
                }
                None
            }
            _ => {
                return Err(Failure::new("--run-id names the run of one plan file only")
                    .hint("import the files with `autopack import FILE --run-id RUN`, then drain")
                    .exit(Exit::Usage));
            }
        };
        let options = ReadOptions {
            workspace: context.workspace().ok(),
            ..ReadOptions::of_run(into.as_ref())
        };
        let (mut files, mut empty) = (Vec::new(), Vec::new());
        for path in paths {
            let file = PlanFile::read(path, &options, store.as_ref()).await?;
            match file.is_empty() {
                true => empty.push(shown_id(file.name())),
                false => files.push(file),
            }
        }
        if let Some(store) = store {
            store.close().await;
        }
        if !empty.is_empty() {
            let line = format!("no phases in {}", empty.join(", "));
            if runs.is_empty() && files.is_empty() {
                return Ok(NamedTargets::Empty(format!("nothing to drain: {line}")));
            }
            tracing::info!(target: NOTES, "{line}");
        }
        Ok(NamedTargets::Some { runs, files })
    }

    /// Returns all runs of this repository, or the only run with queued phases; `None` if nothing is queued.
    ///
    /// # Errors
    /// Several runs have queued phases, or the database cannot be read.
    pub async fn default_runs(
        &self,
        store: &Store,
        repo: &Repo,
    ) -> Result<Option<Vec<RunSummary>>, Failure> {
        let all = store.runs().await?;
        let elsewhere = open_database::elsewhere(store, repo, &all).await?;
        let (others, here): (Vec<RunSummary>, Vec<RunSummary>) =
            all.into_iter().partition(|run| elsewhere.contains_key(&run.run_id));
        if self.all {
            if let Some(names) = open_database::name_all(&elsewhere) {
                tracing::info!(target: NOTES, "runs of other repositories are not drained here: {names}");
            }
            return Ok(Some(here).filter(|here| !here.is_empty()));
        }
        let is_open = |run: &&RunSummary| run.counts.queued + run.counts.executing > 0;
        // A run of another repository is only an error if nothing else is meant.
        let all = if here.is_empty() { others } else { here };
        let open: Vec<&RunSummary> = all.iter().filter(is_open).collect();
        match open.as_slice() {
            [] => Ok(None),
            [only] => Ok(Some(vec![(*only).clone()])),
            several => {
                let names: Vec<String> =
                    several.iter().map(|run| shown_id(run.run_id.as_str())).collect();
                let example = quoted(several[0].run_id.as_str()).into_owned();
                let names = names.join(", ");
                Err(Failure::new(format!("several runs have queued phases: {names}"))
                    .hint(format!(
                        "name one, as in `autopack drain {example}`, or drain all with --all"
                    ))
                    .exit(Exit::Usage))
            }
        }
    }
}

/// Returns the runs with these ids, each once, in this order.
///
/// # Errors
/// A run is unknown, or the database cannot be read.
pub(super) async fn named_runs(store: &Store, runs: &[RunId]) -> Result<Vec<RunSummary>, Failure> {
    let mut named: Vec<RunSummary> = Vec::new();
    for run in runs {
        if !named.iter().any(|other| other.run_id == *run) {
            named.push(store.run(run).await?);
        }
    }
    Ok(named)
}

/// Returns the runs of this repository.
pub(super) async fn runs_here(store: &Store, repo: &Repo) -> Result<Vec<RunSummary>, Failure> {
    let runs = store.runs().await?;
    let elsewhere = open_database::elsewhere(store, repo, &runs).await?;
    Ok(runs.into_iter().filter(|run| !elsewhere.contains_key(&run.run_id)).collect())
}

/// Describes an empty backlog in one line, with the exit code. Failed phases of earlier drains still count.
pub(super) fn describe_empty_backlog(runs: &[RunSummary]) -> (String, Exit) {
    if runs.is_empty() {
        let line = "nothing to drain: no runs; `autopack drain FILE` imports and drains a plan";
        return (line.to_owned(), Exit::Done);
    }
    if let Some(run) = runs.iter().find(|run| run.counts.get(PhaseState::Failed) > 0) {
        let run = quoted(run.run_id.as_str()).into_owned();
        let line = format!(
            "nothing to drain; run {run} has failed phases: `autopack phases retry --failed {run}`"
        );
        return (line, Exit::PhasesFailed);
    }
    ("nothing to drain: no phase is queued".to_owned(), Exit::Done)
}

/// Whether a drain of these runs would only repeat what is known: nothing can run, the tips are tested, and all
/// phases have evidence on the branch.
pub(super) async fn is_settled(
    store: &Store,
    repo: &Repo,
    runs: &[RunSummary],
    final_test: FinalTest,
) -> Result<bool, Failure> {
    let is_tested = |run: &RunSummary| {
        let has_no_ci = run.last_drain.as_ref().is_some_and(|end| end.has_no_ci);
        let is_red = |test: &CleanTest| test.outcome == CleanOutcome::RedInCleanClone;
        (final_test == FinalTest::Off || !run.is_untested || has_no_ci)
            && !run.clean_test.as_ref().is_some_and(is_red)
    };
    let is_open = |run: &RunSummary| run.counts.queued + run.counts.executing > 0;
    if !runs.iter().all(|run| !is_open(run) && is_tested(run)) {
        return Ok(false);
    }
    for run in runs {
        let Some(facts) = &run.facts else { continue };
        let landed = store.landed_phases(&run.run_id).await?;
        // A branch that is gone, or lacks a landing, is told by the drain.
        let Ok(tip) = repo.tip(&run.run_id).await else { return Ok(false) };
        let is_other = |test: &CleanTest| test.commit != tip.commit;
        if final_test == FinalTest::Clean && run.clean_test.as_ref().is_some_and(is_other) {
            return Ok(false);
        }
        if !repo.missing(&run.run_id, &facts.base_commit, &landed).await?.is_empty() {
            return Ok(false);
        }
    }
    let ids: Vec<RunId> = runs.iter().map(|run| run.run_id.clone()).collect();
    Ok(store.unproven_phases(&ids).await?.is_empty() && store.open_undos(&ids).await?.is_empty())
}

fn is_input(target: &str) -> bool {
    let path = Path::new(target);
    target == crate::import::STDIN || path.is_file() || path.is_dir()
}

/// Builds the error for a target that is neither a run nor a file.
async fn unknown_target(
    target: &str,
    store: Option<&Store>,
    context: &Context,
) -> Result<Failure, Failure> {
    let path = Path::new(target);
    let runs = match store {
        Some(store) => store.run_ids_by_use().await?,
        None => Vec::new(),
    };
    let database = open_database::url(context)?.name().to_string();
    let ids: Vec<&str> = runs.iter().map(RunId::as_str).collect();
    let shown: Vec<String> = ids.iter().map(|id| shown_id(id)).collect();
    let known = match (store, shown.is_empty()) {
        (None, _) => format!("there is no database at {database} yet"),
        (Some(_), true) => format!("{database} has no runs"),
        (Some(_), false) => format!("runs in {database}: {}", first_few(&shown, NAMED)),
    };
    if let Some(Ok(tracker)) = TrackerName::parse(target) {
        let run = tracker.run_id();
        return Ok(Failure::new(format!("{target:?} is no run yet; {known}")).hint(format!(
            "import first: `autopack import {target}`, then `autopack drain {run}`"
        )));
    }
    let similar = nearest(target, &ids).map(str::to_owned).or_else(|| similar_file(path));
    let hint = match similar {
        Some(near) => format!("did you mean {near:?}?"),
        None if runs.is_empty() => "name a plan file, as in `autopack drain plan.yaml`".to_owned(),
        None => {
            "`autopack runs list` lists the runs; a plan file is imported and drained".to_owned()
        }
    };
    Ok(Failure::new(format!("{target:?} is neither a run nor a file; {known}")).hint(hint))
}
