//! `db migrate`: brings the schema of the database to the version of this autopack.

use serde_json::json;

use crate::cli::{Context, open_database};
use crate::failure::{Exit, Failure};
use crate::progress::printable;
use crate::store::{SCHEMA_VERSION, Store};

/// Create the database, or migrate its schema to the version of this autopack
///
/// Commands migrate a database file on their own; at a server, only drain, import and fix-phases do, while no drain of an
/// older autopack runs. Use this command to choose the moment: an older autopack cannot use a migrated database.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Change nothing; exit 1 if a migration is pending
    #[arg(long)]
    check: bool,

    /// Migrate under drains of an older autopack, which fail then
    #[arg(long, conflicts_with = "check")]
    force: bool,

    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let url = open_database::url(context)?;
    let found = match Store::open_unmigrated(&url).await? {
        Some(store) => {
            let found = store.schema_version().await?;
            store.close().await;
            Some(found)
        }
        None => None,
    };
    let is_pending = found.is_none_or(|found| found < SCHEMA_VERSION);
    let is_newer = found.is_some_and(|found| found > SCHEMA_VERSION);
    // Opening refuses a newer version with an error that says so.
    if !args.check && (is_pending || is_newer) {
        let store = match args.force {
            true => Store::open_forced(&url).await?,
            false => open_database::create_store(&url, context).await?,
        };
        store.close().await;
    }
    let name = printable(&url.name().to_string());
    if args.json {
        context.out.json(&json!({
            "database": name,
            "from_version": found,
            "to_version": SCHEMA_VERSION,
            "pending": args.check && is_pending,
            "changed": !args.check && is_pending,
        }))?;
    } else {
        context.out.line(match (found, args.check) {
            (Some(found), true) if is_pending => format!(
                "{name} has schema version {found}; a migration to version {SCHEMA_VERSION} is pending"
            ),
            (Some(found), _) if is_newer => format!(
                "{name} has schema version {found}; this autopack knows versions up to {SCHEMA_VERSION}"
            ),
            (Some(found), _) if !is_pending => {
                format!("{name} has schema version {found}, the current one")
            }
            (Some(found), _) => {
                format!("migrated {name} from schema version {found} to {SCHEMA_VERSION}")
            }
            (None, true) => format!("{name} does not exist yet"),
            (None, false) => format!("created {name} with schema version {SCHEMA_VERSION}"),
        })?;
    }
    Ok(if args.check && (is_pending || is_newer) { Exit::OurFailure } else { Exit::Done })
}
