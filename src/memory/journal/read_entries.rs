//! Reading entries: by id, by filter, by full text.

use std::collections::{BTreeMap, HashMap};

use super::{EntryRow, Journal, JournalContext, Result};
use crate::memory::embed::tokens;
use crate::memory::memory_entry::{Collection, EntryFilter, EntryId, StoredEntry};

/// A result of the full-text search; a higher score is a better match.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// Id of the entry.
    pub id: EntryId,
    /// BM25 score.
    pub score: f32,
}

/// Query terms beyond this number only cost time: long logs repeat themselves.
const MOST_QUERY_TERMS: usize = 48;

impl Journal {
    /// Searches the full text by BM25: any of the query's terms, rare terms with the highest weight.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn search_text(
        &self,
        query: &str,
        filter: &EntryFilter,
        limit: usize,
    ) -> Result<Vec<Hit>> {
        let Some(expression) = expression(query) else {
            return Ok(Vec::new());
        };
        // bm25() is smaller for better matches.
        let rows: Vec<(String, f64)> = sqlx::query_as(
            "SELECT e.id, -bm25(entry_terms) FROM entry_terms JOIN entry e ON e.row_id = entry_terms.rowid
             WHERE entry_terms MATCH ?1
               AND e.collection IN (SELECT value FROM json_each(?2))
               AND (?3 IS NULL OR e.run_id = ?3)
             ORDER BY bm25(entry_terms), e.id LIMIT ?4",
        )
        .bind(expression)
        .bind(collections_json(filter))
        .bind(filter.run.as_ref().map(|run| run.as_str()))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.readers)
        .await
        .doing("search")?;
        let hit =
            |(id, score): (String, f64)| Hit { id: EntryId::from_stored(id), score: score as f32 };
        Ok(rows.into_iter().map(hit).collect())
    }

    /// Returns the existing entries with these ids.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn entries(&self, ids: &[EntryId]) -> Result<HashMap<EntryId, StoredEntry>> {
        let rows: Vec<EntryRow> = sqlx::query_as(
            "SELECT id, collection, run_id, phase_id, source, text, payload, created_ms, expires_ms
             FROM entry WHERE id IN (SELECT value FROM json_each(?))",
        )
        .bind(json_list(ids))
        .fetch_all(&self.readers)
        .await
        .doing("read from")?;
        rows.into_iter().map(|row| StoredEntry::try_from(row).map(|e| (e.id.clone(), e))).collect()
    }

    /// Returns the numbers of the vectors selected by a filter, for an index without knowledge of runs.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn numbers(&self, filter: &EntryFilter, embedder: &str) -> Result<Vec<i64>> {
        sqlx::query_scalar(
            "SELECT c.n FROM entry e JOIN change c ON c.entry_id = e.id
             WHERE e.collection IN (SELECT value FROM json_each(?1)) AND (?2 IS NULL OR e.run_id = ?2)
               AND c.embedder = ?3 AND c.vector IS NOT NULL",
        )
        .bind(collections_json(filter))
        .bind(filter.run.as_ref().map(|run| run.as_str()))
        .bind(embedder)
        .fetch_all(&self.readers)
        .await
        .doing("read from")
    }

    /// Returns entry ids by the numbers of their vectors.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn ids_of(&self, numbers: &[i64]) -> Result<HashMap<i64, EntryId>> {
        let list = serde_json::Value::from(numbers).to_string();
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "SELECT n, entry_id FROM change WHERE n IN (SELECT value FROM json_each(?))",
        )
        .bind(list)
        .fetch_all(&self.readers)
        .await
        .doing("read from")?;
        Ok(rows.into_iter().map(|(n, id)| (n, EntryId::from_stored(id))).collect())
    }

    /// Returns the sources of a collection, with the ids and payloads of their entries, for comparison with the disk.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn sources(
        &self,
        collection: Collection,
    ) -> Result<BTreeMap<String, Vec<StoredEntry>>> {
        let rows: Vec<EntryRow> = sqlx::query_as(
            "SELECT id, collection, run_id, phase_id, source, '' AS text, payload, created_ms, expires_ms
             FROM entry WHERE collection = ? ORDER BY source",
        )
        .bind(collection.as_str())
        .fetch_all(&self.readers)
        .await
        .doing("read from")?;
        let mut sources: BTreeMap<String, Vec<StoredEntry>> = BTreeMap::new();
        for row in rows {
            let entry = StoredEntry::try_from(row)?;
            sources.entry(entry.source.clone()).or_default().push(entry);
        }
        Ok(sources)
    }

    /// Counts the entries of each collection.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn counts(&self) -> Result<BTreeMap<String, u64>> {
        let rows: Vec<(String, i64)> =
            sqlx::query_as("SELECT collection, count(*) FROM entry GROUP BY collection")
                .fetch_all(&self.readers)
                .await
                .doing("read from")?;
        Ok(rows.into_iter().map(|(name, n)| (name, n.unsigned_abs())).collect())
    }

    /// Counts the entries without a vector of this embedder.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn waiting(&self, embedder: &str) -> Result<u64> {
        let n: i64 = sqlx::query_scalar("SELECT count(*) FROM entry WHERE embedder IS NOT ?")
            .bind(embedder)
            .fetch_one(&self.readers)
            .await
            .doing("read from")?;
        Ok(n.unsigned_abs())
    }
}

/// Returns an FTS5 expression: any of the query's distinct terms, each as a string.
fn expression(query: &str) -> Option<String> {
    let mut terms: Vec<String> = Vec::new();
    for term in tokens::terms(query) {
        if !terms.contains(&term) {
            terms.push(term);
        }
        if terms.len() == MOST_QUERY_TERMS {
            break;
        }
    }
    let quoted: Vec<String> = terms.iter().map(|term| format!("\"{term}\"")).collect();
    (!quoted.is_empty()).then(|| quoted.join(" OR "))
}

fn collections_json(filter: &EntryFilter) -> String {
    let names: Vec<&str> = filter.collections().iter().map(|c| c.as_str()).collect();
    serde_json::Value::from(names).to_string()
}

/// Returns a list of ids as JSON: SQLite limits the number of variables.
pub(super) fn json_list(ids: &[EntryId]) -> String {
    let ids: Vec<&str> = ids.iter().map(EntryId::as_str).collect();
    serde_json::Value::from(ids).to_string()
}
