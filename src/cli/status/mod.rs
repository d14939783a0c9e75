//! `status`: shows counts per run, running phases, and why other phases wait.

mod live_view;
mod status_json;
mod status_snapshot;
mod status_text;
mod watch;

use super::run_choice::RunFilter;
use super::{Context, open_database};
use crate::failure::{Exit, Failure};

/// Show counts, running phases, tokens, and why queued phases wait
///
/// With --watch, shows the live view of `drain` in any terminal until Ctrl-C (exit code 130) or SIGTERM (143). In a
/// pipe, prints the status at the start and after each change, except changes of times and agent activity, until the
/// reader ends.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    run: RunFilter,

    /// Keep showing the status and finished phases until Ctrl-C
    #[arg(long, conflicts_with = "json")]
    watch: bool,

    /// Print {runs}
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let store = open_database::open_existing(context).await?;
    let wanted = args.run.named(&store).await?;
    if args.watch {
        return watch::watch(&store, wanted.as_ref(), context).await;
    }
    let snapshot = status_snapshot::read_snapshot(&store, wanted.as_ref(), context).await?;
    match args.json {
        true => context.out.json(&status_json::json(&snapshot))?,
        false => context.out.text(&status_text::format_status(&snapshot))?,
    }
    store.close().await;
    Ok(Exit::Done)
}
