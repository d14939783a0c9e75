//! This workspace's points: written, deleted, counted, listed and read. Points of other workspaces are never changed.

use std::collections::HashMap;

use qdrant_client::qdrant::{
    Condition, DeletePointsBuilder, Filter as PointFilter, GetPointsBuilder,
    PayloadIncludeSelector, PointId, ScrollPointsBuilder, UpsertPointsBuilder,
};

use super::call::{Result, absent};
use super::{BATCH_DEADLINE, ListedPoint, Qdrant, point};
use crate::memory::journal::Change;
use crate::memory::memory_entry::{Collection, EntryId, StoredEntry};

const SCROLL_PAGE: u32 = 1_000;

impl Qdrant {
    /// Writes points; `entries` holds the entry of every change with a vector.
    ///
    /// # Errors
    /// Qdrant does not answer or refuses.
    pub async fn upsert(
        &self,
        changes: &[&Change],
        entries: &HashMap<EntryId, StoredEntry>,
    ) -> Result<()> {
        let mut by_collection: HashMap<Collection, Vec<_>> = HashMap::new();
        for change in changes {
            if let (Some(vector), Some(entry)) = (&change.vector, entries.get(&change.id)) {
                let owner = (self.workspace.as_str(), self.repository.as_deref());
                let point = point::of(entry, change.n, vector.clone(), owner);
                by_collection.entry(change.collection).or_default().push((vector.len(), point));
            }
        }
        for (collection, points) in by_collection {
            let name = Self::collection_name(collection, &self.embedder);
            let dimensions = points.first().map_or(0, |(dimensions, _)| *dimensions);
            self.ensure(&name, dimensions).await?;
            let points: Vec<_> = points.into_iter().map(|(_, point)| point).collect();
            let request = UpsertPointsBuilder::new(name.clone(), points).wait(true);
            let answer =
                self.call("write points", BATCH_DEADLINE, self.client.upsert_points(request)).await;
            if absent(answer)?.is_none() {
                // The collection was removed meanwhile; the next try creates the collection again.
                self.known().remove(&name);
                return Err(self.down("lost a collection"));
            }
        }
        Ok(())
    }

    /// Removes the points of entries, under the current id and the id used by earlier versions.
    ///
    /// # Errors
    /// Qdrant does not answer or refuses.
    pub async fn delete(&self, name: &str, ids: &[EntryId]) -> Result<()> {
        let both = |id: &EntryId| [self.point_of(id), id.as_str().to_owned()];
        self.delete_points(name, ids.iter().flat_map(both)).await
    }

    /// Removes points by their ids in Qdrant, limited to this workspace.
    ///
    /// # Errors
    /// Qdrant does not answer or refuses.
    pub async fn delete_points(
        &self,
        name: &str,
        points: impl IntoIterator<Item = String>,
    ) -> Result<()> {
        let ids: Vec<PointId> = points.into_iter().map(PointId::from).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let ours = PointFilter::must([
            Condition::has_id(ids),
            Condition::matches(point::WORKSPACE, self.workspace.clone()),
        ]);
        let request = DeletePointsBuilder::new(name).points(ours).wait(true);
        let answer =
            self.call("delete points", BATCH_DEADLINE, self.client.delete_points(request)).await;
        absent(answer).map(drop)
    }

    /// Returns the id of an entry's point in Qdrant.
    pub fn point_of(&self, entry: &EntryId) -> String {
        point::id_of(&self.workspace, entry)
    }

    /// Returns the ids, entries and journal numbers of this workspace's points in a collection.
    ///
    /// # Errors
    /// Qdrant does not answer or refuses.
    pub async fn own(&self, collection: Collection) -> Result<Vec<ListedPoint>> {
        let name = Self::collection_name(collection, &self.embedder);
        let fields = vec![point::NUMBER.to_owned(), point::ENTRY.to_owned()];
        let mut own = Vec::new();
        let mut offset: Option<PointId> = None;
        loop {
            let mut request = ScrollPointsBuilder::new(name.clone())
                .filter(self.ours())
                .limit(SCROLL_PAGE)
                .with_payload(PayloadIncludeSelector { fields: fields.clone() })
                .with_vectors(false);
            if let Some(offset) = offset.take() {
                request = request.offset(offset);
            }
            let answer =
                self.call("list points", BATCH_DEADLINE, self.client.scroll(request)).await;
            let Some(page) = absent(answer)? else {
                return Ok(own);
            };
            own.extend(page.result.into_iter().filter_map(|found| {
                let point = point::id(found.id)?;
                let entry = point::entry_id(&point, &found.payload);
                Some(ListedPoint { point, entry, n: point::number(&found.payload) })
            }));
            offset = page.next_page_offset;
            if offset.is_none() {
                return Ok(own);
            }
        }
    }

    /// Reads points as entries with vectors, for adoption.
    ///
    /// # Errors
    /// Qdrant does not answer or refuses.
    pub async fn fetch(
        &self,
        collection: Collection,
        points: &[String],
    ) -> Result<Vec<(StoredEntry, Vec<f32>)>> {
        let ids: Vec<PointId> = points.iter().cloned().map(PointId::from).collect();
        let request = GetPointsBuilder::new(Self::collection_name(collection, &self.embedder), ids)
            .with_payload(true)
            .with_vectors(true);
        let answer =
            self.call("read points", BATCH_DEADLINE, self.client.get_points(request)).await;
        let found = absent(answer)?.map(|answer| answer.result).unwrap_or_default();
        Ok(found.into_iter().filter_map(point::entry).collect())
    }

    pub(super) fn ours(&self) -> PointFilter {
        PointFilter::must([Condition::matches(point::WORKSPACE, self.workspace.clone())])
    }
}
