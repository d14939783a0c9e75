//! `memory search`: searches the memory.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use console::style;
use serde_json::json;

use super::{close, open_enabled_memory};
use crate::cli::{Context, open_database};
use crate::failure::Failure;
use crate::memory::{AutostartPermission, Collection, EntryFilter, Query, Snippet};
use crate::phase::RunId;
use crate::progress::printable;

/// Maximum number of text lines per entry; `--json` prints the full text.
const SHOWN_LINES: usize = 6;
const SHOWN_COLUMNS: usize = 78;

/// Search the memory for a text
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Search text: an error, a task, a name
    #[arg(value_name = "TEXT", required = true)]
    text: Vec<String>,
    /// Only entries of this run
    #[arg(long, value_name = "RUN")]
    run_id: Option<String>,
    /// Only this collection; may repeat
    #[arg(long, value_name = "NAME", value_parser = collections())]
    collection: Vec<Collection>,
    /// Also search other repositories that share the Qdrant server
    #[arg(long, conflicts_with = "run_id")]
    everywhere: bool,
    /// Maximum number of results
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=50))]
    limit: u16,
    /// Print a list of {id, collection, run_id, phase_id, text, score, source}
    #[arg(long)]
    json: bool,
}

/// Parses a collection name; `--help` lists the names.
fn collections() -> impl TypedValueParser<Value = Collection> {
    PossibleValuesParser::new(Collection::ALL.map(Collection::as_str))
        .try_map(|name| name.parse::<Collection>())
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let memory = open_enabled_memory(context, AutostartPermission::CheckOnly).await?;
    let run = args.run_id.map(RunId::new);
    let query = Query {
        text: args.text.join(" "),
        filter: EntryFilter { collections: args.collection, run: run.clone() },
        everywhere: args.everywhere,
        limit: usize::from(args.limit),
    };
    let found = memory.search(&query).await?;
    close(&memory).await;
    // Entries of a removed run may still exist, so the run is checked only without results.
    if let Some(run) = run.filter(|_| found.is_empty()) {
        open_database::require_run(context, run).await?;
    }
    if args.json {
        let found: Vec<_> = found.iter().map(value).collect();
        return context.out.json(&found);
    }
    if found.is_empty() {
        return context.out.line("no results");
    }
    context.out.text(&found.iter().map(text).collect::<Vec<_>>().join("\n"))
}

/// Formats a result as JSON. `source` is the search method; `from` is the origin of the entry.
fn value(snippet: &Snippet) -> serde_json::Value {
    json!({
        "id": snippet.id.as_str(),
        "collection": snippet.collection.as_str(),
        "run_id": snippet.run,
        "phase_id": snippet.phase,
        "text": snippet.text,
        "score": snippet.score,
        "source": snippet.via.as_str(),
        "from": snippet.source,
        "created": snippet.created,
    })
}

fn text(snippet: &Snippet) -> String {
    let heading = format!("{} · {}", snippet.collection, printable(&snippet.source));
    let heading = console::truncate_str(&heading, SHOWN_COLUMNS - 6, "…");
    let mut text = format!("{:.2}  {}\n", snippet.score, style(heading).bold());
    let lines: Vec<&str> = snippet.text.lines().filter(|line| !line.trim().is_empty()).collect();
    for line in lines.iter().take(SHOWN_LINES) {
        let line = printable(line);
        let cut = console::truncate_str(&line, SHOWN_COLUMNS - 6, "…");
        text += &format!("      {cut}\n");
    }
    if lines.len() > SHOWN_LINES {
        text += &format!("      … {} more lines\n", lines.len() - SHOWN_LINES);
    }
    text
}
