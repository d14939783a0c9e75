//! The change log: what an index that follows the journal has to do next, and how far it has come.

use sqlx::FromRow;

use super::{Doing, Journal, JournalError, Result, from_blob};
use crate::memory::memory_entry::{Collection, EntryId};
use crate::phase::UnixMs;

/// One step for a follower. The numbers only grow; an entry's later change replaces its earlier one.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub n: i64,
    pub id: EntryId,
    pub collection: Collection,
    pub embedder: String,
    /// `None` is a tombstone.
    pub vector: Option<Vec<f32>>,
}

/// A vector that counts, without the vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    pub n: i64,
    pub id: EntryId,
    pub collection: Collection,
}

/// An entry that has no vector of the embedder in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    pub id: EntryId,
    pub hash: String,
    pub text: String,
}

#[derive(FromRow)]
struct ChangeRow {
    n: i64,
    entry_id: String,
    collection: String,
    embedder: String,
    vector: Option<Vec<u8>>,
}

impl TryFrom<ChangeRow> for Change {
    type Error = JournalError;

    fn try_from(row: ChangeRow) -> Result<Self> {
        Ok(Self {
            n: row.n,
            collection: collection(row.n, &row.collection)?,
            id: EntryId::from_stored(row.entry_id),
            embedder: row.embedder,
            vector: row.vector.as_deref().map(from_blob),
        })
    }
}

fn collection(n: i64, name: &str) -> Result<Collection> {
    name.parse().map_err(|why| JournalError::BadRow(format!("change {n}: {why}")))
}

impl Journal {
    /// The next changes after `n`: vectors of this embedder, tombstones of any.
    pub async fn changes_after(&self, n: i64, embedder: &str, limit: u32) -> Result<Vec<Change>> {
        let rows: Vec<ChangeRow> = sqlx::query_as(
            "SELECT n, entry_id, collection, embedder, vector FROM change
             WHERE n > ? AND (embedder = ? OR vector IS NULL) ORDER BY n LIMIT ?",
        )
        .bind(n)
        .bind(embedder)
        .bind(limit)
        .fetch_all(&self.readers)
        .await
        .doing("read from")?;
        rows.into_iter().map(Change::try_from).collect()
    }

    pub async fn last_change(&self) -> Result<i64> {
        sqlx::query_scalar("SELECT coalesce(max(n), 0) FROM change")
            .fetch_one(&self.readers)
            .await
            .doing("read from")
    }

    /// Every vector that counts under an embedder, in the order of their numbers.
    pub async fn puts(&self, embedder: &str) -> Result<Vec<Put>> {
        let rows: Vec<(i64, String, String)> = sqlx::query_as(
            "SELECT n, entry_id, collection FROM change
             WHERE embedder = ? AND vector IS NOT NULL ORDER BY n",
        )
        .bind(embedder)
        .fetch_all(&self.readers)
        .await
        .doing("read from")?;
        let put = |(n, id, name): (i64, String, String)| {
            Ok(Put { n, id: EntryId::from_stored(id), collection: collection(n, &name)? })
        };
        rows.into_iter().map(put).collect()
    }

    /// The changes of these entries under an embedder, vectors and tombstones.
    pub async fn changes_of(&self, ids: &[EntryId], embedder: &str) -> Result<Vec<Change>> {
        let rows: Vec<ChangeRow> = sqlx::query_as(
            "SELECT n, entry_id, collection, embedder, vector FROM change
             WHERE embedder = ?1 AND entry_id IN (SELECT value FROM json_each(?2)) ORDER BY n",
        )
        .bind(embedder)
        .bind(super::read_entries::json_list(ids))
        .fetch_all(&self.readers)
        .await
        .doing("read from")?;
        rows.into_iter().map(Change::try_from).collect()
    }

    /// Vectors by their numbers, growing.
    pub async fn vectors(&self, numbers: &[i64]) -> Result<Vec<Change>> {
        let rows: Vec<ChangeRow> = sqlx::query_as(
            "SELECT n, entry_id, collection, embedder, vector FROM change
             WHERE vector IS NOT NULL AND n IN (SELECT value FROM json_each(?)) ORDER BY n",
        )
        .bind(serde_json::Value::from(numbers).to_string())
        .fetch_all(&self.readers)
        .await
        .doing("read from")?;
        rows.into_iter().map(Change::try_from).collect()
    }

    /// Entries that have no vector yet.
    pub async fn unembedded(&self, limit: u32) -> Result<Vec<Pending>> {
        let rows = sqlx::query_as(
            "SELECT id, hash, text FROM entry WHERE embedder IS NULL ORDER BY row_id LIMIT ?",
        );
        Ok(pending(rows.bind(limit).fetch_all(&self.readers).await.doing("read from")?))
    }

    /// Entries whose vector another embedder made.
    pub async fn stale(&self, embedder: &str, limit: u32) -> Result<Vec<Pending>> {
        let rows = sqlx::query_as(
            "SELECT id, hash, text FROM entry WHERE embedder < ?1 OR embedder > ?1 LIMIT ?2",
        )
        .bind(embedder)
        .bind(limit);
        Ok(pending(rows.fetch_all(&self.readers).await.doing("read from")?))
    }

    /// Of the vectors that an embedder made; `None` if it made none.
    pub async fn dimensions(&self, embedder: &str) -> Result<Option<usize>> {
        let bytes: Option<i64> = sqlx::query_scalar(
            "SELECT length(vector) FROM change WHERE embedder = ? AND vector IS NOT NULL LIMIT 1",
        )
        .bind(embedder)
        .fetch_optional(&self.readers)
        .await
        .doing("read from")?;
        Ok(bytes
            .and_then(|bytes| usize::try_from(bytes).ok())
            .map(|bytes| bytes / size_of::<f32>()))
    }

    /// How far a follower has come; 0 at its start.
    pub async fn applied(&self, follower: &str) -> Result<i64> {
        let n = sqlx::query_scalar("SELECT applied_n FROM follower WHERE name = ?")
            .bind(follower)
            .fetch_optional(&self.readers)
            .await
            .doing("read from")?;
        Ok(n.unwrap_or(0))
    }

    /// How many changes a follower has still to apply that stands at `n`.
    pub async fn behind(&self, n: i64, embedder: &str) -> Result<u64> {
        let changes: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM change WHERE n > ? AND (embedder = ? OR vector IS NULL)",
        )
        .bind(n)
        .bind(embedder)
        .fetch_one(&self.readers)
        .await
        .doing("read from")?;
        Ok(changes.unsigned_abs())
    }

    pub async fn set_applied(&self, follower: &str, n: i64, now: UnixMs) -> Result<()> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "INSERT OR REPLACE INTO follower (name, applied_n, synced_ms) VALUES (?, ?, ?)",
        )
        .bind(follower)
        .bind(n)
        .bind(now.0)
        .execute(&mut *tx)
        .await
        .doing("write to")?;
        tx.commit().await.doing("write to")
    }
}

fn pending(rows: Vec<(String, String, String)>) -> Vec<Pending> {
    let one = |(id, hash, text)| Pending { id: EntryId::from_stored(id), hash, text };
    rows.into_iter().map(one).collect()
}
