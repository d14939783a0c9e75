//! `init`: writes a short configuration with what was found in the repository and on this machine.

mod config_text;
mod project_facts;
mod questions;

use std::fs::{self, File};
use std::io::{ErrorKind, IsTerminal, Write, stderr, stdin};
use std::path::Path;

use anyhow::Context as _;

use super::Context;
use super::schema::config_schema;
use crate::config::{self, PRIVATE_DIRECTORY, SHARED_DIRECTORY};
use crate::failure::{Exit, Failure};
use crate::workspace::Repo;
use project_facts::ProjectFacts;

/// JSON Schema of the configuration, beside the configuration file.
const SCHEMA_FILE: &str = "autopack.schema.json";
const COMPOSE_FILE: (&str, &str) =
    ("docker-compose.yml", include_str!("../../../docker-compose.yml"));

/// Write a short configuration with the agents, CI and setup found here; never overwrites
///
/// The file is .autopack/config/autopack.yaml, which git ignores. autopack works without it, too.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write to config/, for the repository
    #[arg(long)]
    shared: bool,

    /// Also write docker-compose.yml with the Qdrant server of the memory
    #[arg(long)]
    docker_compose: bool,

    /// Ask for agent, CI command, setup and budget
    #[arg(short, long)]
    interactive: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let repo = Repo::discover(&context.workspace()?).await?;
    if args.interactive && !(stdin().is_terminal() && stderr().is_terminal()) {
        return Err(Failure::new("cannot ask: -i needs a terminal")
            .hint("run `autopack init` without -i, then edit the file")
            .exit(Exit::Usage));
    }
    let [(file, _), _] = config::shipped();
    let [private, shared] =
        [PRIVATE_DIRECTORY, SHARED_DIRECTORY].map(|directory| format!("{directory}/{file}"));
    let is_there = |name: &str| repo.root().join(name).symlink_metadata().is_ok();
    let name = if args.shared { &shared } else { &private };
    // A private file would hide the shared one.
    let kept = [name, &shared].into_iter().find(|name| is_there(name));
    match kept {
        Some(name) => context.out.line(format_args!("kept  {name}"))?,
        None => {
            let mut facts = ProjectFacts::find(&repo, context).await;
            if args.interactive {
                facts = questions::ask(facts)?;
            }
            repo.prepare_directory()?;
            write(&repo, name, &config_text::format_config(&facts, SCHEMA_FILE), context)?;
            write_schema(&repo.root().join(name).with_file_name(SCHEMA_FILE))?;
            for line in facts.describe() {
                context.out.line(format_args!("      {line}"))?;
            }
        }
    }
    if args.shared && is_there(&private) {
        context.out.line(format_args!("{private} is in use here instead of {shared}"))?;
    }
    if args.docker_compose {
        write(&repo, COMPOSE_FILE.0, COMPOSE_FILE.1, context)?;
    }
    Ok(Exit::Done)
}

/// Writes the schema that the configuration names for editors; replaces that of an earlier version.
fn write_schema(file: &Path) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(&config_schema())?;
    fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))
}

fn write(repo: &Repo, name: &str, text: &str, context: &Context) -> Result<(), Failure> {
    let word = if write_new(&repo.root().join(name), text)? { "wrote" } else { "kept " };
    context.out.line(format_args!("{word} {name}"))
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
