//! Journal: every memory is written here first, with a vector. Indexes follow the journal and can be rebuilt from the
//! journal.
//!
//! A separate database (`.autopack/memory.db`), independent of Qdrant, FAISS and phases' states.

mod changes;
mod open_journal;
mod read_entries;
mod write_entries;

use std::path::{Path, PathBuf};

use sqlx::{FromRow, SqlitePool};

use super::memory_entry::{Collection, EntryId, StoredEntry};
use crate::phase::{PhaseId, RunId, UnixMs};

pub use changes::{Change, Pending, VectorRef};
pub use open_journal::OpenJournal;
pub use read_entries::Hit;
pub use write_entries::{EntryVector, WriteCounts};

/// File name in `.autopack`.
pub const JOURNAL: &str = "memory.db";

/// Failure of the journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be opened or created.
    #[error("cannot open the memory's journal {path}: {why}")]
    Open {
        /// Path of the journal.
        path: PathBuf,
        /// Reason of the failure.
        why: String,
    },
    /// The file is a database of another program.
    #[error(
        "{path} is a database of another program; move it away, autopack keeps the memory's journal there"
    )]
    Foreign {
        /// Path of the journal.
        path: PathBuf,
    },
    /// The file has a newer format.
    #[error("the memory's journal {path} was written by a newer autopack; update autopack")]
    Newer {
        /// Path of the journal.
        path: PathBuf,
    },
    /// SQLite found the file damaged.
    #[error("the memory's journal {path} is damaged")]
    Broken {
        /// Path of the journal.
        path: PathBuf,
    },
    /// A stored value is invalid.
    #[error("the memory's journal holds a row that cannot be read: {0}")]
    BadRow(String),
    /// A query failed.
    #[error("cannot {doing} the memory's journal: {source}")]
    Sql {
        /// Attempted operation, to read after "cannot".
        doing: &'static str,
        /// Error of SQLite.
        source: sqlx::Error,
    },
}

type Result<T> = std::result::Result<T, JournalError>;

impl JournalError {
    /// Checks for a lock held by another writer: SQLITE_BUSY (5) and SQLITE_LOCKED (6), or a timeout of the writer's
    /// queue.
    pub fn is_busy(&self) -> bool {
        match self {
            Self::Sql { source: sqlx::Error::PoolTimedOut, .. } => true,
            Self::Sql { source: sqlx::Error::Database(error), .. } => {
                let code = error.code().and_then(|code| code.parse::<i32>().ok());
                code.is_some_and(|code| matches!(code & 0xff, 5 | 6))
            }
            _ => false,
        }
    }
}

/// Handle of an open journal. Cheap to clone: clones share connections.
#[derive(Clone, Debug)]
pub struct Journal {
    /// A single connection: SQLite allows one writer anyway, and waiting here is fairer than SQLITE_BUSY.
    writer: SqlitePool,
    readers: SqlitePool,
    path: PathBuf,
}

impl Journal {
    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Adds the attempted operation to an error of sqlx, for people.
trait JournalContext<T> {
    fn doing(self, doing: &'static str) -> Result<T>;
}

impl<T> JournalContext<T> for std::result::Result<T, sqlx::Error> {
    fn doing(self, doing: &'static str) -> Result<T> {
        self.map_err(|source| JournalError::Sql { doing, source })
    }
}

#[derive(FromRow)]
struct EntryRow {
    id: String,
    collection: String,
    run_id: Option<String>,
    phase_id: Option<String>,
    source: String,
    text: String,
    payload: String,
    created_ms: i64,
    expires_ms: Option<i64>,
}

impl TryFrom<EntryRow> for StoredEntry {
    type Error = JournalError;

    fn try_from(row: EntryRow) -> Result<Self> {
        let bad = |why: String| JournalError::BadRow(format!("entry {}: {why}", row.id));
        Ok(Self {
            collection: row.collection.parse::<Collection>().map_err(bad)?,
            payload: serde_json::from_str(&row.payload).map_err(|why| bad(why.to_string()))?,
            run: row.run_id.map(RunId::new),
            phase: row.phase_id.map(PhaseId::new),
            source: row.source,
            text: row.text,
            created: UnixMs(row.created_ms),
            expires: row.expires_ms.map(UnixMs),
            id: EntryId::from_stored(row.id),
        })
    }
}

/// Converts a vector to little-endian f32, the format of Qdrant and FAISS.
pub(super) fn to_blob(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|x| x.to_le_bytes()).collect()
}

pub(super) fn from_blob(blob: &[u8]) -> Vec<f32> {
    let (words, _) = blob.as_chunks::<4>();
    words.iter().map(|word| f32::from_le_bytes(*word)).collect()
}

#[cfg(test)]
mod tests;
