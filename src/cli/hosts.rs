//! `hosts`: lists the drains of all machines that share the database.

use std::time::Duration;

use serde_json::{Value, json};

use super::output::table::table;
use super::{Context, open_database};
use crate::drain::appears_dead;
use crate::failure::{Exit, Failure};
use crate::phase::words::quoted;
use crate::progress::{duration, shown_id, shown_phase};
use crate::store::OwnerRow;

/// List the drains of all machines that share the database
///
/// A drain renews its lease several times a minute; LAST SEEN is the time since then by the database's clock. Stop the
/// drains of a machine with `autopack stop --host HOST`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print a list of objects
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let store = open_database::open_existing(context).await?;
    let rows = store.owners().await?;
    let database = store.name().to_string();
    store.close().await;
    if args.json {
        context.out.json(&rows.iter().map(object).collect::<Vec<_>>())?;
        return Ok(Exit::Done);
    }
    if rows.is_empty() {
        context.out.line(format_args!("no drain is registered in {database}"))?;
        return Ok(Exit::Done);
    }
    let head = ["HOST", "PROCESS", "RUNS", "WORKERS", "LABELS", "LAST SEEN", "PHASES", "CLONE"];
    context.out.text(&table(&head, &[1, 3], rows.iter().map(cells).collect()))?;
    Ok(Exit::Done)
}

fn cells(row: &OwnerRow) -> Vec<String> {
    let owner = &row.owner;
    let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let runs: Vec<String> = owner.runs.iter().map(|run| shown_id(run.as_str())).collect();
    let phases: Vec<String> =
        row.executing.iter().map(|work| shown_phase(&work.run_id, &work.phase_id, false)).collect();
    vec![
        quoted(&owner.process.host).into_owned(),
        owner.process.pid.to_string(),
        or_dash(runs.join(", ")),
        or_dash(owner.workers.map_or(String::new(), |workers| workers.to_string())),
        or_dash(owner.labels.iter().map(|label| shown_id(label)).collect::<Vec<_>>().join(", ")),
        last_seen(row),
        or_dash(phases.join(", ")),
        clone_of(row).map_or_else(|| "-".to_owned(), |clone| quoted(clone).into_owned()),
    ]
}

/// Returns the clone on the drain's machine.
fn clone_of(row: &OwnerRow) -> Option<&str> {
    row.owner.lock_path.split_once("/.autopack/").map(|(clone, _)| clone)
}

fn last_seen(row: &OwnerRow) -> String {
    let age = row.silent_ms.map(|ms| format!("{} ago", duration(Duration::from_millis(ms))));
    match (row.fenced || appears_dead(&row.owner), age) {
        (true, Some(age)) => format!("dead, {age}"),
        (true, None) => "dead".to_owned(),
        (false, Some(age)) => age,
        (false, None) => "-".to_owned(),
    }
}

fn object(row: &OwnerRow) -> Value {
    let owner = &row.owner;
    let phases = row.executing.iter().map(
        |work| json!({"run_id": work.run_id, "phase_id": work.phase_id, "attempt": work.attempt}),
    );
    json!({
        "host": owner.process.host,
        "machine": owner.process.machine,
        "pid": owner.process.pid,
        "clone": clone_of(row),
        "runs": owner.runs,
        "workers": owner.workers,
        "labels": owner.labels,
        "started_at": open_database::time(owner.started_at),
        "last_seen_ms": row.silent_ms,
        "is_dead": row.fenced || appears_dead(owner),
        "executing": phases.collect::<Vec<_>>(),
    })
}
