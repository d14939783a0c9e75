//! `memory stats|sync|prune|index`: shows and maintains the memory.

use std::io::{IsTerminal, stderr};

use serde_json::json;

use super::{close, open_enabled_memory};
use crate::cli::Context;
use crate::cli::output::table::counted;
use crate::failure::Failure;
use crate::memory::{AutostartPermission, IndexStatus, Stats};
use crate::progress::screen::{self, Size};
use crate::progress::view::{self, Fraction};
use crate::workspace::Repo;

/// Show the number of entries and the state of the indexes
#[derive(Debug, clap::Args)]
pub(super) struct StatsArgs {
    /// Print {backend, embedder, journal, entries, waiting, qdrant, indexes, problem}
    #[arg(long)]
    json: bool,
}

/// Update vectors, Qdrant and FAISS from the journal; starts Qdrant if allowed
#[derive(Debug, clap::Args)]
pub(super) struct SyncArgs {
    /// Print {backend, written, deleted, adopted}
    #[arg(long)]
    json: bool,
}

/// Remove expired entries
#[derive(Debug, clap::Args)]
pub(super) struct PruneArgs {
    /// Print {removed}
    #[arg(long)]
    json: bool,
}

/// Index changed files of the repository
///
/// Binary, generated and very large files are skipped.
#[derive(Debug, clap::Args)]
pub(super) struct IndexArgs {
    /// Print {indexed, unchanged, removed, passed_over}
    #[arg(long)]
    json: bool,
}

pub(super) async fn stats(args: StatsArgs, context: &Context) -> Result<(), Failure> {
    let memory = open_enabled_memory(context, AutostartPermission::CheckOnly).await?;
    let stats = memory.stats().await?;
    close(&memory).await;
    match stats {
        Some(stats) if args.json => context.out.json(&value(&stats)),
        Some(stats) => context.out.text(&text(&stats)),
        None => Ok(()),
    }
}

pub(super) async fn sync(args: SyncArgs, context: &Context) -> Result<(), Failure> {
    let memory = open_enabled_memory(context, AutostartPermission::Allowed).await?;
    // A progress bar only on a terminal.
    let watched = context.global.is_interactive() && stderr().is_terminal();
    let synced = memory
        .sync(&|done, of| {
            if watched {
                show(done as u64, of as u64);
            }
        })
        .await;
    screen::close();
    let backend = memory.backend().as_str();
    let synced = synced?;
    close(&memory).await;
    if args.json {
        return context.out.json(&json!({
            "backend": backend,
            "written": synced.written,
            "deleted": synced.deleted,
            "adopted": synced.adopted,
        }));
    }
    match backend {
        "qdrant" => context.out.line(format_args!(
            "Qdrant is up to date with the journal: {} written, {} deleted, {} adopted",
            synced.written, synced.deleted, synced.adopted
        )),
        "faiss" => context.out.line("FAISS is up to date with the journal"),
        _ => context
            .out
            .line("Qdrant is down and there is no fallback; entries stay in the journal until Qdrant is back"),
    }
}

pub(super) async fn prune(args: PruneArgs, context: &Context) -> Result<(), Failure> {
    let memory = open_enabled_memory(context, AutostartPermission::CheckOnly).await?;
    let removed = memory.prune().await?;
    close(&memory).await;
    match args.json {
        true => context.out.json(&json!({ "removed": removed })),
        false => context.out.line(format_args!("removed {}", counted(removed as u64, "entry"))),
    }
}

pub(super) async fn index(args: IndexArgs, context: &Context) -> Result<(), Failure> {
    let memory = open_enabled_memory(context, AutostartPermission::CheckOnly).await?;
    let repo = Repo::discover(&context.workspace()?).await?;
    let indexed = memory.index(repo.root(), &repo.files().await?).await?;
    close(&memory).await;
    if args.json {
        return context.out.json(&json!({
            "indexed": indexed.indexed,
            "unchanged": indexed.unchanged,
            "removed": indexed.removed,
            "passed_over": indexed.skipped,
        }));
    }
    context.out.line(format_args!(
        "indexed {}, unchanged {}, removed {}, skipped {}",
        counted(indexed.indexed as u64, "file"),
        indexed.unchanged,
        indexed.removed,
        indexed.skipped
    ))
}

/// Draws the progress bar in place.
fn show(done: u64, of: u64) {
    let columns = view::room(Size::of_terminal());
    let fraction = Fraction { done, of };
    let line =
        view::bar(fraction, &["syncing".to_owned()], columns, console::colors_enabled_stderr());
    screen::paint(vec![line]);
}

fn value(stats: &Stats) -> serde_json::Value {
    json!({
        "backend": stats.backend.as_str(),
        "embedder": stats.embedder,
        "journal": stats.journal,
        "entries": stats.entries,
        "waiting": stats.waiting,
        "qdrant": stats.qdrant,
        "indexes": {
            "qdrant": stats.in_qdrant.as_ref().map(index_json),
            "faiss": stats.faiss.as_ref().map(index_json),
        },
        "problem": stats.problem,
    })
}

fn index_json(index: &IndexStatus) -> serde_json::Value {
    json!({ "points": index.points, "behind": index.behind })
}

fn text(stats: &Stats) -> String {
    let mut lines = vec![
        format!("backend   {}", stats.backend.as_str()),
        format!("embedder  {}", stats.embedder),
        format!("journal   {}", stats.journal.display()),
    ];
    if let Some(qdrant) = &stats.qdrant {
        lines.push(format!("qdrant    {qdrant}"));
    }
    if let Some(problem) = &stats.problem {
        lines.push(format!("problem   {problem}"));
    }
    let total: u64 = stats.entries.values().sum();
    lines.push(format!("holds     {}", counted(total, "entry")));
    let held = stats.entries.iter().filter(|(_, n)| **n > 0);
    lines.extend(held.map(|(collection, n)| format!("          {n:>6}  {collection}")));
    for (name, index) in [("qdrant", &stats.in_qdrant), ("faiss", &stats.faiss)] {
        lines.extend(index.iter().flat_map(|index| index_lines(name, index)));
    }
    if stats.waiting > 0 {
        lines.push(format!(
            "waiting   {} without vectors; run `autopack memory sync`",
            counted(stats.waiting, "entry")
        ));
    }
    lines.join("\n") + "\n"
}

/// Formats the size of an index and the number of pending changes.
fn index_lines(name: &str, index: &IndexStatus) -> Vec<String> {
    let total = counted(index.points.values().sum(), "vector");
    let behind = match index.behind {
        0 => "up to date".to_owned(),
        n => format!("{} behind; run `autopack memory sync`", counted(n, "change")),
    };
    let mut lines = vec![format!("in {name:<7}{total}, {behind}")];
    let held = index.points.iter();
    lines.extend(held.map(|(collection, n)| format!("          {n:>6}  {collection}")));
    lines
}
