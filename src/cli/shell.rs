//! `shell`: runs a command where CI runs, to find out why CI fails there.

use std::ffi::OsString;

use super::attempt_setup::{build_drain_context, choose_views, open_repository};
use super::run_choice::{RunUse, choose_phase};
use super::{Context, open_database};
use crate::attempt::{DrainContext, KeptWork, ShellPlace};
use crate::failure::{Exit, Failure};
use crate::phase::{PhaseId, RunId};
use crate::process::StopReceiver;
use crate::progress::{Mode, NOTES};

/// Run a shell, or a command, where CI runs: the same files, environment and sandbox
///
/// The directory is a clean clone, removed afterwards. Setup or the installs of the project run first.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Phase, or RUN/PHASE, whose kept work is applied on top of its run's branch
    #[arg(value_name = "PHASE", required_unless_present = "fresh")]
    phase: Option<String>,

    /// The commit at which a new run would start, without any phase's work
    #[arg(long, conflicts_with = "phase")]
    fresh: bool,

    /// Run of the phase [default: the run used last]
    #[arg(long, value_name = "RUN")]
    run_id: Option<String>,

    /// Command to run [default: $SHELL]
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let repo = open_repository(context).await?;
    let store = open_database::open_existing(context).await?;
    let views = choose_views(context, &repo, &store).await?;
    repo.prepare_directory()?;
    let drain_context = build_drain_context(context, repo, store.clone(), Mode::Lines, views)?;
    let start = match &args.phase {
        None => Start { commit: new_runs_commit(&drain_context).await?, ..Start::default() },
        Some(phase) => {
            let named = args.run_id.as_deref();
            let (run, phase) = choose_phase(&store, context, named, phase, RunUse::Read).await?;
            start_of_phase(&drain_context, &run, &phase).await?
        }
    };
    let shell = context.env.key("SHELL").unwrap_or_else(|| "/bin/sh".to_owned());
    let command = match args.command.as_slice() {
        [] => vec![shell.into()],
        command => command.to_vec(),
    };
    let logs = drain_context.repo.autopack_dir().join("shell");
    std::fs::create_dir_all(&logs)?;
    let place =
        ShellPlace { commit: &start.commit, patch: start.work.patch.as_deref(), logs: &logs };
    let stop = StopReceiver::never();
    let code = drain_context.runner().run_shell(&place, command, &stop).await?;
    store.close().await;
    match code {
        0 => Ok(Exit::Done),
        code => Ok(Exit::Program(u8::try_from(code).unwrap_or(u8::MAX))),
    }
}

/// What the directory of the shell is made of.
#[derive(Default)]
struct Start {
    commit: String,
    work: KeptWork,
}

/// Returns the commit at which a new run would start.
async fn new_runs_commit(drain_context: &DrainContext) -> Result<String, Failure> {
    let base = drain_context.settings.workspace.base.as_deref().unwrap_or("HEAD");
    drain_context.repo.resolve(base).await?.ok_or_else(|| {
        Failure::new(format!("{base} names no commit")).hint("commit something first")
    })
}

/// Returns the branch of a phase's run with the kept work of the phase.
async fn start_of_phase(
    drain_context: &DrainContext,
    run: &RunId,
    phase: &PhaseId,
) -> Result<Start, Failure> {
    let store = &drain_context.store;
    let number = store.phase(run, phase).await?.row.executions;
    let commit = match store.run(run).await?.facts {
        None => new_runs_commit(drain_context).await?,
        Some(_) => {
            // Another machine may have drained the run.
            drain_context.fetch_tip(run).await?;
            drain_context.ensure_branch(run).await?.1.commit
        }
    };
    let work = drain_context.kept_work(run, phase, number).await?;
    if let Some(why) = &work.missing {
        tracing::warn!(target: NOTES, "{why}");
    }
    Ok(Start { commit, work })
}
