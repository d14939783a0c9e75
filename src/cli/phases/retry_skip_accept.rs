//! `phases retry`, `skip` and `accept`: operator actions on the state of phases.

use super::{RunArg, ids};
use crate::cli::Context;
use crate::failure::Failure;
use crate::phase::{PhaseId, RunId};
use crate::progress::shown_id;
use crate::store::{ChangedPhase, PhaseSelector};

/// Phases of a run.
#[derive(Debug, clap::Args)]
struct Selection {
    #[command(flatten)]
    run: RunArg,
    #[command(flatten)]
    named: PhaseSelection,
}

/// Phases by id, or all failed phases. Exactly one option is required.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct PhaseSelection {
    /// Phase ids, as in `phases list`
    #[arg(value_name = "PHASE")]
    phases: Vec<String>,
    /// All failed phases
    #[arg(long)]
    failed: bool,
}

/// Queue phases again with all attempts; history is kept
#[derive(Debug, clap::Args)]
pub(super) struct RetryArgs {
    #[command(flatten)]
    selection: Selection,
    /// Also complete phases, after their commit was reverted
    #[arg(long)]
    redo: bool,
}

/// Skip phases; phases that depend on them may run
#[derive(Debug, clap::Args)]
pub(super) struct SkipArgs {
    #[command(flatten)]
    selection: Selection,
}

/// Confirm complete or skipped phases that have no evidence
#[derive(Debug, clap::Args)]
pub(super) struct AcceptArgs {
    #[command(flatten)]
    run: RunArg,
    /// Phase ids, as in `phases list`
    #[arg(value_name = "PHASE", required = true)]
    phases: Vec<String>,
}

pub(super) async fn retry(args: RetryArgs, context: &Context) -> Result<(), Failure> {
    let (store, run) = args.selection.run.open(context).await?;
    let ids = args.selection.ids();
    let moved = store.operator().retry(&run, args.selection.which(&ids), args.redo).await?;
    store.close().await;
    print_transitions(&run, &moved, context)
}

pub(super) async fn skip(args: SkipArgs, context: &Context) -> Result<(), Failure> {
    let (store, run) = args.selection.run.open(context).await?;
    let ids = args.selection.ids();
    let moved = store.operator().skip(&run, args.selection.which(&ids)).await?;
    store.close().await;
    print_transitions(&run, &moved, context)
}

pub(super) async fn accept(args: AcceptArgs, context: &Context) -> Result<(), Failure> {
    let (store, run) = args.run.open(context).await?;
    let accepted = store.operator().accept(&run, &ids(&args.phases)).await?;
    store.close().await;
    for ChangedPhase { phase_id, to, .. } in accepted {
        context.out.line(format_args!("{}: {to}, accepted", shown_id(phase_id.as_str())))?;
    }
    Ok(())
}

impl Selection {
    fn ids(&self) -> Vec<PhaseId> {
        ids(&self.named.phases)
    }

    fn which<'a>(&self, ids: &'a [PhaseId]) -> PhaseSelector<'a> {
        if self.named.failed { PhaseSelector::Failed } else { PhaseSelector::Ids(ids) }
    }
}

fn print_transitions(
    run: &RunId,
    moved: &[ChangedPhase],
    context: &Context,
) -> Result<(), Failure> {
    if moved.is_empty() {
        return context
            .out
            .line(format_args!("run {} has no failed phases", shown_id(run.as_str())));
    }
    for ChangedPhase { phase_id, from, to } in moved {
        context.out.line(format_args!("{}: {from} -> {to}", shown_id(phase_id.as_str())))?;
    }
    Ok(())
}
