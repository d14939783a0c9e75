//! `telemetry summary`: how many phases landed, what they used, how good the estimates were, where time went.

use super::since::{Since, since};
use super::text;
use crate::cli::{Context, database};
use crate::clock::now;
use crate::failure::Failure;
use crate::phase::RunId;
use crate::report;

/// Show success rates, tokens and cost, how good the estimates were, and where time went
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this run, also one that was removed and left samples; may repeat [default: all runs]
    #[arg(long = "run-id", value_name = "RUN")]
    run_ids: Vec<String>,

    /// Only attempts that ended from this on: a date, a time (RFC 3339), or an age such as 7d, 12h, 30m
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Since>,

    /// Print one object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let store = database::open_existing(context).await?;
    let named: Vec<RunId> = args.run_ids.iter().map(RunId::new).collect();
    store.require_sampled_runs(&named).await?;
    let since = args.since.map(|since| since.before(now()));
    let summary = report::figures(&store, &named, since).await?;
    store.close().await;
    match args.json {
        true => context.out.json(&summary),
        false => context.out.text(&text::page(&summary)),
    }
}
