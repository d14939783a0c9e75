//! Why a database is not copied.

use crate::store::database_name::DatabaseName;
use crate::store::error::StoreError;

const MIGRATE_IT: &str = "migrate it first: autopack db migrate --database-url URL";
const BE_NEWER: &str = "use a newer autopack";
const CHOOSE_EMPTY: &str = "choose an empty database, or remove this one";
const STOP_DRAINS: &str =
    "stop them with `autopack stop`; the work of a dead drain is reclaimed by the next drain there";
const SETTLE_IT: &str = "wait for its end, or start a drain there to settle it";
const TRY_AGAIN: &str = "nothing was copied; try again";

/// Refusal or failure of a copy. The destination is as before.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Source and destination are one database.
    #[error("cannot copy {0} to itself")]
    SameDatabase(DatabaseName),

    /// The schema of the source is older.
    #[error(
        "cannot copy {database}: its schema has version {found} and this autopack copies version {known}"
    )]
    OlderSchema {
        /// The source.
        database: DatabaseName,
        /// Its version.
        found: i64,
        /// The version of this autopack.
        known: i64,
    },

    /// The schema of the source is newer.
    #[error(
        "cannot copy {database}: its schema has version {found} and this autopack copies version {known}"
    )]
    NewerSchema {
        /// The source.
        database: DatabaseName,
        /// Its version.
        found: i64,
        /// The version of this autopack.
        known: i64,
    },

    /// The destination has rows, whose numbers would collide.
    #[error("cannot copy to {database}: its table {table} has rows already ({rows})")]
    NotEmpty {
        /// The destination.
        database: DatabaseName,
        /// Name of a table.
        table: &'static str,
        /// Number of rows there.
        rows: u64,
    },

    /// Drains are registered at the source.
    #[error("cannot copy {database}: drains are registered there: {}", drains.join(", "))]
    LivingDrains {
        /// The source.
        database: DatabaseName,
        /// Process, host and runs of each.
        drains: Vec<String>,
    },

    /// An undo or an update is under way at the source, or was killed there.
    #[error("cannot copy {database}: an undo or update of run {run} is under way")]
    OpenUndo {
        /// The source.
        database: DatabaseName,
        /// Id of the run.
        run: String,
    },

    /// The destination has other rows than the source.
    #[error("the copy of the table {table} has {copied} rows instead of {expected}")]
    CountsDiffer {
        /// Name of the table.
        table: &'static str,
        /// Rows of the source.
        expected: u64,
        /// Rows of the destination.
        copied: u64,
    },

    /// A database reported an error.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CopyError {
    /// Returns the remedy.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::OlderSchema { .. } => MIGRATE_IT,
            Self::NewerSchema { .. } => BE_NEWER,
            Self::NotEmpty { .. } => CHOOSE_EMPTY,
            Self::LivingDrains { .. } => STOP_DRAINS,
            Self::OpenUndo { .. } => SETTLE_IT,
            Self::CountsDiffer { .. } => TRY_AGAIN,
            Self::Store(_) | Self::SameDatabase(_) => return None,
        })
    }
}
