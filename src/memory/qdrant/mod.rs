//! Qdrant over gRPC: our collections, our points, each call within a deadline and behind a circuit breaker.
//!
//! Every point bears its workspace; nothing here reads another's unless told to, and nothing ever writes another's.

mod breaker;
mod call;
mod point;

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;
use qdrant_client::Qdrant as Client;
use qdrant_client::qdrant::{
    Condition, CountPointsBuilder, CreateCollectionBuilder, CreateFieldIndexCollectionBuilder,
    DeletePointsBuilder, Distance, FieldType, Filter as PointFilter, GetPointsBuilder,
    PayloadIncludeSelector, PointId, QueryPointsBuilder, ScrollPointsBuilder, UpsertPointsBuilder,
    VectorParamsBuilder,
};

use super::entry::{Collection, EntryId, Filter, Kept, hash_of};
use super::journal::Change;
use crate::config::QdrantSettings;

use breaker::Breaker;
pub use call::QdrantError;
use call::{Result, absent};
pub use point::OwnPoint;

/// A phase never waits longer for Qdrant than this.
pub const DEADLINE: Duration = Duration::from_secs(2);
/// A search over all its collections: what is left of a phase's patience is for what stands in.
const SEARCH_DEADLINE: Duration = Duration::from_secs(1);
const CONNECT_DEADLINE: Duration = Duration::from_secs(1);
/// Syncing is off the critical path: a batch of points may take longer.
const BATCH_DEADLINE: Duration = Duration::from_secs(10);
const LONGEST_SLUG: usize = 100;
const SCROLL_PAGE: u32 = 1_000;

/// What a search found: the entry, the cosine, and the whole entry where it is another workspace's.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub id: EntryId,
    pub score: f32,
    pub foreign: Option<Kept>,
}

pub struct Qdrant {
    client: Client,
    address: String,
    workspace: String,
    embedder: String,
    breaker: Breaker,
    /// Collections that were made or seen, so that each is asked for once.
    known: Mutex<HashSet<String>>,
}

impl std::fmt::Debug for Qdrant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Qdrant({})", self.address)
    }
}

impl Qdrant {
    /// Makes a client; nothing is sent yet.
    pub fn new(settings: &QdrantSettings, workspace: &str, embedder: &str) -> Result<Self> {
        let address = address(&settings.host, settings.grpc_port);
        let mut config = Client::from_url(&format!("http://{address}"))
            .timeout(BATCH_DEADLINE)
            .connect_timeout(CONNECT_DEADLINE)
            // It prints to stdout and blocks inside the constructor.
            .skip_compatibility_check();
        if !settings.api_key.is_empty() {
            config.set_api_key(&settings.api_key);
        }
        let client = config.build().map_err(|error| QdrantError::Refused {
            address: address.clone(),
            doing: "be addressed",
            why: error.to_string(),
        })?;
        Ok(Self {
            client,
            address,
            workspace: workspace.to_owned(),
            embedder: embedder.to_owned(),
            breaker: Breaker::default(),
            known: Mutex::default(),
        })
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its name as a follower of the journal: another server, workspace or embedder starts from nothing.
    pub fn follower(&self) -> String {
        format!("qdrant {} {} {}", self.address, self.workspace, self.embedder)
    }

    /// Whether it answers; returns its version.
    pub async fn version(&self) -> Result<String> {
        let reply = self.call("say its version", DEADLINE, self.client.health_check()).await?;
        Ok(reply.version)
    }

    /// As `version`, even while it rests: for a person who waits for the answer.
    pub async fn version_now(&self) -> Result<String> {
        self.breaker.succeeded();
        self.version().await
    }

    /// Whether it would serve: it answers, and takes our key.
    pub async fn answers(&self) -> Result<()> {
        self.version().await?;
        let probe = self.client.collection_exists("autopack");
        self.call("look for a collection", DEADLINE, probe).await.map(drop)
    }

    /// `autopack_errors_ci_builtin-384-v1`: vectors of two embedders never share a collection.
    pub fn collection_name(collection: Collection, embedder: &str) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        let slug: String =
            embedder.chars().map(|c| if plain(c) { c } else { '-' }).take(LONGEST_SLUG).collect();
        if slug == embedder {
            return format!("autopack_{collection}_{slug}");
        }
        // What the slug leaves out may be all that tells two embedders apart.
        let digest = hash_of(&[embedder]);
        format!("autopack_{collection}_{slug}-{}", &digest[..8])
    }

