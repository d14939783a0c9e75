//! `telemetry`: summarizes and exports usage, and calibrates the estimator.

mod calibrate;
mod calibration_text;
mod export;
mod sample_choice;
mod summary;
mod summary_text;

use clap::Subcommand;

use super::Context;
use crate::failure::{Exit, Failure};

/// Summarize and export usage of attempts, and calibrate the estimator
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Export(export::Args),
    Calibrate(calibrate::Args),
    Summary(summary::Args),
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    match args.action {
        Action::Export(args) => export::run(args, context).await?,
        Action::Calibrate(args) => calibrate::run(args, context).await?,
        Action::Summary(args) => summary::run(args, context).await?,
    }
    Ok(Exit::Done)
}
