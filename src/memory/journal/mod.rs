//! The journal: where every memory is written first, with its vector. Indexes follow it and can be rebuilt from it.
//!
//! It is a database of its own (`.autopack/memory.db`) and knows nothing of Qdrant, FAISS or phases' states.

mod changes;
mod open_journal;
mod read_entries;
mod write_entries;

use std::path::{Path, PathBuf};

use sqlx::{FromRow, SqlitePool};

use super::memory_entry::{Collection, EntryId, Kept};
use crate::phase::{PhaseId, RunId, UnixMs};

pub use changes::{Change, Pending, Put};
pub use open_journal::Opened;
pub use read_entries::Hit;
pub use write_entries::{Embedded, Written};

/// In `.autopack`.
pub const JOURNAL: &str = "memory.db";

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("cannot open the memory's journal {path}: {why}")]
    Open { path: PathBuf, why: String },
    #[error(
        "{path} is another program's database; move it away, the memory's journal belongs there"
    )]
    Foreign { path: PathBuf },
    #[error("the memory's journal {path} was written by a newer autopack; update this one")]
    Newer { path: PathBuf },
    #[error("the memory's journal {path} is broken")]
    Broken { path: PathBuf },
    #[error("the memory's journal holds a row that cannot be read: {0}")]
    BadRow(String),
    #[error("cannot {doing} the memory's journal: {source}")]
    Sql { doing: &'static str, source: sqlx::Error },
}

type Result<T> = std::result::Result<T, JournalError>;

impl JournalError {
    /// Somebody else is writing: SQLITE_BUSY (5) and SQLITE_LOCKED (6), or our own queue before the one writer.
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

/// Cheap to clone: the clones share their connections.
#[derive(Clone, Debug)]
pub struct Journal {
    /// One connection: SQLite has one writer anyway, and waiting here is fairer than SQLITE_BUSY.
    writer: SqlitePool,
    readers: SqlitePool,
    path: PathBuf,
}

impl Journal {
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Names what was being done, for a person, where sqlx only says what went wrong.
trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T>;
}

impl<T> Doing<T> for std::result::Result<T, sqlx::Error> {
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

impl TryFrom<EntryRow> for Kept {
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

/// Vectors are little-endian f32, as Qdrant and FAISS want them.
pub(super) fn to_blob(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|x| x.to_le_bytes()).collect()
}

pub(super) fn from_blob(blob: &[u8]) -> Vec<f32> {
    let (words, _) = blob.as_chunks::<4>();
    words.iter().map(|word| f32::from_le_bytes(*word)).collect()
}

#[cfg(test)]
mod tests;
