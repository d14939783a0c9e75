//! `phases retry`, `skip` and `accept`: the operator moves phases, or vouches for where they are.

use super::{RunArg, ids};
use crate::cli::Context;
use crate::failure::Failure;
use crate::phase::{PhaseId, RunId};
use crate::progress::shown_id;
use crate::store::{Steered, Which};

/// Phases of a run.
#[derive(Debug, clap::Args)]
struct Selection {
    #[command(flatten)]
    run: RunArg,
    #[command(flatten)]
    named: Named,
}

/// Which phases; one way of naming them is needed.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Named {
    /// Their ids, as `phases list` shows them
    #[arg(value_name = "PHASE")]
    phases: Vec<String>,
    /// All that are FAILED
    #[arg(long)]
    failed: bool,
}

/// Queue phases again with fresh tries; their history stays
#[derive(Debug, clap::Args)]
pub(super) struct RetryArgs {
    #[command(flatten)]
    selection: Selection,
    /// COMPLETE phases too, after their commit was reverted
    #[arg(long)]
    redo: bool,
}

/// Leave phases out; those that depend on them may run
#[derive(Debug, clap::Args)]
pub(super) struct SkipArgs {
    #[command(flatten)]
    selection: Selection,
}

/// Vouch for phases that are COMPLETE or SKIPPED although no attempt made them so
#[derive(Debug, clap::Args)]
pub(super) struct AcceptArgs {
    #[command(flatten)]
    run: RunArg,
    /// Their ids, as `phases list` shows them
    #[arg(value_name = "PHASE", required = true)]
    phases: Vec<String>,
}

pub(super) async fn retry(args: RetryArgs, context: &Context) -> Result<(), Failure> {
    let (store, run) = args.selection.run.open(context).await?;
    let ids = args.selection.ids();
    let moved = store.retry(&run, args.selection.which(&ids), args.redo).await?;
    store.close().await;
    say(&run, &moved, context)
}

pub(super) async fn skip(args: SkipArgs, context: &Context) -> Result<(), Failure> {
    let (store, run) = args.selection.run.open(context).await?;
    let ids = args.selection.ids();
    let moved = store.skip(&run, args.selection.which(&ids)).await?;
    store.close().await;
    say(&run, &moved, context)
}

pub(super) async fn accept(args: AcceptArgs, context: &Context) -> Result<(), Failure> {
    let (store, run) = args.run.open(context).await?;
    let accepted = store.accept(&run, &ids(&args.phases)).await?;
    store.close().await;
    for Steered { phase_id, to, .. } in accepted {
        context.out.line(format_args!("{}: {to}, accepted", shown_id(phase_id.as_str())))?;
    }
    Ok(())
}

impl Selection {
    fn ids(&self) -> Vec<PhaseId> {
        ids(&self.named.phases)
    }

    fn which<'a>(&self, ids: &'a [PhaseId]) -> Which<'a> {
        if self.named.failed { Which::Failed } else { Which::Ids(ids) }
    }
}

fn say(run: &RunId, moved: &[Steered], context: &Context) -> Result<(), Failure> {
    if moved.is_empty() {
        return context
            .out
            .line(format_args!("run {} has no phase that is FAILED", shown_id(run.as_str())));
    }
    for Steered { phase_id, from, to } in moved {
        context.out.line(format_args!("{}: {from} -> {to}", shown_id(phase_id.as_str())))?;
    }
    Ok(())
}
