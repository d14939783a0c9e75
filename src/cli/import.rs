//! `import`: converts a plan file or another system's database into runs and phases.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::output::table::counted;
use super::{Context, open_database, plan_import};
use crate::failure::{Exit, Failure};
use crate::import::{self, Existing, PlanDraft};
use crate::phase::RunId;
use crate::phase::plan::{Plan, PlanRun};
use crate::progress::{shown_id, shown_message};
use crate::store::{ImportReport, Store, StoreError};
use crate::workspace::Repo;

/// Maximum number of notes shown per run.
const NOTES: usize = 10;

/// Import a plan (YAML, JSON, JSONL) or the Python Autopack's database
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Plan or database file; `-` is standard input
    file: PathBuf,
    /// Import all phases into this run; from a database, import only this run
    #[arg(long, value_name = "RUN", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    run_id: Option<String>,
    /// Replace the specs of existing phases, except complete and running ones
    #[arg(long)]
    update: bool,
    /// Print {database, runs}
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let url = open_database::url(context)?;
    let run_id = args.run_id.map(RunId::new);
    let draft = import::read(&args.file, run_id.as_ref()).await?;
    for warning in &draft.warnings {
        tracing::warn!("{warning}");
    }
    // A refused plan creates no database.
    let existing = match Store::open_existing(&url).await {
        Ok(store) => known_phases(&store, &draft).await?,
        Err(StoreError::NoDatabase { .. }) => Existing::default(),
        Err(error) => return Err(error.into()),
    };
    let plan = draft.resolve(&existing)?;
    let store = open_database::create_store(&url, context).await?;
    let reports = store.import_by_run(&plan, args.update, crate::clock::now()).await?;
    let runs: Vec<ImportedRun> = plan.runs.iter().zip(&reports).map(ImportedRun::new).collect();
    if reports.iter().all(|report| report.differing == 0) {
        record(&args.file, &plan, context).await?;
    }
    let database = store.path().display().to_string();
    match args.json {
        true => context.out.json(&serde_json::json!({"database": database, "runs": runs}))?,
        false => context.out.text(&text(&plan, &runs, &database))?,
    }
    store.close().await;
    Ok(Exit::Done)
}

/// Records the content of the file, for `drain FILE`. Outside of `.autopack/` nothing is written.
async fn record(file: &Path, plan: &Plan, context: &Context) -> Result<(), Failure> {
    if file.is_file() {
        let repo = Repo::discover(&context.workspace()?).await?;
        repo.prepare_directory()?;
        let runs: Vec<RunId> = plan.runs.iter().map(|run| run.run_id.clone()).collect();
        plan_import::remember(&repo, &runs, &plan_import::digest_of(file)?)?;
    }
    Ok(())
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
    notes: Vec<String>,
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

fn text(plan: &Plan, runs: &[ImportedRun], database: &str) -> String {
    let mut text = String::new();
    for run in runs {
        text += &run.line();
        for note in run.notes.iter().take(NOTES) {
            text += &format!("  {}\n", shown_message(note));
        }
        if let Some(more) = run.notes.len().checked_sub(NOTES).filter(|more| *more > 0) {
            text += &format!("  ... and {more} more notes; see `autopack phases show`\n");
        }
    }
    let phases: usize = plan.runs.iter().map(|run| run.phases.len()).sum();
    let (phases, runs) = (counted(phases as u64, "phase"), counted(runs.len() as u64, "run"));
    text + &format!("{phases} of {runs} in {database}\n")
}
