//! `telemetry summary`: success rates, usage, accuracy of estimates, and time.

use super::sample_choice::SampleFilterArgs;
use super::summary_text;
use crate::cli::{Context, open_database};
use crate::failure::Failure;
use crate::report;

/// Show success rates, tokens, cost, accuracy of estimates, and time
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: SampleFilterArgs,

    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let store = open_database::open_existing(context).await?;
    let named = args.which.runs();
    store.require_sampled_runs(&named).await?;
    let summary = report::figures(&store, &named, args.which.since()).await?;
    store.close().await;
    match args.json {
        true => context.out.json(&summary),
        false => context.out.text(&summary_text::page(&summary)),
    }
}
