//! Checks whether Qdrant can be used: answers, accepts the API key, allows writes, and holds collections that fit the
//! embedder.
//!
//! Health checks need no key, so they only prove that a server exists.

use qdrant_client::qdrant::vectors_config::Config;
use qdrant_client::qdrant::{
    Condition, CountPointsBuilder, DeletePointsBuilder, Filter as PointFilter, PointId,
};

use super::call::{Result, absent};
use super::{BATCH_DEADLINE, DEADLINE, Qdrant, QdrantError, point};
use crate::memory::memory_entry::Collection;

const PREFIX: &str = "autopack_";
/// Name of a collection that never exists: no [`Collection`] has this name.
const NO_COLLECTION: &str = "autopack_write_probe";
/// Id of a point and a workspace that never exist.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// Result of comparing a collection's vector length with the embedder's.
pub(super) enum Fit {
    Fits,
    Not { there: u64 },
}

impl Qdrant {
    /// Returns the version of a running server, without checking the API key.
    ///
    /// # Errors
    /// Qdrant does not answer.
    pub async fn version(&self) -> Result<String> {
        let reply = self.call("report its version", DEADLINE, self.client.health_check()).await?;
        Ok(reply.version)
    }

    /// Checks whether Qdrant can be used: answers a call that needs the API key, and allows writes.
    ///
    /// # Errors
    /// `Down` or `Resting` without an answer; `Denied` if the key is missing, wrong or read-only.
    pub async fn check_usable(&self) -> Result<()> {
        let listing = self.client.list_collections();
        let listed = self.call("list its collections", DEADLINE, listing).await?;
        let mut names = listed.collections.into_iter().map(|collection| collection.name);
        // Rights are checked before any lookup; neither request deletes anything.
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

    /// Resets the circuit breaker: somebody waits for the answer, or has just started the server.
    pub fn reset_breaker(&self) {
        self.breaker.succeeded();
    }

    /// Returns the collections with vectors of another length used only by this workspace.
    ///
    /// # Errors
    /// `Dimensions` if other workspaces use such a collection.
    pub async fn find_misfits(&self, dimensions: usize) -> Result<Vec<Collection>> {
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

    /// Removes a collection with all points, including points of other workspaces.
    ///
    /// # Errors
    /// Qdrant does not answer or refuses.
    pub async fn remove(&self, collection: Collection) -> Result<()> {
        let name = Self::collection_name(collection, &self.embedder);
        let removal = self.client.delete_collection(&name);
        self.call("remove a collection", BATCH_DEADLINE, removal).await?;
        self.known().remove(&name);
        Ok(())
    }

    /// Compares the vector length; `None` without the collection.
    pub(super) async fn fit(&self, name: &str, dimensions: usize) -> Result<Option<Fit>> {
        let asking = self.client.collection_info(name);
        let answer = match absent(self.call("describe a collection", DEADLINE, asking).await) {
            Ok(Some(answer)) => answer,
            Ok(None) => return Ok(None),
            // A proxy may not support every call; the first vector will then tell.
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
            // Named vectors: not created by autopack.
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

    /// Counts this workspace's points in a collection.
    ///
    /// # Errors
    /// Qdrant does not answer or refuses.
    pub async fn count(&self, collection: Collection) -> Result<u64> {
        let name = Self::collection_name(collection, &self.embedder);
        self.points(&name, Some(self.ours())).await
    }
}
