//! `diff`: shows the change of a phase, landed or kept.

use std::io::{IsTerminal, stdout};
use std::path::PathBuf;

use console::Style;
use serde_json::json;

use super::attempt_choice::{AttemptArg, AttemptChoice};
use super::attempt_setup::open_repository;
use super::{Context, paged_output};
use crate::attempt::{AttemptDirectory, AttemptFiles};
use crate::failure::{Exit, Failure, WithHint};
use crate::phase::AttemptOutcome;
use crate::progress::{screen, shown_id, without_escapes};
use crate::workspace::{ChangeForm, ChangedFile, Repo};

/// Name of the kept patch.
const PATCH: &str = AttemptDirectory::PATCH;
/// Width of `--stat` in a pipe.
const COLUMNS: usize = 80;

/// Show the change of a phase: the landed commit, or the kept patch of its last attempt
///
/// In a pipe, the output is a patch for `git apply`. On a terminal, the output goes through $PAGER, or `less`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    attempt: AttemptArg,
    /// Show the number of changed lines for each file
    #[arg(long, conflicts_with = "json")]
    stat: bool,
    /// Do not use a pager
    #[arg(long)]
    no_pager: bool,
    /// Print a JSON object: commit or patch, and the changed files
    #[arg(long)]
    json: bool,
}

/// Place of a change.
enum Change {
    Commit(String),
    Patch(PathBuf, AttemptFiles),
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let choice = args.attempt.open(context).await?;
    let repo = open_repository(context).await?;
    let change = find(&choice, context).await;
    choice.close().await;
    let change = change?;
    if args.json {
        context.out.json(&describe(&choice, &change, &repo).await?)?;
        return Ok(Exit::Done);
    }
    let text = change.text(&choice, &repo, args.stat).await?;
    if !stdout().is_terminal() {
        context.out.bytes(&text)?;
        return Ok(Exit::Done);
    }
    let heading = change.heading(&choice);
    let text = format!("{heading}\n\n{}", colored(&String::from_utf8_lossy(&text)));
    match args.no_pager {
        true => context.out.text(&text)?,
        false => paged_output::show(text.as_bytes(), context).await?,
    }
    Ok(Exit::Done)
}

/// Finds the change: the commit of a landing, else the kept patch.
async fn find(choice: &AttemptChoice, context: &Context) -> Result<Change, Failure> {
    let (row, attempt) = (&choice.row, &choice.attempt);
    if let (Some(commit), false) = (&row.commit, choice.is_named) {
        return Ok(Change::Commit(commit.clone()));
    }
    if let (Some(commit), Some(AttemptOutcome::Landed)) = (&attempt.landing_commit, attempt.outcome)
    {
        return Ok(Change::Commit(commit.clone()));
    }
    let files = match choice.files(context, Some(PATCH)).await {
        Err(_) if attempt.ended_at.is_none() && choice.was_here(context)? => {
            return Err(explain_none(choice));
        }
        found => found?,
    };
    let patch = AttemptDirectory::at(files.path.clone()).patch();
    if !patch.is_file() {
        return Err(explain_none(choice));
    }
    if let [(_, missing)] = files.cut.as_slice() {
        tracing::warn!(
            "the patch lacks {missing} bytes in its middle, so git does not apply it; the whole patch is in {}",
            choice.directory_there()
        );
    }
    Ok(Change::Patch(patch, files))
}

fn explain_none(choice: &AttemptChoice) -> Failure {
    let (name, phase) = (choice.name(), choice.phase());
    match choice.attempt.outcome {
        None => Failure::new(format!("{name} is still running; its change is kept at its end"))
            .hint(format!("`autopack open --slot {phase}` prints its working copy")),
        Some(outcome) => {
            Failure::new(format!("{name} left no change; it ended as {}", outcome.as_str()))
                .hint(format!("`autopack log {phase}` shows what it did"))
        }
    }
}

async fn describe(
    choice: &AttemptChoice,
    change: &Change,
    repo: &Repo,
) -> Result<serde_json::Value, Failure> {
    let files = change.files(choice, repo).await?;
    let file = |file: ChangedFile| json!({"path": file.path, "added": file.added, "removed": file.removed});
    let (commit, patch) = match change {
        Change::Commit(commit) => (Some(commit), None),
        Change::Patch(patch, files) => match choice.shown_directory(files) {
            None => (None, Some(patch.display().to_string())),
            Some(shown) => (None, Some(format!("{shown}/{PATCH}"))),
        },
    };
    Ok(json!({
        "run_id": choice.row.run_id,
        "phase_id": choice.row.phase_id,
        "attempt": choice.attempt.attempt,
        "commit": commit,
        "patch": patch,
        "files": files.into_iter().map(file).collect::<Vec<_>>(),
    }))
}

impl Change {
    fn heading(&self, choice: &AttemptChoice) -> String {
        let phase = shown_id(&format!("{}/{}", choice.row.run_id, choice.row.phase_id));
        match self {
            Self::Commit(commit) => format!("{phase} landed as {commit}"),
            Self::Patch(..) => {
                format!("{phase} did not land; attempt {} changed:", choice.attempt.attempt)
            }
        }
    }

    async fn text(
        &self,
        choice: &AttemptChoice,
        repo: &Repo,
        is_stat: bool,
    ) -> Result<Vec<u8>, Failure> {
        let columns = screen::output_columns().unwrap_or(COLUMNS);
        match (self, is_stat) {
            (Self::Commit(commit), true) => repo
                .change_of_commit(commit, ChangeForm::Stat { columns })
                .await
                .or_hint(gone(choice, repo)),
            (Self::Commit(commit), false) => {
                repo.change_of_commit(commit, ChangeForm::Patch).await.or_hint(gone(choice, repo))
            }
            (Self::Patch(patch, _), true) => Ok(repo.stat_of_patch(patch).await?),
            (Self::Patch(patch, _), false) => std::fs::read(patch).map_err(|error| {
                Failure::new(format!("cannot read the patch {}: {error}", patch.display()))
            }),
        }
    }

    async fn files(
        &self,
        choice: &AttemptChoice,
        repo: &Repo,
    ) -> Result<Vec<ChangedFile>, Failure> {
        match self {
            Self::Commit(commit) => repo.files_of_commit(commit).await.or_hint(gone(choice, repo)),
            Self::Patch(patch, _) => Ok(repo.files_of_patch(patch).await?),
        }
    }
}

/// Hint for a commit that the repository does not have.
fn gone(choice: &AttemptChoice, repo: &Repo) -> String {
    if let Some(remote) = repo.run_remote() {
        let run = &choice.row.run_id;
        return format!(
            "`git fetch {} autopack/{run}` brings the landings of other machines",
            remote
        );
    }
    format!("`autopack phases retry --redo {}` does the work again", choice.phase())
}

/// Colors a patch as git does. The content is by others: escape sequences are removed.
fn colored(text: &str) -> String {
    let look = |line: &str| match line {
        _ if line.starts_with("@@") => Style::new().cyan(),
        _ if ["diff ", "index ", "--- ", "+++ "].iter().any(|start| line.starts_with(start)) => {
            Style::new().bold()
        }
        _ if line.starts_with('+') => Style::new().green(),
        _ if line.starts_with('-') => Style::new().red(),
        _ => Style::new(),
    };
    let clean = without_escapes(text);
    clean.lines().map(|line| format!("{}\n", look(line).apply_to(line))).collect()
}
