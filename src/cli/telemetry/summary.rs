//! `telemetry summary`: how many phases landed, what they used, how good the estimates were, where time went.

use super::text;
use super::which::Which;
use crate::cli::{Context, database};
use crate::failure::Failure;
use crate::report;

/// Show success rates, tokens and cost, how good the estimates were, and where time went
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,

    /// Print one object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let store = database::open_existing(context).await?;
    let named = args.which.runs();
    store.require_sampled_runs(&named).await?;
    let summary = report::figures(&store, &named, args.which.since()).await?;
    store.close().await;
    match args.json {
        true => context.out.json(&summary),
        false => context.out.text(&text::page(&summary)),
    }
}
