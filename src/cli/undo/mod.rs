//! `undo`: takes a landed phase back from the run's branch.

mod undo_refusals;

use serde_json::json;

use undo_refusals::Names;

use super::attempt_setup::open_repository;
use super::branch_change_setup::{RegisteredChange, explain_busy};
use super::run_choice::{PhaseArg, RunUse};
use super::{Context, open_database};
use crate::attempt::{DrainContext, UndoEnd};
use crate::drain::{UndoResult, undo};
use crate::failure::{Exit, Failure};
use crate::phase::PhaseState;
use crate::phase::words::{quoted, short_commit};
use crate::progress::shown_id;
use crate::store::{UndoRequest, UndoneLanding};

/// Undo a landed phase with a tested revert commit
///
/// Reverts the phase's commit on the run's branch, runs CI on the result as for a landing, and queues the phase again.
/// Nothing changes if CI is red, if later landings changed the same places, if complete phases depend on the phase, or
/// while a drain of the run is running. Your own branches keep the landing until you merge the run again.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    phase: PhaseArg,

    /// Also undo the complete phases that depend on it, in the same commit
    #[arg(long)]
    with_dependents: bool,

    /// Skip the undone phases instead of queuing them again
    #[arg(long)]
    skip: bool,

    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let (store, run, phase) = args.phase.open(context, RunUse::Act).await?;
    let summary = store.run(&run).await?;
    let repo = open_repository(context).await?;
    open_database::check_repository(&run, summary.facts.as_ref(), &repo, "undo it there")?;
    let change = RegisteredChange::register(context, &store, repo, &run, args.json).await?;
    let RegisteredChange { drain_context, registered, signals, stop } = &change;
    let next = if args.skip { PhaseState::Skipped } else { PhaseState::Queued };
    let with_dependents = args.with_dependents;
    let request = UndoRequest { run: &run, phase: &phase, with_dependents, next };
    let undone = match undo(drain_context, registered, request, stop).await {
        Ok(undone) => undone,
        Err(error) => return Err(drain_context.with_last_landing(error).await.into()),
    };
    let names = Names { run: &run, phase: &phase };
    let (landings, end) = match undone {
        UndoResult::Ended { landings, end } => (landings, end),
        UndoResult::Busy(owners) => return Err(explain_busy(&run, &owners)),
        UndoResult::Refused(refusal) => return Err(names.explain_refusal(refusal)),
    };
    let commit = match end {
        UndoEnd::Landed { commit } => commit,
        UndoEnd::Stopped => return Ok(signals.exit()),
        end => return Err(names.explain_end(end)),
    };
    let branch = summary.facts.map(|facts| facts.branch).unwrap_or_default();
    let shown = ShownUndo { names, landings: &landings, commit: &commit, branch: &branch, next };
    match args.json {
        true => shown.print_json(context)?,
        false => shown.print(context, drain_context).await?,
    }
    store.close().await;
    Ok(Exit::Done)
}

/// Facts to show of an undo.
struct ShownUndo<'a> {
    names: Names<'a>,
    landings: &'a [UndoneLanding],
    commit: &'a str,
    branch: &'a str,
    next: PhaseState,
}

impl ShownUndo<'_> {
    async fn print(&self, context: &Context, drain_context: &DrainContext) -> Result<(), Failure> {
        for landing in self.landings {
            let phase = shown_id(landing.phase_id.as_str());
            let commit = landing.commit.as_deref().map_or("no commit", short_commit);
            let next = self.next;
            context.out.line(format_args!("{phase}: undid {commit}, now {next}"))?;
        }
        let (branch, commit) = (self.branch, short_commit(self.commit));
        context.out.line(format_args!("  revert {commit} on {branch}"))?;
        let landed = self.landings.iter().find_map(|landing| landing.commit.as_deref());
        if let Some(landed) = landed
            && drain_context.repo.contains("HEAD", landed).await?
        {
            let run = quoted(self.names.run.as_str());
            context.out.line(format_args!("  your branch has it, too: autopack merge {run}"))?;
        }
        Ok(())
    }

    fn print_json(&self, context: &Context) -> Result<(), Failure> {
        let phases = self.landings.iter().map(|landing| {
            json!({
                "phase_id": landing.phase_id,
                "attempt": landing.attempt,
                "reverted_commit": landing.commit,
                "state": self.next,
            })
        });
        context.out.json(&json!({
            "run_id": self.names.run,
            "phase_id": self.names.phase,
            "outcome": "undone",
            "commit": self.commit,
            "branch": self.branch,
            "phases": phases.collect::<Vec<_>>(),
        }))
    }
}
