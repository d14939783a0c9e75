//! `telemetry`: what attempts used, exported, and learnt from.

mod calibrate;
mod calibrate_view;
mod export;
mod since;

use clap::Subcommand;

use super::Context;
use crate::failure::{Exit, Failure};

/// Export what attempts used, and let the estimate learn from it
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Export(export::Args),
    Calibrate(calibrate::Args),
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    match args.action {
        Action::Export(args) => export::run(args, context).await?,
        Action::Calibrate(args) => calibrate::run(args, context).await?,
    }
    Ok(Exit::Done)
}
