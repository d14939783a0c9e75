//! `db status`: where the database is, what it is, and who uses it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::cli::output::table::counted;
use crate::cli::{Context, DatabaseChoice, open_database};
use crate::config::Origin;
use crate::drain::appears_dead;
use crate::failure::{Exit, Failure};
use crate::progress::printable;
use crate::store::{DatabaseFacts, OwnerRow, SCHEMA_VERSION, Store};

/// Show where the database is, its version, its size, and who uses it
///
/// Changes nothing: a database of an older version stays as it is.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let url = open_database::url(context)?;
    let choice = context.database()?;
    let facts = match Store::open_unmigrated(&url).await? {
        Some(store) => {
            let facts = store.database_facts().await?;
            store.close().await;
            Some(facts)
        }
        None => None,
    };
    let name = url.name().to_string();
    match args.json {
        true => context.out.json(&object(&name, &choice, facts.as_ref()))?,
        false => context.out.text(&text(&name, &choice, facts.as_ref()))?,
    }
    Ok(Exit::Done)
}

fn object(name: &str, choice: &DatabaseChoice, facts: Option<&DatabaseFacts>) -> Value {
    let count = |of: fn(&DatabaseFacts) -> u64| facts.map(of);
    json!({
        "database": name,
        "origin": origin(choice),
        "exists": facts.is_some(),
        "engine": facts.map(|facts| &facts.engine),
        "schema_version": facts.map(|facts| facts.schema_version),
        "known_schema_version": SCHEMA_VERSION,
        "runs": count(|facts| facts.runs),
        "phases": count(|facts| facts.phases),
        "attempts": count(|facts| facts.attempts),
        "bytes": count(|facts| facts.bytes),
        "drains": facts.map_or(&[][..], |facts| &facts.owners).iter().map(|row| json!({
            "owner": row.owner.id,
            "host": row.owner.process.host,
            "pid": row.owner.process.pid,
            "runs": row.owner.runs,
            "started_at": open_database::time(row.owner.started_at),
            "last_seen_ms": row.silent_ms,
            "is_dead": row.fenced || appears_dead(&row.owner),
        })).collect::<Vec<_>>(),
        "connections": facts.map_or(&[][..], |facts| &facts.connections).iter().map(|from| json!({
            "address": from.address,
            "count": from.count,
        })).collect::<Vec<_>>(),
    })
}

fn text(name: &str, choice: &DatabaseChoice, facts: Option<&DatabaseFacts>) -> String {
    let mut lines = format!("database     {}\nchosen by    {}\n", printable(name), origin(choice));
    let Some(facts) = facts else {
        lines.push_str(
            "state        does not exist yet; an import or `autopack db migrate` creates it\n",
        );
        return lines;
    };
    let rows = [
        ("engine", facts.engine.clone()),
        ("schema", schema(facts.schema_version)),
        ("contents", contents(facts)),
        ("size", format!("{:.1} MB", facts.bytes as f64 / 1e6)),
    ];
    for (what, value) in rows {
        let _ = writeln!(lines, "{what:<12} {value}");
    }
    for row in &facts.owners {
        let _ = writeln!(lines, "{:<12} {}", "drain", drain(row));
    }
    for from in &facts.connections {
        let address = from.address.as_deref().unwrap_or("the server's own socket");
        let _ = writeln!(lines, "{:<12} {} from {address}", "connections", from.count);
    }
    lines
}

fn origin(choice: &DatabaseChoice) -> String {
    match choice.origin {
        Origin::Shipped => "default".to_owned(),
        ref other => other.to_string(),
    }
}

fn contents(facts: &DatabaseFacts) -> String {
    let [runs, phases, attempts] =
        [(facts.runs, "run"), (facts.phases, "phase"), (facts.attempts, "attempt")]
            .map(|(count, what)| counted(count, what));
    format!("{runs}, {phases}, {attempts}")
}

/// Describes a version of the schema, compared with the version of this autopack.
pub(super) fn schema(found: i64) -> String {
    match found.cmp(&SCHEMA_VERSION) {
        std::cmp::Ordering::Equal => format!("version {found}, current"),
        std::cmp::Ordering::Less => format!(
            "version {found}; this autopack uses version {SCHEMA_VERSION}: migrate with `autopack db migrate`"
        ),
        std::cmp::Ordering::Greater => format!(
            "version {found}; this autopack knows versions up to {SCHEMA_VERSION}: use a newer autopack"
        ),
    }
}

fn drain(row: &OwnerRow) -> String {
    let runs: Vec<&str> = row.owner.runs.iter().map(|run| run.as_str()).collect();
    let state = if row.fenced || appears_dead(&row.owner) {
        ", dead: the next drain reclaims its work"
    } else {
        ""
    };
    let process = &row.owner.process;
    format!(
        "process {} on {} ({}){state}",
        process.pid,
        printable(&process.host),
        printable(&runs.join(", "))
    )
}
