//! `completions`: a script for the user's shell.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Context};
use crate::failure::{Exit, Failure};

/// Print the completions of a shell
#[derive(Debug, clap::Args)]
pub struct Args {
    shell: Shell,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    // Straight to stdout it would panic when the reader goes away.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "autopack", &mut script);
    context.out.bytes(&script)?;
    Ok(Exit::Done)
}
