//! `phases edit`: replaces the spec of a phase from an editor or a file.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::spec_input::{refuse_by_state, refuse_unfixable, resolve, single_phase};
use crate::cli::Context;
use crate::cli::run_choice::{PhaseArg, RunUse};
use crate::failure::{Failure, WithHint};
use crate::import::{self, ReadOptions};
use crate::phase::plan::PlanPhase;
use crate::phase::words::quoted;
use crate::phase::{PhaseId, RunId};
use crate::process::editor;
use crate::progress::shown_id;
use crate::store::{PhaseDetail, Store};

/// Edit the spec of a phase in $EDITOR, or replace the spec from a file
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    phase: PhaseArg,
    /// Read the spec (JSON or YAML) from this file; `-` is standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let (store, run, id) = args.phase.open(context, RunUse::Act).await?;
    let detail = store.phase(&run, &id).await?;
    // Checked before the editor opens.
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

/// Opens the spec in an editor and stores the result. A refused spec is kept in the file.
async fn edit(
    store: &Store,
    run: &RunId,
    detail: &PhaseDetail,
    context: &Context,
) -> Result<(), Failure> {
    let before = format!("{:#}\n", detail.row.spec.0);
    let prefix = format!("autopack-{}-", detail.row.phase_id.file_name());
    let mut builder = tempfile::Builder::new();
    let file = builder
        .prefix(&prefix)
        .suffix(".json")
        .tempfile()
        .context("cannot create a file to edit")?;
    fs::write(file.path(), &before).context("cannot write the file to edit")?;
    editor::open(&context.env.editor(), file.path()).await?;
    let after = fs::read_to_string(file.path()).context("cannot read the edited file")?;
    if after == before {
        return context
            .out
            .line(format_args!("{}: unchanged", shown_id(detail.row.phase_id.as_str())));
    }
    let edited = match read(file.path(), run, &detail.row.phase_id, store).await {
        Ok(phase) => replace(store, run, phase, context).await,
        Err(error) => Err(error),
    };
    match edited {
        Ok(()) => Ok(()),
        Err(error) => {
            let kept = file.keep().map(|(_, path)| path).context("cannot keep the edited file")?;
            let again = format!(
                "your edit is kept: correct the file and pass it with --file {}",
                quoted(&kept.to_string_lossy())
            );
            Err(error).or_hint(again)
        }
    }
}

/// Reads a phase with the same parser as plans.
async fn read(file: &Path, run: &RunId, id: &PhaseId, store: &Store) -> Result<PlanPhase, Failure> {
    let named = format!("the spec needs `phase_id: {}`", shown_id(id.as_str()));
    let draft = import::read(file, &ReadOptions::of_plan(run)).await.or_hint(named.clone())?;
    let Some(phase) = single_phase(resolve(draft, run, store).await.or_hint(named)?) else {
        return Err(Failure::new(format!(
            "{} contains several phases; expected a single phase",
            file.display()
        )));
    };
    if phase.phase_id != *id {
        let found = &phase.phase_id;
        return Err(Failure::new(format!("the spec has phase_id {found}; expected {id}"))
            .hint("phase ids cannot change; restore `phase_id`"));
    }
    Ok(phase)
}

async fn replace(
    store: &Store,
    run: &RunId,
    phase: PlanPhase,
    context: &Context,
) -> Result<(), Failure> {
    refuse_unfixable(&phase, context)?;
    store.operator().edit(run, &phase).await?;
    context.out.line(format_args!("{}: spec replaced", shown_id(phase.phase_id.as_str())))
}
