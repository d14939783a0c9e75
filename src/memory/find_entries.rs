//! Search by vector and by full text, fused; uses the active backend, within the time limit.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::time::{Duration, timeout};

use super::embed::tokens;
use super::inner::{Backend, MemoryWorker, PATIENCE, locked};
use super::memory_entry::{Collection, EntryFilter, EntryId, StoredEntry};
use super::normalise::normalise;
use super::recall::{RankedEntry, fuse};
use super::{MemoryError, Query, Recall, Snippet};

/// Results of each kind to fuse, for any limit: an entry twentieth in both lists may be third in the result.
const POOL: usize = 50;
/// Share of the waiting time for the vector search; the rest is for fusing and reading.
const VECTOR_PATIENCE: Duration = Duration::from_millis(1_500);

const FOR_A_PHASE: [Collection; 4] =
    [Collection::RunSummaries, Collection::DoctorHints, Collection::Planning, Collection::CodeDocs];
const FOR_A_FAILURE: [Collection; 3] =
    [Collection::DoctorHints, Collection::ErrorsCi, Collection::RunSummaries];

/// Results by vector, best first, with the whole entries of other workspaces.
#[derive(Default)]
struct VectorMatches {
    ids: Vec<EntryId>,
    foreign: HashMap<EntryId, StoredEntry>,
}

impl VectorMatches {
    /// Returns the entries of other workspaces that share a word with the query. The full-text index of this workspace does
    /// not have them.
    fn foreign_with_words_of(&self, query: &str) -> HashSet<EntryId> {
        let words: HashSet<String> = tokens::terms(query).into_iter().collect();
        let shares_word = |entry: &StoredEntry| {
            tokens::terms(&entry.text).iter().any(|word| words.contains(word))
        };
        let sharing = self.foreign.iter().filter(|(_, entry)| shares_word(entry));
        sharing.map(|(id, _)| id.clone()).collect()
    }
}

impl MemoryWorker {
    pub async fn recall(self: &Arc<Self>, recall: &Recall) -> Vec<Snippet> {
        if matches!(self.backend(), Backend::Suspended | Backend::Lost) {
            self.check_qdrant_in_background();
            return Vec::new();
        }
        match timeout(PATIENCE, self.recall_all(recall)).await {
            Ok(Ok(snippets)) => snippets,
            Ok(Err(error)) => {
                self.note(error);
                Vec::new()
            }
            Err(_) => {
                self.note("the recall timed out");
                Vec::new()
            }
        }
    }

    /// Collects the snippets; for a retry, entries about the failure come before entries about the phase.
    async fn recall_all(self: &Arc<Self>, recall: &Recall) -> Result<Vec<Snippet>, MemoryError> {
        let query = |text: String, collections: &[Collection]| Query {
            text,
            filter: EntryFilter { collections: collections.to_vec(), run: recall.run.clone() },
            everywhere: false,
            limit: recall.limit,
        };
        let of_phase = query(recall.phase.clone(), &FOR_A_PHASE);
        let (of_failure, of_phase) = match &recall.failure {
            Some(failure) => {
                let of_failure = query(normalise(failure), &FOR_A_FAILURE);
                tokio::try_join!(self.search(&of_failure), self.search(&of_phase))?
            }
            None => (Vec::new(), self.search(&of_phase).await?),
        };
        Ok(limit_snippets(interleave(of_failure, of_phase), recall))
    }

    pub async fn search(self: &Arc<Self>, query: &Query) -> Result<Vec<Snippet>, MemoryError> {
        let pool = POOL.max(query.limit);
        let near = timeout(VECTOR_PATIENCE, self.find_nearest(query, pool));
        let lexical = self.journal.search_text(&query.text, &query.filter, pool);
        let (near, lexical) = tokio::join!(near, lexical);
        let lexical: Vec<EntryId> = lexical?.into_iter().map(|hit| hit.id).collect();
        let near = match near {
            Ok(Ok(near)) => near,
            Ok(Err(error)) => {
                self.note(error);
                VectorMatches::default()
            }
            Err(_) => VectorMatches::default(),
        };
        let ranked = fuse(&near.ids, &lexical, &near.foreign_with_words_of(&query.text));
        self.snippets(ranked, near.foreign, query.limit).await
    }

