//! `open`: finds the files of an attempt.

use std::path::PathBuf;

use serde_json::json;

use super::Context;
use super::attempt_choice::{AttemptArg, AttemptChoice};
use super::attempt_setup::open_repository;
use crate::attempt::FilesPlace;
use crate::failure::{Exit, Failure};
use crate::process::editor;
use crate::workspace::Repo;

/// Print the directory of a phase's last attempt, or open it in your editor
///
/// The directory has the prompt, the logs and the kept patch.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    attempt: AttemptArg,
    /// The agent's working copy, if no other attempt has used it since
    #[arg(long)]
    slot: bool,
    /// Open the directory in $VISUAL or $EDITOR
    #[arg(long, conflicts_with = "json")]
    editor: bool,
    /// Print a JSON object: directory, slot
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let choice = args.attempt.open(context).await?;
    let repo = open_repository(context).await?;
    let slot = match choice.was_here(context)? || choice.runs_here(&repo).await? {
        true => slot_of(&choice, &repo).await?,
        // A slot of this clone with the same number is another one.
        false => None,
    };
    let files = match args.slot && !args.json {
        true => None,
        false => Some(choice.files(context, None).await),
    };
    choice.close().await;
    let files = files.transpose();
    let directory = match &files {
        Ok(Some(files)) if files.place != FilesPlace::Database => Some(files.path.clone()),
        _ => None,
    };
    if args.json {
        context.out.json(&json!({
            "run_id": choice.row.run_id,
            "phase_id": choice.row.phase_id,
            "attempt": choice.attempt.attempt,
            "directory": directory,
            "slot": slot,
        }))?;
        return Ok(Exit::Done);
    }
    let path = match (args.slot, slot, directory) {
        (true, None, _) => return Err(explain_reused(&choice)),
        (true, Some(slot), _) => slot,
        (false, _, Some(directory)) => directory,
        (false, _, None) => {
            files?;
            return Err(explain_elsewhere(&choice));
        }
    };
    match args.editor {
        true => editor::open(&context.env.editor(), &path).await?,
        false => context.out.line(path.display())?,
    }
    Ok(Exit::Done)
}

/// Returns the agent's checkout, if the attempt was the last to use its slot.
async fn slot_of(choice: &AttemptChoice, repo: &Repo) -> Result<Option<PathBuf>, Failure> {
    let Some(slot) = choice.slot(repo)?.filter(|slot| slot.path.is_dir()) else { return Ok(None) };
    for run in choice.store.runs().await? {
        let is_here = run.facts.as_ref().is_some_and(|facts| facts.repo == repo.identity());
        if !is_here {
            continue;
        }
        let mut attempts = choice.store.attempts_of(&run.run_id).await?.into_values().flatten();
        let (own, number) = (&choice.attempt, slot.number.to_string());
        if attempts.any(|row| row.slot == Some(number.clone()) && row.started_at > own.started_at) {
            return Ok(None);
        }
    }
    Ok(Some(slot.path))
}

fn explain_elsewhere(choice: &AttemptChoice) -> Failure {
    Failure::new(format!(
        "the directory of {} is on another machine: {}",
        choice.name(),
        choice.directory_there()
    ))
    .hint(format!("`autopack log --all {}` shows its files", choice.phase()))
}

fn explain_reused(choice: &AttemptChoice) -> Failure {
    Failure::new(format!("no slot has the files of {} any more", choice.name())).hint(format!(
        "`autopack diff {phase}` shows its change; `autopack shell {phase}` rebuilds it",
        phase = choice.phase()
    ))
}
