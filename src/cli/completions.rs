//! `completions`: prints a shell completion script.

use clap_complete::Shell;

use super::{Context, command};
use crate::failure::{Exit, Failure};

/// Print a shell completion script
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell to complete in
    shell: Shell,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    // clap_complete panics if stdout is closed, so the script is buffered first.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "autopack", &mut script);
    context.out.bytes(&script)?;
    Ok(Exit::Done)
}