    async fn find_nearest(
        self: &Arc<Self>,
        query: &Query,
        pool: usize,
    ) -> Result<VectorMatches, MemoryError> {
        let vectors = self.embedder.embed(vec![query.text.clone()]).await?;
        let Some(vector) = vectors.into_iter().next() else {
            return Ok(VectorMatches::default());
        };
        if let Some(qdrant) = &self.qdrant
            && self.backend() == Backend::Qdrant
        {
            match qdrant.search(&vector, &query.filter, query.everywhere, pool).await {
                Ok(found) => {
                    let found =
                        found.into_iter().filter(|found| found.score >= self.embedder.floor());
                    let mut near = VectorMatches::default();
                    for found in found {
                        near.ids.push(found.id.clone());
                        near.foreign.extend(found.foreign.map(|entry| (found.id, entry)));
                    }
                    return Ok(near);
                }
                Err(error) => self.switch_to_fallback(&error),
            }
        }
        self.check_qdrant_in_background();
        if !self.faiss_stands_in() {
            return Ok(VectorMatches::default());
        }
        Ok(VectorMatches {
            ids: self.near_in_process(&vector, &query.filter, pool).await?,
            foreign: HashMap::new(),
        })
    }

    /// Checks whether FAISS replaces Qdrant, also for a Qdrant that refuses calls but is still the active backend.
    fn faiss_stands_in(&self) -> bool {
        let qdrant = &self.settings.qdrant;
        match self.backend() {
            Backend::Faiss => true,
            Backend::Qdrant => qdrant.fallback_to_faiss && !qdrant.require,
            Backend::Off | Backend::Suspended | Backend::Lost => false,
        }
    }

    async fn near_in_process(
        &self,
        vector: &[f32],
        filter: &EntryFilter,
        pool: usize,
    ) -> Result<Vec<EntryId>, MemoryError> {
        let faiss = self.refresh_faiss().await?;
        let only: Option<HashSet<i64>> = match &filter.run {
            Some(_) => {
                let numbers = self.journal.numbers(filter, self.embedder.id()).await?;
                Some(numbers.into_iter().collect())
            }
            None => None,
        };
        let (vector, collections) = (vector.to_vec(), filter.collections().to_vec());
        let searching = tokio::task::spawn_blocking(move || {
            locked(&faiss).search(&vector, &collections, only.as_ref(), pool)
        });
        let found = searching.await.map_err(|error| MemoryError::Setup(error.to_string()))??;
        let numbers: Vec<i64> = found
            .iter()
            .filter(|found| found.score >= self.embedder.floor())
            .map(|found| found.n)
            .collect();
        let mut ids = self.journal.ids_of(&numbers).await?;
        Ok(numbers.iter().filter_map(|n| ids.remove(n)).collect())
    }

    async fn snippets(
        &self,
        ranked: Vec<RankedEntry>,
        mut foreign: HashMap<EntryId, StoredEntry>,
        limit: usize,
    ) -> Result<Vec<Snippet>, MemoryError> {
        let ids: Vec<EntryId> = ranked.iter().map(|ranked| ranked.id.clone()).collect();
        let mut entries = self.journal.entries(&ids).await?;
        let snippets = ranked.into_iter().filter_map(|RankedEntry { id, score, via }| {
            let entry = entries.remove(&id).or_else(|| foreign.remove(&id))?;
            Some(Snippet {
                id,
                collection: entry.collection,
                run: entry.run,
                phase: entry.phase,
                source: entry.source,
                text: entry.text,
                created: entry.created,
                score,
                via,
            })
        });
        Ok(snippets.take(limit).collect())
    }
}

/// Interleaves two lists, starting with the first; each entry once.
fn interleave(first: Vec<Snippet>, second: Vec<Snippet>) -> Vec<Snippet> {
    let mut seen = HashSet::new();
    let mut merged = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        let pair = [first.next(), second.next()];
        if pair.iter().all(Option::is_none) {
            return merged;
        }
        merged.extend(pair.into_iter().flatten().filter(|snippet| seen.insert(snippet.id.clone())));
    }
}

/// Limits the snippets for the prompt; the last text may be shortened if a useful length remains.
fn limit_snippets(snippets: Vec<Snippet>, recall: &Recall) -> Vec<Snippet> {
    const WORTH_CUTTING: usize = 200;
    let mut left = recall.max_chars;
    let mut kept = Vec::new();
    for mut snippet in snippets.into_iter().take(recall.limit) {
        let chars = snippet.text.chars().count();
        if chars > left {
            if left < WORTH_CUTTING {
                break;
            }
            snippet.text = snippet.text.chars().take(left - 1).chain(['…']).collect();
        }
        left -= chars.min(left);
        kept.push(snippet);
    }
    kept
}
