//! Change log: next changes for an index following the journal, and the index's progress.

use sqlx::FromRow;

use super::{Journal, JournalContext, JournalError, Result, from_blob};
use crate::memory::memory_entry::{Collection, EntryId};
use crate::phase::UnixMs;

/// A change for a follower. Numbers only grow; a later change of an entry replaces the earlier change.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Number of the change.
    pub n: i64,
    /// Id of the entry.
    pub id: EntryId,
    /// Collection of the entry.
    pub collection: Collection,
    /// Id of the embedder.
    pub embedder: String,
    /// `None` is a tombstone.
    pub vector: Option<Vec<f32>>,
}

/// Reference to a live vector, without the vector itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VectorRef {
    /// Number of the change.
    pub n: i64,
    /// Id of the entry.
    pub id: EntryId,
    /// Collection of the entry.
    pub collection: Collection,
}

/// An entry without a vector of the current embedder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Id of the entry.
    pub id: EntryId,
    /// Hash of the text to embed.
    pub hash: String,
    /// Text to embed.
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
    /// Returns the next changes after `n`: vectors of this embedder, tombstones of any.
    ///
    /// # Errors
    /// The journal cannot be read.
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

    /// Returns the number of the last change, 0 without changes.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn last_change(&self) -> Result<i64> {
        sqlx::query_scalar("SELECT coalesce(max(n), 0) FROM change")
            .fetch_one(&self.readers)
            .await
            .doing("read from")
    }

    /// Returns all live vectors of an embedder, by increasing number.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn live_vectors(&self, embedder: &str) -> Result<Vec<VectorRef>> {
        let rows: Vec<(i64, String, String)> = sqlx::query_as(
            "SELECT n, entry_id, collection FROM change
             WHERE embedder = ? AND vector IS NOT NULL ORDER BY n",
        )
        .bind(embedder)
        .fetch_all(&self.readers)
        .await
        .doing("read from")?;
        let put = |(n, id, name): (i64, String, String)| {
            Ok(VectorRef { n, id: EntryId::from_stored(id), collection: collection(n, &name)? })
        };
        rows.into_iter().map(put).collect()
    }

    /// Returns the changes of these entries for an embedder, vectors and tombstones.
    ///
    /// # Errors
    /// The journal cannot be read.
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

    /// Returns vectors by number, in increasing order.
    ///
    /// # Errors
    /// The journal cannot be read.
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

    /// Returns entries without a vector.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn unembedded(&self, limit: u32) -> Result<Vec<Pending>> {
        let rows = sqlx::query_as(
            "SELECT id, hash, text FROM entry WHERE embedder IS NULL ORDER BY row_id LIMIT ?",
        );
        Ok(pending(rows.bind(limit).fetch_all(&self.readers).await.doing("read from")?))
    }

    /// Returns entries with a vector of another embedder.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn stale(&self, embedder: &str, limit: u32) -> Result<Vec<Pending>> {
        let rows = sqlx::query_as(
            "SELECT id, hash, text FROM entry WHERE embedder < ?1 OR embedder > ?1 LIMIT ?2",
        )
        .bind(embedder)
        .bind(limit);
        Ok(pending(rows.fetch_all(&self.readers).await.doing("read from")?))
    }

    /// Returns the length of an embedder's vectors; `None` without vectors.
    ///
    /// # Errors
    /// The journal cannot be read.
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

    /// Returns the last change applied by a follower; 0 at the start.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn applied(&self, follower: &str) -> Result<i64> {
        let n = sqlx::query_scalar("SELECT applied_n FROM follower WHERE name = ?")
            .bind(follower)
            .fetch_optional(&self.readers)
            .await
            .doing("read from")?;
        Ok(n.unwrap_or(0))
    }

    /// Returns how many changes after `n` a follower still has to apply.
    ///
    /// # Errors
    /// The journal cannot be read.
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

    /// Records the last change applied by a follower.
    ///
    /// # Errors
    /// The journal cannot be written.
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
