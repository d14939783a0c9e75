//! `schema`: prints JSON Schemas of the files and the events.

use clap::ValueEnum;

use super::Context;
use crate::agent::program_kinds;
use crate::config::json_schema;
use crate::config::{MemoryFile, Settings};
use crate::failure::{Exit, Failure};
use crate::import::plan_schema;
use crate::progress::event_schema;

/// Print a JSON Schema, for editors and for validation
///
/// For an editor, save the schema and name it at the top of the file:
/// `# yaml-language-server: $schema=autopack.schema.json`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What the schema describes
    subject: Subject,
}

/// Subject of a schema.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Subject {
    /// A plan file
    Plan,
    /// autopack.yaml
    Config,
    /// memory.yaml
    Memory,
    /// A line of `drain --json`
    Events,
}

/// Returns the schema of autopack.yaml.
pub(super) fn config_schema() -> serde_json::Value {
    json_schema::schema::<Settings>(&program_kinds())
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let schema = match args.subject {
        Subject::Plan => plan_schema::schema(),
        Subject::Config => config_schema(),
        Subject::Memory => json_schema::schema::<MemoryFile>(&program_kinds()),
        Subject::Events => event_schema::schema(),
    };
    context.out.json(&schema)?;
    Ok(Exit::Done)
}
