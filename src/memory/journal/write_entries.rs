//! Writing: entries with vectors, removals with tombstones; each call is a single transaction.

use sqlx::query::QueryScalar;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Sqlite, Transaction};

use super::{Journal, JournalContext, Result, to_blob};
use crate::memory::embed::tokens;
use crate::memory::memory_entry::{EntryId, StoredEntry};
use crate::phase::UnixMs;

/// Number of entries by result of a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteCounts {
    /// New entries.
    pub new: usize,
    /// Changed entries.
    pub updated: usize,
    /// Existing entries without a change.
    pub unchanged: usize,
}

/// A vector, with the hash of the embedded text.
#[derive(Clone, Debug, PartialEq)]
pub struct EntryVector {
    /// Id of the entry.
    pub id: EntryId,
    /// Hash of the embedded text.
    pub hash: String,
    /// The vector.
    pub vector: Vec<f32>,
}

/// Minimum extension of a lifetime: repeated writes of the same entry cost nothing.
const WORTH_RENEWING_MS: i64 = 60 * 60 * 1_000;

type Tx<'c> = Transaction<'c, Sqlite>;

impl Journal {
    pub(super) async fn begin(&self) -> Result<Tx<'static>> {
        // A deferred transaction with a later write returns BUSY without waiting.
        self.writer.begin_with("BEGIN IMMEDIATE").await.doing("write to")
    }

    /// Writes entries without vectors and removes superseded entries in the same transaction.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub async fn put(&self, entries: &[(StoredEntry, Vec<EntryId>)]) -> Result<WriteCounts> {
        let mut tx = self.begin().await?;
        let mut written = WriteCounts::default();
        for (entry, supersedes) in entries {
            put_one(&mut tx, entry, &mut written).await?;
            for old in supersedes.iter().filter(|old| **old != entry.id) {
                remove_one(&mut tx, old).await?;
            }
        }
        tx.commit().await.doing("write to")?;
        Ok(written)
    }

    /// Stores vectors of an embedder. Vectors of other embedders become tombstones, so that no index keeps two vectors
    /// of an entry. Entries removed or changed meanwhile are skipped.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub async fn store_vectors(&self, embedder: &str, vectors: &[EntryVector]) -> Result<()> {
        let mut tx = self.begin().await?;
        for embedded in vectors {
            store_vector(&mut tx, embedder, embedded).await?;
        }
        tx.commit().await.doing("write to")
    }

    /// Adds entries found in another index, with vectors. Known entries stay unchanged. Returns the number added.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub async fn adopt(&self, embedder: &str, found: &[(StoredEntry, Vec<f32>)]) -> Result<usize> {
        let mut tx = self.begin().await?;
        let mut written = WriteCounts::default();
        for (entry, vector) in found {
            if is_known(&mut tx, &entry.id).await? {
                continue;
            }
            put_one(&mut tx, entry, &mut written).await?;
            let hash = entry.hash();
            let embedded = EntryVector { id: entry.id.clone(), hash, vector: vector.clone() };
            store_vector(&mut tx, embedder, &embedded).await?;
        }
        tx.commit().await.doing("write to")?;
        Ok(written.new)
    }

    /// Adds entries without vectors: the existing vectors are useless here, so the entries wait for new vectors.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub async fn adopt_texts(&self, found: &[StoredEntry]) -> Result<usize> {
        let mut tx = self.begin().await?;
        let mut written = WriteCounts::default();
        for entry in found {
            if !is_known(&mut tx, &entry.id).await? {
                put_one(&mut tx, entry, &mut written).await?;
            }
        }
        tx.commit().await.doing("write to")?;
        Ok(written.new)
    }

    /// Removes entries; returns the number removed.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub async fn remove(&self, ids: &[EntryId]) -> Result<usize> {
        let mut tx = self.begin().await?;
        let mut removed = 0;
        for id in ids {
            removed += usize::from(remove_one(&mut tx, id).await?);
        }
        tx.commit().await.doing("write to")?;
        Ok(removed)
    }

    /// Removes expired entries; returns the number removed.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub async fn expire(&self, now: UnixMs) -> Result<usize> {
        // Usually nothing is expired, so the writer is not needed.
        if expired(now).fetch_optional(&self.readers).await.doing("read from")?.is_none() {
            return Ok(0);
        }
        // Query again inside the transaction, where nobody can renew an expired entry.
        let mut tx = self.begin().await?;
        let due = expired(now).fetch_all(&mut *tx).await.doing("read from")?;
        for id in &due {
            remove_one(&mut tx, &EntryId::from_stored(id)).await?;
        }
        tx.commit().await.doing("write to")?;
        Ok(due.len())
    }
}

type Ids = QueryScalar<'static, Sqlite, String, SqliteArguments>;

fn expired(now: UnixMs) -> Ids {
    sqlx::query_scalar("SELECT id FROM entry WHERE expires_ms <= ?").bind(now.0)
}

async fn put_one(tx: &mut Tx<'_>, entry: &StoredEntry, written: &mut WriteCounts) -> Result<()> {
    let hash = entry.hash();
    let before: Option<(i64, String)> =
        sqlx::query_as("SELECT row_id, hash FROM entry WHERE id = ?")
            .bind(entry.id.as_str())
            .fetch_optional(&mut **tx)
            .await
            .doing("write to")?;
    match before {
        Some((row_id, old)) if old == hash => {
            written.unchanged += 1;
            return renew(tx, row_id, entry).await;
        }
        Some((row_id, _)) => {
            written.updated += 1;
            delete_row(tx, row_id).await?;
        }
        None => written.new += 1,
    }
    let row_id = insert(tx, entry, &hash).await?;
    index_terms(tx, row_id, entry).await?;
    // An existing vector belongs to the old text.
    write_tombstone(tx, &entry.id).await
}