    /// The `k` nearest of this workspace, or of all; best first.
    pub async fn search(
        &self,
        vector: &[f32],
        filter: &Filter,
        everywhere: bool,
        k: usize,
    ) -> Result<Vec<Found>> {
        let searches = filter
            .collections()
            .iter()
            .map(|collection| self.search_one(*collection, vector, filter, everywhere, k));
        let all = tokio::time::timeout(SEARCH_DEADLINE, try_join_all(searches)).await;
        let mut found: Vec<Found> = match all {
            Ok(found) => found?.into_iter().flatten().collect(),
            Err(_) => {
                self.breaker.failed();
                return Err(
                    self.down(&format!("did not answer within {} s", SEARCH_DEADLINE.as_secs()))
                );
            }
        };
        found.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
        found.truncate(k);
        Ok(found)
    }

    async fn search_one(
        &self,
        collection: Collection,
        vector: &[f32],
        filter: &Filter,
        everywhere: bool,
        k: usize,
    ) -> Result<Vec<Found>> {
        let mut must = Vec::new();
        if !everywhere {
            must.push(Condition::matches(point::WORKSPACE, self.workspace.clone()));
        }
        if let Some(run) = &filter.run {
            must.push(Condition::matches(point::RUN, run.as_str().to_owned()));
        }
        let name = Self::collection_name(collection, &self.embedder);
        let request = QueryPointsBuilder::new(name)
            .query(vector.to_vec())
            .filter(PointFilter::must(must))
            .limit(k as u64)
            .with_payload(everywhere);
        let answer = self.call("search", DEADLINE, self.client.query(request)).await;
        let Some(answer) = absent(answer)? else {
            return Ok(Vec::new());
        };
        let found = answer.result.into_iter().filter_map(|scored| {
            let id = point::id(scored.id)?;
            let foreign = (point::text(&scored.payload, point::WORKSPACE) != Some(&self.workspace))
                .then(|| point::kept(id.clone(), &scored.payload))
                .flatten()
                .filter(|_| everywhere);
            Some(Found { id, score: scored.score, foreign })
        });
        Ok(found.collect())
    }

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

    /// Makes a collection, with indexes over what is filtered, unless it is there.
    async fn ensure(&self, name: &str, dimensions: usize) -> Result<()> {
        if self.known().contains(name) {
            return Ok(());
        }
        let exists = self.client.collection_exists(name);
        if !self.call("look for a collection", DEADLINE, exists).await? {
            let vectors = VectorParamsBuilder::new(dimensions as u64, Distance::Cosine);
            let request = CreateCollectionBuilder::new(name).vectors_config(vectors);
            let answer = self.call(
                "make a collection",
                BATCH_DEADLINE,
                self.client.create_collection(request),
            );
            // Another workspace's drain may have been faster.
            if let Err(error) = answer.await
                && !matches!(&error, QdrantError::Refused { why, .. } if why.contains("already exists"))
            {
                return Err(error);
            }
        }
        for field in [point::WORKSPACE, point::RUN] {
            let request =
                CreateFieldIndexCollectionBuilder::new(name, field, FieldType::Keyword).wait(true);
            let made = self.client.create_field_index(request);
            self.call("index a field", BATCH_DEADLINE, made).await?;
        }
        self.known().insert(name.to_owned());
        Ok(())
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An IPv6 address stands in brackets.
pub fn address(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_embedders_share_a_collection() {
        let name = |embedder: &str| Qdrant::collection_name(Collection::ErrorsCi, embedder);
        assert_eq!(name("builtin-384-v1"), "autopack_errors_ci_builtin-384-v1");
        assert_ne!(name("http:a/b"), name("http:a-b"));
        assert_ne!(name("http-a-b"), name("http:a-b"));
        let long = "m".repeat(200);
        assert_ne!(name(&format!("{long}1")), name(&format!("{long}2")));
    }
}
