//! `man`: writes the manual pages.

use std::path::PathBuf;

use anyhow::Context as _;
use clap_mangen::Man;

use super::{Context, bare_command, help_layout};
use crate::failure::{Exit, Failure};

/// Print the manual page, or write the pages of all commands into a directory
///
/// Install the pages with `autopack man ~/.local/share/man/man1`, or read one with `autopack man | man -l -`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory for autopack.1, autopack-drain.1 and so on; created if missing
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    // With the long texts, which `--help` leaves out.
    let command = help_layout::hide_global_options(bare_command());
    let Some(directory) = args.directory else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page).context("cannot write the page")?;
        context.out.bytes(&page)?;
        return Ok(Exit::Done);
    };
    std::fs::create_dir_all(&directory)
        .and_then(|()| clap_mangen::generate_to(command, &directory))
        .with_context(|| format!("cannot write manual pages to {}", directory.display()))?;
    context.out.line(format_args!("wrote autopack.1 and more to {}", directory.display()))?;
    Ok(Exit::Done)
}
