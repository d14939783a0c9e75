//! `phases edit`: another spec for a phase, out of an editor or a file.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::RunArg;
use crate::cli::Context;
use crate::cli::autofix_limits::fixer;
use crate::failure::{Failure, OrHint};
use crate::import::{self, Existing};
use crate::phase::plan::PlanPhase;
use crate::phase::words::quoted;
use crate::phase::{PhaseId, PhaseState, RunId};
use crate::process::editor;
use crate::progress::shown_id;
use crate::store::{PhaseDetail, Store};

/// Edit a phase's spec in $EDITOR, or replace it by a file's
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    run: RunArg,
    /// Its id, as `phases list` shows it
    #[arg(value_name = "PHASE")]
    phase: String,
    /// Take the spec (JSON or YAML) from here; `-` is standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let (store, run) = args.run.open(context).await?;
    let id = PhaseId::new(&args.phase);
    let detail = store.phase(&run, &id).await?;
    refuse_by_state(&detail)?;
    match &args.file {
        Some(file) => {
            let phase = read(file, &run, &id, &store).await?;
            replace(&store, &run, phase, context).await?;
        }
        None => edit(&store, &run, &detail, context).await?,
    }
    store.close().await;
    Ok(())
}

/// Before the editor opens, not after.
fn refuse_by_state(detail: &PhaseDetail) -> Result<(), Failure> {
    let row = &detail.row;
    match row.state {
        PhaseState::Complete => {
            Err(Failure::new(format!("phase {} is COMPLETE and cannot be edited", row.phase_id))
                .hint("`phases retry --redo` queues it again"))
        }
        PhaseState::Executing => {
            Err(Failure::new(format!("phase {} is EXECUTING and cannot be edited", row.phase_id))
                .hint("`autopack stop` ends the drain"))
        }
        PhaseState::Queued | PhaseState::Failed | PhaseState::Skipped => Ok(()),
    }
}

/// What is refused stays in its file, so that nobody types it twice.
async fn edit(
    store: &Store,
    run: &RunId,
    detail: &PhaseDetail,
    context: &Context,
) -> Result<(), Failure> {
    let before = format!("{:#}\n", detail.row.spec.0);
    let prefix = format!("autopack-{}-", detail.row.phase_id.file_name());
    let mut builder = tempfile::Builder::new();
    let file =
        builder.prefix(&prefix).suffix(".json").tempfile().context("cannot make a file to edit")?;
    fs::write(file.path(), &before).context("cannot write the file to edit")?;
    editor::open(&context.env.editor(), file.path()).await?;
    let after = fs::read_to_string(file.path()).context("cannot read the edited file")?;
    if after == before {
        return context
            .out
            .line(format_args!("{}: nothing was changed", shown_id(detail.row.phase_id.as_str())));
    }
    let edited = match read(file.path(), run, &detail.row.phase_id, store).await {
        Ok(phase) => replace(store, run, phase, context).await,
        Err(error) => Err(error),
    };
    match edited {
        Ok(()) => Ok(()),
        Err(error) => {
            let kept = file.keep().map(|(_, path)| path).context("cannot keep what was edited")?;
            let again = format!(
                "what you wrote is kept: mend it and give it with --file {}",
                quoted(&kept.to_string_lossy())
            );
            Err(error).or_hint(again)
        }
    }
}

/// One phase, by the same reader as a plan's.
async fn read(file: &Path, run: &RunId, id: &PhaseId, store: &Store) -> Result<PlanPhase, Failure> {
    let draft = import::read(file, Some(run)).await?;
    let mut existing = Existing::default();
    let phases = store.phases(run, None).await?;
    existing.runs.insert(
        run.clone(),
        phases.into_iter().map(|row| (row.phase_id, row.depends_on)).collect(),
    );
    let plan = draft.resolve(&existing)?;
    let mut phases: Vec<PlanPhase> = plan.runs.into_iter().flat_map(|run| run.phases).collect();
    let (Some(phase), true) = (phases.pop(), phases.is_empty()) else {
        return Err(Failure::new(format!("{} holds several phases; expected one", file.display())));
    };
    if phase.phase_id != *id {
        let found = &phase.phase_id;
        return Err(Failure::new(format!("the spec is about phase {found}; expected {id}"))
            .hint("a phase keeps its id; leave `phase_id` as it was"));
    }
    Ok(phase)
}

async fn replace(
    store: &Store,
    run: &RunId,
    phase: PlanPhase,
    context: &Context,
) -> Result<(), Failure> {
    let fix = fixer(&context.config()?.settings, &context.workspace()?);
    if let Err(why) = fix(&phase.spec, None).result {
        return Err(Failure::new(format!("phase {} could not be executed: {why}", phase.phase_id)));
    }
    store.edit(run, &phase).await?;
    context.out.line(format_args!("{}: has its new spec", shown_id(phase.phase_id.as_str())))
}
