//! `memory`: searches and maintains the memory of earlier phases.

mod open_memory;
mod search;
mod upkeep;

use clap::Subcommand;

use super::Context;
use crate::failure::{Exit, Failure};
use crate::memory::{AutostartPermission, Memory};
use crate::progress::NOTES;
use crate::workspace::Repo;

pub use open_memory::{close, memory_location, open};

/// Search and maintain the memory of earlier phases
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Search(search::Args),
    Stats(upkeep::StatsArgs),
    Sync(upkeep::SyncArgs),
    Prune(upkeep::PruneArgs),
    Index(upkeep::IndexArgs),
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    match args.action {
        Action::Search(args) => search::run(args, context).await?,
        Action::Stats(args) => upkeep::stats(args, context).await?,
        Action::Sync(args) => upkeep::sync(args, context).await?,
        Action::Prune(args) => upkeep::prune(args, context).await?,
        Action::Index(args) => upkeep::index(args, context).await?,
    }
    Ok(Exit::Done)
}

/// Opens the memory, or fails if disabled. Status messages go to stderr.
async fn open_enabled_memory(
    context: &Context,
    starting: AutostartPermission,
) -> Result<Memory, Failure> {
    if context.config()?.memory.enabled {
        // The directory is excluded from git before any file is in it.
        Repo::discover(&context.workspace()?).await?.prepare_directory()?;
    }
    let opened = open(context, starting).await?;
    if !context.config()?.memory.enabled {
        return Err(Failure::new("the memory is off")
            .hint("enable it: memory.enabled in memory.yaml, or AUTOPACK_ENABLE_MEMORY=1"));
    }
    if !opened.memory.is_on() {
        return Err(Failure::new(opened.line.unwrap_or_else(|| "the memory is off".to_owned())));
    }
    let is_foreign = opened.uses_foreign_qdrant();
    match (opened.line, starting) {
        (Some(line), AutostartPermission::Allowed) => tracing::info!("{line}"),
        // Read-only commands show the status with `memory stats` only.
        (Some(line), AutostartPermission::CheckOnly) => {
            match is_foreign {
                true => tracing::info!(target: NOTES, "{line}"),
                false => tracing::debug!("{line}"),
            }
            if let Some(repair) = &opened.repair {
                tracing::warn!("{repair}");
            }
        }
        (None, _) => {}
    }
    Ok(opened.memory)
}
