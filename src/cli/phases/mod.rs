//! `phases`: shows phases and runs operator actions.

mod add;
mod changed_files;
mod edit;
mod list;
mod move_phase;
mod phase_json;
mod retry_skip_accept;
mod set;
mod show;
mod show_prompt;
mod spec_input;

use clap::Subcommand;

use super::{Context, log};
use crate::failure::{Exit, Failure};

/// Show, add, move, change, retry, skip and accept phases
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    List(list::Args),
    Show(show::Args),
    Log(log::Args),
    Retry(retry_skip_accept::RetryArgs),
    Skip(retry_skip_accept::SkipArgs),
    Accept(retry_skip_accept::AcceptArgs),
    Edit(edit::Args),
    Set(set::Args),
    Add(add::Args),
    Move(move_phase::Args),
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    match args.action {
        Action::List(args) => list::run(args, context).await?,
        Action::Show(args) => show::run(args, context).await?,
        Action::Log(args) => return log::run(args, context).await,
        Action::Retry(args) => retry_skip_accept::retry(args, context).await?,
        Action::Skip(args) => retry_skip_accept::skip(args, context).await?,
        Action::Accept(args) => retry_skip_accept::accept(args, context).await?,
        Action::Edit(args) => edit::run(args, context).await?,
        Action::Set(args) => set::run(args, context).await?,
        Action::Add(args) => add::run(args, context).await?,
        Action::Move(args) => move_phase::run(args, context).await?,
    }
    Ok(Exit::Done)
}
