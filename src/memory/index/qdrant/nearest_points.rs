//! Search for the points nearest to a vector, in several collections.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::try_join_all;
use qdrant_client::qdrant::with_payload_selector::SelectorOptions;
use qdrant_client::qdrant::{
    Condition, Filter as PointFilter, PayloadIncludeSelector, QueryPointsBuilder,
};

use super::call::{Result, absent};
use super::{DEADLINE, Qdrant, point};
use crate::memory::memory_entry::{Collection, EntryFilter, EntryId, StoredEntry};

/// Deadline of a search over all collections; the rest of a phase's waiting time is for the fallback.
const SEARCH_DEADLINE: Duration = Duration::from_secs(1);

/// A search result: entry id, cosine, and the whole entry if owned by another workspace.
#[derive(Clone, Debug, PartialEq)]
pub struct PointMatch {
    /// Id of the entry.
    pub id: EntryId,
    /// Cosine, from -1 to 1.
    pub score: f32,
    /// The entry, for a point of another workspace.
    pub foreign: Option<StoredEntry>,
}

impl Qdrant {
    /// Returns the `k` nearest points of this workspace and its repository, or of all, best first.
    ///
    /// # Errors
    /// Qdrant does not answer or refuses.
    pub async fn search(
        &self,
        vector: &[f32],
        filter: &EntryFilter,
        everywhere: bool,
        k: usize,
    ) -> Result<Vec<PointMatch>> {
        let searches = filter
            .collections()
            .iter()
            .map(|collection| self.search_one(*collection, vector, filter, everywhere, k));
        let all = tokio::time::timeout(SEARCH_DEADLINE, try_join_all(searches)).await;
        let mut found: Vec<PointMatch> = match all {
            Ok(found) => found?.into_iter().flatten().collect(),
            Err(_) => {
                self.breaker.failed();
                return Err(
                    self.down(&format!("did not answer within {} s", SEARCH_DEADLINE.as_secs()))
                );
            }
        };
        found.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
        // While points of an earlier version are rewritten, an entry may exist under both ids.
        let mut seen = HashSet::new();
        found.retain(|found| seen.insert(found.id.clone()));
        found.truncate(k);
        Ok(found)
    }

    async fn search_one(
        &self,
        collection: Collection,
        vector: &[f32],
        filter: &EntryFilter,
        everywhere: bool,
        k: usize,
    ) -> Result<Vec<PointMatch>> {
        let mut must = Vec::new();
        let own = || Condition::matches(point::WORKSPACE, self.workspace.clone());
        // Each machine has its own copy of the documents.
        let shared = self.repository.as_ref().filter(|_| collection != Collection::CodeDocs);
        let should = match (everywhere, shared) {
            (true, _) => Vec::new(),
            (false, None) => {
                must.push(own());
                Vec::new()
            }
            // Points of earlier versions have no repository.
            (false, Some(repository)) => {
                vec![own(), Condition::matches(point::REPOSITORY, repository.clone())]
            }
        };
        let is_own_only = !everywhere && should.is_empty();
        if let Some(run) = &filter.run {
            must.push(Condition::matches(point::RUN, run.as_str().to_owned()));
        }
        let payload = match is_own_only {
            false => SelectorOptions::Enable(true),
            true => {
                let fields = vec![point::ENTRY.to_owned(), point::WORKSPACE.to_owned()];
                SelectorOptions::Include(PayloadIncludeSelector { fields })
            }
        };
        let name = Self::collection_name(collection, &self.embedder);
        let request = QueryPointsBuilder::new(name)
            .query(vector.to_vec())
            .filter(PointFilter { must, should, ..PointFilter::default() })
            .limit(k as u64)
            .with_payload(payload);
        let answer = self.call("search", DEADLINE, self.client.query(request)).await;
        let Some(answer) = absent(answer)? else {
            return Ok(Vec::new());
        };
        let found = answer.result.into_iter().filter_map(|scored| {
            let point = point::id(scored.id)?;
            let is_own = point::text(&scored.payload, point::WORKSPACE) == Some(&self.workspace);
            if is_own || is_own_only {
                let id = point::entry_id(&point, &scored.payload);
                return Some(PointMatch { id, score: scored.score, foreign: None });
            }
            // A copied workspace has entries with the same ids; the ids of the points differ.
            let id = EntryId::from_stored(point);
            let foreign = point::stored_entry(id.clone(), &scored.payload);
            Some(PointMatch { id, score: scored.score, foreign })
        });
        Ok(found.collect())
    }
}
