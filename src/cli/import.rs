//! `import`: converts a plan file, issues of a tracker or another system's database into runs and phases.

use std::path::{Path, PathBuf};

use super::output::table::counted;
use super::plan_import::{self, ImportedRun, known_phases, read_plan};
use super::tracker_access::{TrackerFilterArgs, tracker_of};
use super::tracker_import::TrackerImport;
use super::{Context, open_database};
use crate::failure::{Exit, Failure};
use crate::forge::{IssueFilter, TrackerName};
use crate::import::Existing;
use crate::phase::RunId;
use crate::phase::plan::Plan;
use crate::progress::shown_message;
use crate::store::{Store, StoreError};
use crate::workspace::Repo;

/// Maximum number of notes shown per run.
const NOTES: usize = 10;

/// Import a plan (YAML, JSON, JSONL), issues of a tracker, or the Python Autopack's database
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Plan or database; `-` is standard input; or github:owner/repo, gitlab:group/project, gitea:host/owner/repo, each perhaps with #ISSUE
    #[arg(value_name = "FILE | TRACKER")]
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
    #[command(flatten)]
    issues: TrackerFilterArgs,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    if let Some(tracker) = args.file.to_str().and_then(tracker_of) {
        return import_issues(tracker?, args, context).await;
    }
    args.issues.refuse(&format!("{} is a file", args.file.display()))?;
    let url = open_database::url(context)?;
    let run_id = args.run_id.map(RunId::new);
    let draft = read_plan(&args.file, run_id.as_ref()).await?;
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
    if reports.iter().all(|report| report.differing == 0)
        && let Err(failure) = record(&args.file, &plan, context).await
    {
        // The plan is imported: only the next `drain FILE` compares more.
        tracing::debug!("cannot record the imported file: {}", failure.text());
    }
    let database = store.path().display().to_string();
    match args.json {
        true => context.out.json(&serde_json::json!({"database": database, "runs": runs}))?,
        false => context.out.text(&text(&plan, &runs, &database))?,
    }
    store.close().await;
    Ok(Exit::Done)
}

/// Imports issues of a tracker.
async fn import_issues(
    tracker: TrackerName,
    args: Args,
    context: &Context,
) -> Result<Exit, Failure> {
    let filter = args.issues.filter();
    if tracker.issue.is_some() && filter != IssueFilter::default() {
        return Err(Failure::new(format!(
            "{tracker} is a single issue; options choose among several"
        ))
        .hint("leave the options or the number out")
        .exit(Exit::Usage));
    }
    let run_id = args.run_id.map(RunId::new);
    let imported =
        TrackerImport { tracker, filter, run_id, update: args.update }.run(context).await?;
    let database = imported.store.path().display().to_string();
    let runs = [imported.run()];
    match args.json {
        true => {
            let left_out = imported.left_out;
            let value =
                serde_json::json!({"database": database, "runs": runs, "left_out": left_out});
            context.out.json(&value)?;
        }
        false => context.out.text(&text(&imported.plan, &runs, &database))?,
    }
    imported.store.close().await;
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
