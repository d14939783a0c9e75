//! `import`: converts a plan file, issues of a tracker, or another tool's backlog, into runs and phases.

use std::path::{Path, PathBuf};

use super::imported_run::ImportedRun;
use super::output::table::counted;
use super::plan_import::{self, empty_plan, known_phases, read_plan, resolve, warn_of};
use super::source_import::import_source;
use super::tracker_access::{TrackerFilterArgs, tracker_of};
use super::tracker_import::TrackerImport;
use super::{Context, open_database};
use crate::failure::{Exit, Failure};
use crate::forge::{IssueFilter, TrackerName};
use crate::import::{ColumnChoice, Existing, FormatEntry, ReadOptions, STDIN, formats};
use crate::phase::RunId;
use crate::phase::plan::{Plan, PlanRun};
use crate::progress::{screen, shown_message, wrap};
use crate::store::{DatabaseUrl, ImportMode, Store, StoreError};
use crate::workspace::Repo;

/// Format whose columns `--map` chooses.
const CSV: &str = "csv";
/// Maximum number of notes shown per run.
const NOTES: usize = 10;
/// Says how to skip phases that the source no longer has.
const PRUNE: &str = "`import --update --prune` skips the queued and failed ones";
/// Fewest columns of a wrapped line.
const NARROWEST: usize = 20;

/// Import a backlog: a plan (YAML, JSON, JSONL), another tool's list or database, or issues of a tracker
///
/// The format is recognized by content; `--list-formats` lists all. Items done in the source are imported as
/// complete, and abandoned ones as skipped.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File or directory to import; `-` is standard input; or github:owner/repo, gitlab:group/project, gitea:host/owner/repo, each perhaps with #ISSUE
    #[arg(value_name = "FILE | TRACKER", required_unless_present = "list_formats")]
    file: Option<PathBuf>,
    /// Import all phases into this run; from a database, import only this run
    #[arg(long, value_name = "RUN", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    run_id: Option<String>,
    /// Format of the file [default: recognized by content]
    #[arg(long, value_name = "FORMAT", value_parser = format_names(), hide_possible_values = true)]
    from: Option<String>,
    /// Columns of a CSV file, as in title=Summary,id=Key; implies --from csv
    ///
    /// Fields: title, body, id, status, priority, labels, depends_on, url, criteria, deliverables, parent.
    #[arg(long, value_name = "FIELD=COLUMN", value_delimiter = ',')]
    map: Vec<ColumnChoice>,
    /// List the formats and how they are recognized
    #[arg(long, conflicts_with_all = ["file", "run_id", "from", "map", "update", "break_cycles", "no_subtasks"])]
    list_formats: bool,
    /// Replace the specs of existing phases, except complete and running ones
    #[arg(long)]
    update: bool,
    /// Skip queued and failed phases that the file no longer has
    #[arg(long, requires = "update")]
    prune: bool,
    /// Fold subtasks into their tasks, instead of a phase for each
    #[arg(long)]
    no_subtasks: bool,
    /// Drop dependencies that form a cycle, instead of refusing the file
    #[arg(long)]
    break_cycles: bool,
    /// Print {database, runs}; with --list-formats, a list of {name, files, recognized_by}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    issues: TrackerFilterArgs,
}

fn format_names() -> clap::builder::PossibleValuesParser {
    formats().iter().map(|format| format.name).collect::<Vec<_>>().into()
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let Some(file) = &args.file else {
        return list_formats(args.json, context);
    };
    open_database::migrate_server(context).await?;
    if let Some(tracker) = file.to_str().and_then(tracker_of) {
        return import_issues(tracker?, args, context).await;
    }
    args.issues.refuse(&format!("{} is a file", file.display()))?;
    let url = open_database::url(context)?;
    if let Some(from) = args.from.as_deref().filter(|from| !args.map.is_empty() && *from != CSV) {
        return Err(Failure::new(format!("--map chooses columns of CSV files, not of {from}"))
            .hint("leave out --map, or use --from csv")
            .exit(Exit::Usage));
    }
    let is_stream = file.as_os_str() == STDIN || file.exists() && !file.is_file() && !file.is_dir();
    if args.prune && is_stream {
        return Err(Failure::new(format!(
            "--prune compares with a file, not with {}",
            file.display()
        ))
        .hint("write the list to a file, and import that with `--update --prune`")
        .exit(Exit::Usage));
    }
    let options = ReadOptions {
        run_id: args.run_id.as_ref().map(RunId::new),
        format: args.from.clone().or_else(|| (!args.map.is_empty()).then(|| CSV.to_owned())),
        columns: args.map.clone(),
        workspace: context.workspace().ok(),
        no_subtasks: args.no_subtasks,
        break_cycles: args.break_cycles,
        stored_parts: Vec::new(),
    };
    let mut plan = read(file, &options, args.update, &url).await?;
    let store = open_database::create_store(&url, context).await?;
    let mode = match (args.update, args.prune) {
        (true, true) => ImportMode::UpdateAndPrune,
        (true, false) => ImportMode::Update,
        (false, _) => ImportMode::Add,
    };
    let reports = import_source(&store, &mut plan, mode).await?;
    let runs: Vec<ImportedRun> = plan.runs.iter().zip(&reports).map(ImportedRun::new).collect();
    if reports.iter().all(|report| report.differing == 0)
        && let Err(failure) = record(file, &plan, context).await
    {
        // The plan is imported: only the next `drain FILE` compares more.
        tracing::debug!("cannot record the imported file: {}", failure.text());
    }
    let database = store.name().to_string();
    match args.json {
        true => context.out.json(&serde_json::json!({"database": database, "runs": runs}))?,
        false => context.out.text(&text(&plan, &runs, &database, screen::output_columns()))?,
    }
    store.close().await;
    Ok(Exit::Done)
}

