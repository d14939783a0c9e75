//! `phases retry`, `skip` and `accept`: operator actions on the state of phases.

use crate::cli::run_choice::{PhasesArg, RunUse, choose_phases, choose_run, find_run};
use crate::cli::{Context, open_database};
use crate::failure::{Exit, Failure};
use crate::phase::{PhaseId, RunId};
use crate::progress::shown_id;
use crate::store::{ChangedPhase, PhaseSelector, Store};

/// Phases of a run.
#[derive(Debug, clap::Args)]
struct Selection {
    #[command(flatten)]
    named: PhaseSelection,
    /// Run of the phases [default: the only run]
    #[arg(long, value_name = "RUN")]
    run_id: Option<String>,
}

/// Phases by id, or all failed phases of a run. At least one option is required.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct PhaseSelection {
    /// Phase ids, as in `phases list`, or RUN/PHASE; with --failed, the run
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
    phases: PhasesArg,
}

pub(super) async fn retry(args: RetryArgs, context: &Context) -> Result<(), Failure> {
    let (store, run, ids) = args.selection.open(context).await?;
    let moved = store.operator().retry(&run, args.selection.which(&ids), args.redo).await?;
    store.close().await;
    print_transitions(&run, &moved, context)
}

pub(super) async fn skip(args: SkipArgs, context: &Context) -> Result<(), Failure> {
    let (store, run, ids) = args.selection.open(context).await?;
    let moved = store.operator().skip(&run, args.selection.which(&ids)).await?;
    store.close().await;
    print_transitions(&run, &moved, context)
}

pub(super) async fn accept(args: AcceptArgs, context: &Context) -> Result<(), Failure> {
    let (store, run, ids) = args.phases.open(context, RunUse::Act).await?;
    let accepted = store.operator().accept(&run, &ids).await?;
    store.close().await;
    for ChangedPhase { phase_id, to, .. } in accepted {
        context.out.line(format_args!("{}: {to}, accepted", shown_id(phase_id.as_str())))?;
    }
    Ok(())
}

impl Selection {
    async fn open(&self, context: &Context) -> Result<(Store, RunId, Vec<PhaseId>), Failure> {
        let store = open_database::open_existing(context).await?;
        let run = self.run_id.as_deref();
        if !self.named.failed {
            let (run, ids) =
                choose_phases(&store, context, run, &self.named.phases, RunUse::Act).await?;
            return Ok((store, run, ids));
        }
        let run = match self.named.phases.as_slice() {
            [] => choose_run(&store, context, run, RunUse::Act).await?,
            [name] if run.is_none_or(|run| run == name) => find_run(&store, name).await?,
            _ => {
                return Err(Failure::new("--failed takes at most one name, the run")
                    .hint("name either phases, or a run with --failed")
                    .exit(Exit::Usage));
            }
        };
        Ok((store, run, Vec::new()))
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
        let name = shown_id(phase_id.as_str());
        context.out.line(match from == to {
            true => format!("{name}: {to}, no longer held"),
            false => format!("{name}: {from} -> {to}"),
        })?;
    }
    Ok(())
}
