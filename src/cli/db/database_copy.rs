//! `db copy`: copies a database with its history.

use std::path::Path;
use std::time::Instant;

use serde_json::json;

use crate::cli::output::table::counted;
use crate::cli::{Context, open_database};
use crate::failure::{Exit, Failure};
use crate::progress::{NOTES, duration, printable};
use crate::store::{CopyError, CopyReport, DatabaseUrl, copy_database};

/// Copy a database with its whole history, such as from SQLite to Postgres or back
///
/// The destination is created if missing, and must be empty. It gets everything in one transaction. The source
/// stays as it is; no drain may be registered there. Remove the source afterwards: two databases with one run would
/// both be drained.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// URL of the database to copy
    #[arg(value_name = "SRC")]
    from: String,

    /// URL of the copy
    #[arg(value_name = "DST")]
    to: String,

    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let workspace = context.workspace()?;
    let from = parse("SRC", &args.from, &workspace)?;
    let to = parse("DST", &args.to, &workspace)?;
    open_database::prepare_place(&to, context).await?;
    let began = Instant::now();
    let report = copy_database(&from, &to).await.map_err(|error| match error {
        CopyError::Store(error) => Failure::from(error),
        error => {
            let hint = error.hint();
            Failure::from(error).maybe_hint(hint)
        }
    })?;
    for text in &report.replaced {
        tracing::warn!(
            target: NOTES,
            "replaced NUL characters, which Postgres does not store, in {} of {}.{}",
            counted(text.texts, "text"),
            text.table,
            text.column
        );
    }
    let (from, to) = (from.name().to_string(), to.name().to_string());
    if args.json {
        return context.out.json(&object(&from, &to, &report)).map(|()| Exit::Done);
    }
    let [runs, phases, attempts] = ["runs", "phases", "attempts"].map(|table| report.rows(table));
    let all: u64 = report.tables.iter().map(|count| count.rows).sum();
    context.out.line(format_args!(
        "copied {}, {}, {} and {} to {} in {}",
        counted(runs, "run"),
        counted(phases, "phase"),
        counted(attempts, "attempt"),
        counted(all - runs - phases - attempts, "other row"),
        printable(&to),
        duration(began.elapsed())
    ))?;
    Ok(Exit::Done)
}

fn parse(which: &str, url: &str, workspace: &Path) -> Result<DatabaseUrl, Failure> {
    DatabaseUrl::parse(url, workspace)
        .map_err(|error| Failure::from(error).prefixed(&format!("{which}:")))
}

fn object(from: &str, to: &str, report: &CopyReport) -> serde_json::Value {
    let rows = report.tables.iter().map(|count| (count.table.to_owned(), json!(count.rows)));
    json!({
        "from": from,
        "to": to,
        "rows": rows.collect::<serde_json::Map<_, _>>(),
        "replaced_nul": report.replaced.iter().map(|text| json!({
            "table": text.table,
            "column": text.column,
            "texts": text.texts,
        })).collect::<Vec<_>>(),
    })
}
