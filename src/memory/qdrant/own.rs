//! This workspace's points: written, deleted, counted, listed and read. Another workspace's are never touched.

use std::collections::HashMap;

use qdrant_client::qdrant::{
    Condition, CountPointsBuilder, DeletePointsBuilder, Filter as PointFilter, GetPointsBuilder,
    PayloadIncludeSelector, PointId, ScrollPointsBuilder, UpsertPointsBuilder,
};

use super::call::{Result, absent};
use super::{BATCH_DEADLINE, DEADLINE, OwnPoint, Qdrant, point};
use crate::memory::entry::{Collection, EntryId, Kept};
use crate::memory::journal::Change;

const SCROLL_PAGE: u32 = 1_000;

impl Qdrant {
    /// Writes points; `entries` has the entry of every change that bears a vector.
    pub async fn upsert(
        &self,
        changes: &[&Change],
        entries: &HashMap<EntryId, Kept>,
    ) -> Result<()> {
        let mut by_collection: HashMap<Collection, Vec<_>> = HashMap::new();
        for change in changes {
            if let (Some(vector), Some(entry)) = (&change.vector, entries.get(&change.id)) {
                let point = point::of(entry, change.n, vector.clone(), &self.workspace);
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
                // Somebody removed the collection since it was seen: it is made again on the next try.
                self.known().remove(&name);
                return Err(self.down("lost a collection"));
            }
        }
        Ok(())
    }

    /// Removes points of this workspace, by id.
    pub async fn delete(&self, name: &str, ids: &[EntryId]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let ids = ids.iter().map(|id| PointId::from(id.as_str()));
        let ours = PointFilter::must([
            Condition::has_id(ids),
            Condition::matches(point::WORKSPACE, self.workspace.clone()),
        ]);
        let request = DeletePointsBuilder::new(name).points(ours).wait(true);
        let answer =
            self.call("delete points", BATCH_DEADLINE, self.client.delete_points(request)).await;
        absent(answer).map(drop)
    }

    /// How many points of this workspace a collection holds.
    pub async fn count(&self, collection: Collection) -> Result<u64> {
        let request = CountPointsBuilder::new(Self::collection_name(collection, &self.embedder))
            .filter(self.ours())
            .exact(true);
        let answer = self.call("count points", DEADLINE, self.client.count(request)).await;
        Ok(absent(answer)?.and_then(|answer| answer.result).map_or(0, |result| result.count))
    }

    /// The ids and journal numbers of this workspace's points in a collection.
    pub async fn own(&self, collection: Collection) -> Result<Vec<OwnPoint>> {
        let name = Self::collection_name(collection, &self.embedder);
        let mut own = Vec::new();
        let mut offset: Option<PointId> = None;
        loop {
            let mut request = ScrollPointsBuilder::new(name.clone())
                .filter(self.ours())
                .limit(SCROLL_PAGE)
                .with_payload(PayloadIncludeSelector { fields: vec![point::NUMBER.to_owned()] })
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
                let n = point::number(&found.payload);
                point::id(found.id).map(|id| OwnPoint { id, n })
            }));
            offset = page.next_page_offset;
            if offset.is_none() {
                return Ok(own);
            }
        }
    }

    /// Points as entries with their vectors, to adopt them.
    pub async fn fetch(
        &self,
        collection: Collection,
        ids: &[EntryId],
    ) -> Result<Vec<(Kept, Vec<f32>)>> {
        let ids: Vec<PointId> = ids.iter().map(|id| PointId::from(id.as_str())).collect();
        let request = GetPointsBuilder::new(Self::collection_name(collection, &self.embedder), ids)
            .with_payload(true)
            .with_vectors(true);
        let answer =
            self.call("read points", BATCH_DEADLINE, self.client.get_points(request)).await;
        let found = absent(answer)?.map(|answer| answer.result).unwrap_or_default();
        Ok(found.into_iter().filter_map(point::entry).collect())
    }

    fn ours(&self) -> PointFilter {
        PointFilter::must([Condition::matches(point::WORKSPACE, self.workspace.clone())])
    }
}
