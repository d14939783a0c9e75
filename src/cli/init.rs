//! `init`: writes the missing configuration files of a repository.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::Context as _;

use super::Context;
use crate::config;
use crate::failure::{Exit, Failure};

const COMPOSE_FILE: (&str, &str) = ("docker-compose.yml", include_str!("../../docker-compose.yml"));

/// Write config/ and docker-compose.yml unless they exist
#[derive(Debug, clap::Args)]
pub struct Args {}

pub async fn run(_: Args, context: &Context) -> Result<Exit, Failure> {
    let root = context.workspace()?;
    let files = config::shipped().map(|(name, text)| (format!("config/{name}"), text));
    let compose = (COMPOSE_FILE.0.to_owned(), COMPOSE_FILE.1);
    for (name, text) in files.into_iter().chain([compose]) {
        let word = if write_new(&root.join(&name), text)? { "wrote" } else { "kept " };
        context.out.line(format_args!("{word} {name}"))?;
    }
    Ok(Exit::Done)
}

/// Writes the file unless present, and returns whether it was written.
fn write_new(path: &Path, text: &str) -> anyhow::Result<bool> {
    let cannot = || format!("cannot write {}", path.display());
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(cannot)?;
    }
    // `create_new` also keeps dangling links.
    match File::create_new(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).map(|()| true).with_context(cannot),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error).with_context(cannot),
    }
}
