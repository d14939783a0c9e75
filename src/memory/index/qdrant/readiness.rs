//! Whether Qdrant would serve us: it answers, takes our key, lets us write, and its collections fit the embedder.
//!
//! Health checks need no key, so they tell only that a server is there.

use qdrant_client::qdrant::vectors_config::Config;
use qdrant_client::qdrant::{
    Condition, CountPointsBuilder, DeletePointsBuilder, Filter as PointFilter, PointId,
};

use super::call::{Result, absent};
use super::{BATCH_DEADLINE, DEADLINE, Qdrant, QdrantError, point};
use crate::memory::memory_entry::Collection;

const PREFIX: &str = "autopack_";
/// A collection that nobody has: no [`Collection`] is called so.
const NO_COLLECTION: &str = "autopack_write_probe";
/// A point and a workspace that nobody has.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// Whether a collection's vectors have the length that the embedder makes.
pub(super) enum Fit {
    Fits,
    Not { there: u64 },
}

impl Qdrant {
    /// Whether a server is there, whatever it thinks of our key; returns its version.
    pub async fn version(&self) -> Result<String> {
        let reply = self.call("say its version", DEADLINE, self.client.health_check()).await?;
        Ok(reply.version)
    }

    /// Whether it would serve: it answers a call that needs our key, and lets us write.
    ///
    /// # Errors
    /// `Down` or `Resting` where it does not answer; `Denied` where the key is missing, wrong or read-only.
    pub async fn answers(&self) -> Result<()> {
        let listing = self.client.list_collections();
        let listed = self.call("list its collections", DEADLINE, listing).await?;
        let mut names = listed.collections.into_iter().map(|collection| collection.name);
        // Rights are checked before anything is looked for; neither of the two deletes anything.
        match names.find(|name| name.starts_with(PREFIX)) {
            Some(name) => {
                let nothing = PointFilter::must([
                    Condition::has_id([PointId::from(NOBODY)]),
                    Condition::matches(point::WORKSPACE, NOBODY.to_owned()),
                ]);
                let request = DeletePointsBuilder::new(name).points(nothing).wait(true);
                let answer = self.client.delete_points(request);
                absent(self.call("write", DEADLINE, answer).await).map(drop)
            }
            None => {
                let answer = self.client.delete_collection(NO_COLLECTION);
                absent(self.call("write", DEADLINE, answer).await).map(drop)
            }
        }
    }

    /// Asks again at once: somebody waits for the answer, or has just started it.
    pub fn rested(&self) {
        self.breaker.succeeded();
    }

    /// The collections whose vectors have another length, and in which nobody else has points.
    ///
    /// # Errors
    /// `Dimensions` where other workspaces use such a collection.
    pub async fn misfits(&self, dimensions: usize) -> Result<Vec<Collection>> {
        let mut misfits = Vec::new();
        for collection in Collection::ALL {
            let name = Self::collection_name(collection, &self.embedder);
            if let Some(Fit::Not { there }) = self.fit(&name, dimensions).await? {
                if self.points(&name, None).await? > self.count(collection).await? {
                    return Err(self.misfit(&name, there, dimensions));
                }
                misfits.push(collection);
            }
        }
        Ok(misfits)
    }

    /// Removes a collection with all its points, whoever wrote them.
    pub async fn remove(&self, collection: Collection) -> Result<()> {
        let name = Self::collection_name(collection, &self.embedder);
        let removal = self.client.delete_collection(&name);
        self.call("remove a collection", BATCH_DEADLINE, removal).await?;
        self.known().remove(&name);
        Ok(())
    }

    /// `None` if the collection is not there.
    pub(super) async fn fit(&self, name: &str, dimensions: usize) -> Result<Option<Fit>> {
        let asking = self.client.collection_info(name);
        let answer = match absent(self.call("describe a collection", DEADLINE, asking).await) {
            Ok(Some(answer)) => answer,
            Ok(None) => return Ok(None),
            // What stands before a server may know fewer calls; the first vector tells then.
            Err(QdrantError::Refused { why, .. }) if why.starts_with("Unimplemented") => {
                let asking = self.client.collection_exists(name);
                let exists = self.call("look for a collection", DEADLINE, asking).await?;
                return Ok(exists.then_some(Fit::Fits));
            }
            Err(error) => return Err(error),
        };
        let params = answer.result.and_then(|info| info.config?.params?.vectors_config?.config);
        let there = match params {
            Some(Config::Params(params)) => params.size,
            // Named vectors: not made by us.
            Some(Config::ParamsMap(_)) | None => 0,
        };
        let fits = there == dimensions as u64;
        Ok(Some(if fits { Fit::Fits } else { Fit::Not { there } }))
    }

    pub(super) fn misfit(&self, name: &str, there: u64, dimensions: usize) -> QdrantError {
        let (address, collection) = (self.address.clone(), name.to_owned());
        QdrantError::Dimensions { address, collection, there, ours: dimensions as u64 }
    }

    async fn points(&self, name: &str, filter: Option<PointFilter>) -> Result<u64> {
        let mut request = CountPointsBuilder::new(name).exact(true);
        if let Some(filter) = filter {
            request = request.filter(filter);
        }
        let answer = self.call("count points", DEADLINE, self.client.count(request)).await;
        Ok(absent(answer)?.and_then(|answer| answer.result).map_or(0, |result| result.count))
    }

    /// How many points of this workspace a collection holds.
    pub async fn count(&self, collection: Collection) -> Result<u64> {
        let name = Self::collection_name(collection, &self.embedder);
        self.points(&name, Some(self.ours())).await
    }
}
