//! `db`: the database itself: where it is, its version, copies.

mod database_copy;
mod database_migration;
mod database_status;

use clap::Subcommand;

use super::Context;
use crate::failure::{Exit, Failure};

/// Show, migrate and copy the database
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Status(database_status::Args),
    Migrate(database_migration::Args),
    Copy(database_copy::Args),
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    match args.action {
        Action::Status(args) => database_status::run(args, context).await,
        Action::Migrate(args) => database_migration::run(args, context).await,
        Action::Copy(args) => database_copy::run(args, context).await,
    }
}