/// Reads the file. Writes nothing: a refused file creates no database.
async fn read(
    file: &Path,
    options: &ReadOptions,
    update: bool,
    url: &DatabaseUrl,
) -> Result<Plan, Failure> {
    let store = match Store::open_existing(url).await {
        Ok(store) => Some(store),
        Err(StoreError::NoDatabase { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let draft = match read_plan(file, options, store.as_ref()).await {
        Ok(draft) => draft,
        Err(failure) => {
            // A source may lose its last phase, which an update then reports.
            let (Some(plan), Some(store), true) = (empty_plan(&failure), &store, update) else {
                return Err(failure);
            };
            let known = store.run_ids_by_use().await?;
            let parts = store.source_parts().await?;
            let is_known = |run: &PlanRun| {
                known.contains(&run.run_id) || parts.iter().any(|part| part.origin == run.origin)
            };
            return if plan.runs.iter().any(is_known) { Ok(plan) } else { Err(failure) };
        }
    };
    warn_of(&draft.warnings);
    let existing = match &store {
        Some(store) => known_phases(store, &draft).await?,
        None => Existing::default(),
    };
    resolve(draft, &existing)
}

fn list_formats(json: bool, context: &Context) -> Result<Exit, Failure> {
    let formats = formats();
    if json {
        context.out.json(&formats)?;
        return Ok(Exit::Done);
    }
    let text: String = formats
        .iter()
        .map(|format| {
            let FormatEntry { name, files, recognized_by } = format;
            format!("{name}\n    {files}\n    recognized by {recognized_by}\n")
        })
        .collect();
    context.out.text(&text)?;
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
    let of_files = [
        (args.prune, "--prune"),
        (args.no_subtasks, "--no-subtasks"),
        (args.from.is_some(), "--from"),
        (!args.map.is_empty(), "--map"),
    ];
    if let Some((_, option)) = of_files.iter().find(|(is_given, _)| *is_given) {
        return Err(Failure::new(format!("{option} is for files, and {tracker} is a tracker"))
            .hint("leave it out; `autopack sync` follows closed and removed issues")
            .exit(Exit::Usage));
    }
    let run_id = args.run_id.map(RunId::new);
    let request = TrackerImport {
        tracker,
        filter,
        run_id,
        update: args.update,
        break_cycles: args.break_cycles,
    };
    let imported = request.run(context).await?;
    let database = imported.store.name().to_string();
    let runs = [imported.run()];
    match args.json {
        true => {
            let left_out = imported.left_out;
            let value =
                serde_json::json!({"database": database, "runs": runs, "left_out": left_out});
            context.out.json(&value)?;
        }
        false => {
            context.out.text(&text(&imported.plan, &runs, &database, screen::output_columns()))?
        }
    }
    imported.store.close().await;
    Ok(Exit::Done)
}

/// Records the content of the file, for `drain FILE`. Outside of `.autopack/` nothing is written.
async fn record(file: &Path, plan: &Plan, context: &Context) -> Result<(), Failure> {
    if file.is_file() || file.is_dir() {
        let repo = Repo::discover(&context.workspace()?).await?;
        repo.prepare_directory()?;
        let runs: Vec<RunId> = plan.runs.iter().map(|run| run.run_id.clone()).collect();
        plan_import::remember(&repo, &runs, &plan_import::digest_of(file)?)?;
    }
    Ok(())
}

fn text(plan: &Plan, runs: &[ImportedRun], database: &str, columns: Option<usize>) -> String {
    let mut text = String::new();
    for (run, source) in runs.iter().zip(&plan.runs) {
        text += &wrapped("", &run.line(), columns);
        let lines = run.summary_line().into_iter().chain(run.removed_line(&source.source, PRUNE));
        for line in lines.chain(run.shown_notes.iter().take(NOTES).cloned()) {
            text += &wrapped("  ", &shown_message(&line), columns);
        }
        if let Some(more) = run.shown_notes.len().checked_sub(NOTES).filter(|more| *more > 0) {
            text += &format!("  ... and {more} more notes; see `autopack phases show`\n");
        }
    }
    let phases: usize = plan.runs.iter().map(|run| run.phases.len()).sum();
    let (phases, runs) = (counted(phases as u64, "phase"), counted(runs.len() as u64, "run"));
    text + &format!("{phases} of {runs} in {database}\n")
}

/// Indents a line. On a terminal, wraps it between words.
fn wrapped(indent: &str, line: &str, columns: Option<usize>) -> String {
    let Some(columns) = columns else { return format!("{indent}{line}\n") };
    let room = columns.saturating_sub(indent.len() + 2).max(NARROWEST);
    let parts = wrap(line, room);
    format!("{indent}{}\n", parts.join(&format!("\n{indent}  ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wrapped_on_a_terminal_only() {
        let line = "2 phases no longer in plan.json: first-phase, second-phase";
        assert_eq!(wrapped("  ", line, None), format!("  {line}\n"));
        let shown = wrapped("  ", line, Some(40));
        assert_eq!(shown, "  2 phases no longer in plan.json:\n    first-phase, second-phase\n");
    }
}
