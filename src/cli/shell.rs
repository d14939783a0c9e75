//! `shell`: runs a command where CI runs, to find out why CI fails there.

use std::ffi::OsString;

use super::attempt_setup::{build_drain_context, choose_views, open_repository};
use super::run_choice::{RunUse, choose_phase};
use super::{Context, open_database};
use crate::attempt::{AttemptDirectory, AttemptFileFinder, ShellPlace};
use crate::failure::{Exit, Failure};
use crate::process::StopReceiver;
use crate::progress::Mode;

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
    let settings = &context.config()?.settings;
    let views = choose_views(context, &repo, &store).await?;
    repo.prepare_directory()?;
    // A temporary copy lasts until the shell ends.
    let mut elsewhere = None;
    let (commit, patch) = match &args.phase {
        None => {
            let base = settings.workspace.base.as_deref().unwrap_or("HEAD");
            let commit = repo.resolve(base).await?.ok_or_else(|| {
                Failure::new(format!("{base} names no commit")).hint("commit something first")
            })?;
            (commit, None)
        }
        Some(phase) => {
            let named = args.run_id.as_deref();
            let (run, phase) = choose_phase(&store, context, named, phase, RunUse::Read).await?;
            let detail = store.phase(&run, &phase).await?;
            let branch = store.run(&run).await?.facts.map(|facts| facts.branch);
            let start = branch.as_deref().unwrap_or("HEAD");
            let commit = repo.resolve(start).await?.ok_or_else(|| {
                Failure::new(format!("{start} names no commit")).hint("drain the run first")
            })?;
            let row = &detail.row;
            let directory = repo.autopack_dir();
            let patch =
                AttemptDirectory::patch_of(&directory, &row.run_id, &row.phase_id, row.executions);
            if let (None, true, Some(last)) =
                (&patch, store.is_at_server(), detail.attempt_log.last())
            {
                let finder = AttemptFileFinder {
                    root: repo.root(),
                    store: &store,
                    settings: &settings.artifacts,
                };
                elsewhere = finder.find_known(&row.run_id, &row.phase_id, last).await?;
            }
            (commit, patch.or_else(|| elsewhere.as_ref()?.whole_patch()))
        }
    };
    let shell = context.env.key("SHELL").unwrap_or_else(|| "/bin/sh".to_owned());
    let command = match args.command.as_slice() {
        [] => vec![shell.into()],
        command => command.to_vec(),
    };
    let drain_context = build_drain_context(context, repo, store.clone(), Mode::Lines, views)?;
    let logs = drain_context.repo.autopack_dir().join("shell");
    std::fs::create_dir_all(&logs)?;
    let place = ShellPlace { commit: &commit, patch: patch.as_deref(), logs: &logs };
    let stop = StopReceiver::never();
    let code = drain_context.runner().run_shell(&place, command, &stop).await?;
    store.close().await;
    match code {
        0 => Ok(Exit::Done),
        code => Ok(Exit::Program(u8::try_from(code).unwrap_or(u8::MAX))),
    }
}