async fn insert(tx: &mut Tx<'_>, entry: &StoredEntry, hash: &str) -> Result<i64> {
    let done = sqlx::query(
        "INSERT INTO entry (id, collection, run_id, phase_id, source, text, payload, hash, created_ms, expires_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(entry.id.as_str())
    .bind(entry.collection.as_str())
    .bind(entry.run.as_ref().map(|run| run.as_str()))
    .bind(entry.phase.as_ref().map(|phase| phase.as_str()))
    .bind(&entry.source)
    .bind(&entry.text)
    .bind(entry.payload.to_string())
    .bind(hash)
    .bind(entry.created.0)
    .bind(entry.expires.map(|expires| expires.0))
    .execute(&mut **tx)
    .await
    .doing("write to")?;
    Ok(done.last_insert_rowid())
}

/// Extends the lifetime of an entry written again.
async fn renew(tx: &mut Tx<'_>, row_id: i64, entry: &StoredEntry) -> Result<()> {
    sqlx::query(
        "UPDATE entry SET expires_ms = ?1 WHERE row_id = ?2
         AND (?1 IS NULL OR expires_ms IS NULL OR abs(?1 - expires_ms) >= ?3) AND ?1 IS NOT expires_ms",
    )
        .bind(entry.expires.map(|expires| expires.0))
        .bind(row_id)
        .bind(WORTH_RENEWING_MS)
        .execute(&mut **tx)
        .await
        .doing("write to")?;
    Ok(())
}

async fn index_terms(tx: &mut Tx<'_>, row_id: i64, entry: &StoredEntry) -> Result<()> {
    let terms = tokens::terms(&entry.text);
    sqlx::query("INSERT INTO entry_terms (rowid, terms) VALUES (?, ?)")
        .bind(row_id)
        .bind(terms.join(" "))
        .execute(&mut **tx)
        .await
        .doing("write to")?;
    Ok(())
}

async fn delete_row(tx: &mut Tx<'_>, row_id: i64) -> Result<()> {
    for sql in ["DELETE FROM entry_terms WHERE rowid = ?", "DELETE FROM entry WHERE row_id = ?"] {
        sqlx::query(sql).bind(row_id).execute(&mut **tx).await.doing("write to")?;
    }
    Ok(())
}

async fn remove_one(tx: &mut Tx<'_>, id: &EntryId) -> Result<bool> {
    let row_id: Option<i64> = sqlx::query_scalar("SELECT row_id FROM entry WHERE id = ?")
        .bind(id.as_str())
        .fetch_optional(&mut **tx)
        .await
        .doing("write to")?;
    let Some(row_id) = row_id else {
        return Ok(false);
    };
    delete_row(tx, row_id).await?;
    write_tombstone(tx, id).await?;
    Ok(true)
}

/// Turns every vector of an entry into a tombstone, each with a new number visible to followers.
async fn write_tombstone(tx: &mut Tx<'_>, id: &EntryId) -> Result<()> {
    let vectors: Vec<(String, String)> = sqlx::query_as(
        "SELECT collection, embedder FROM change WHERE entry_id = ? AND vector IS NOT NULL",
    )
    .bind(id.as_str())
    .fetch_all(&mut **tx)
    .await
    .doing("write to")?;
    for (collection, embedder) in vectors {
        log(tx, id, &collection, &embedder, None).await?;
    }
    Ok(())
}

async fn store_vector(tx: &mut Tx<'_>, embedder: &str, embedded: &EntryVector) -> Result<()> {
    let collection: Option<String> = sqlx::query_scalar(
        "UPDATE entry SET embedder = ? WHERE id = ? AND hash = ? RETURNING collection",
    )
    .bind(embedder)
    .bind(embedded.id.as_str())
    .bind(&embedded.hash)
    .fetch_optional(&mut **tx)
    .await
    .doing("write to")?;
    let Some(collection) = collection else {
        return Ok(());
    };
    write_tombstone(tx, &embedded.id).await?;
    log(tx, &embedded.id, &collection, embedder, Some(to_blob(&embedded.vector))).await
}

/// Checks whether the entry exists, or was removed for good.
async fn is_known(tx: &mut Tx<'_>, id: &EntryId) -> Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM entry WHERE id = ?1) OR EXISTS (SELECT 1 FROM change WHERE entry_id = ?1)",
    )
    .bind(id.as_str())
    .fetch_one(&mut **tx)
    .await
    .doing("write to")
}

async fn log(
    tx: &mut Tx<'_>,
    id: &EntryId,
    collection: &str,
    embedder: &str,
    vector: Option<Vec<u8>>,
) -> Result<()> {
    sqlx::query("INSERT OR REPLACE INTO change (entry_id, collection, embedder, vector) VALUES (?, ?, ?, ?)")
        .bind(id.as_str())
        .bind(collection)
        .bind(embedder)
        .bind(vector)
        .execute(&mut **tx)
        .await
        .doing("write to")?;
    Ok(())
}
