//! `phases log`: prints the agent and CI logs of an attempt.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::cli::Context;
use crate::cli::run_choice::{PhaseArg, RunUse};
use crate::failure::{Failure, WithHint};
use crate::phase::PhaseId;
use crate::store::AttemptRow;

/// Print the agent and CI logs of the last attempt
///
/// Control sequences are removed on a terminal. In a pipe, logs are printed byte for byte.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    phase: PhaseArg,
    /// Show attempt N instead of the last attempt
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,
    /// Print all kept files, including prompt and patch
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let (store, run, phase) = args.phase.open(context, RunUse::Read).await?;
    let detail = store.phase(&run, &phase).await?;
    store.close().await;
    let attempt = select_attempt(&detail.attempt_log, args.attempt, &phase)?;
    let Some(log_dir) = &attempt.log_dir else {
        return Err(Failure::new(format!(
            "attempt {} of phase {} has no logs",
            attempt.attempt, phase
        )));
    };
    let directory = context.workspace()?.join(log_dir);
    for file in files(&directory, args.all).or_hint("`autopack gc` may have removed them")? {
        let content = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        context.out.line(format_args!("==> {} <==", file.display()))?;
        context.out.quoted(&content)?;
        if !content.ends_with(b"\n") {
            context.out.line("")?;
        }
    }
    Ok(())
}

fn select_attempt<'a>(
    log: &'a [AttemptRow],
    number: Option<u32>,
    phase: &PhaseId,
) -> Result<&'a AttemptRow, Failure> {
    let Some(last) = log.last() else {
        return Err(Failure::new(format!("phase {phase} has no attempts, so there is no log"))
            .hint("`autopack status` shows whether it waits; `autopack drain` starts a drain"));
    };
    let Some(number) = number else { return Ok(last) };
    log.iter().find(|row| row.attempt == number).ok_or_else(|| {
        Failure::new(format!(
            "phase {phase} has no attempt {number}; the last attempt is {}",
            last.attempt
        ))
    })
}

/// Lists the logs of an attempt directory in chronological order: agent, then CI.
fn files(directory: &Path, all: bool) -> anyhow::Result<Vec<PathBuf>> {
    let cannot = || format!("cannot read the logs in {}", directory.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        if path.is_file() && (all || path.extension().is_some_and(|e| e == "log")) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
