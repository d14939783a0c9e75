//! Names and creation of autopack's collections, independent of their contents.

use std::collections::HashSet;
use std::sync::{MutexGuard, PoisonError};

use qdrant_client::qdrant::{
    CreateCollectionBuilder, CreateFieldIndexCollectionBuilder, Distance, FieldType,
    VectorParamsBuilder,
};

use super::call::Result;
use super::readiness::Fit;
use super::{BATCH_DEADLINE, Qdrant, QdrantError, point};
use crate::memory::memory_entry::{Collection, hash_of};

const LONGEST_SLUG: usize = 100;

impl Qdrant {
    /// Returns the name of a collection, like `autopack_errors_ci_builtin-384-v1`: vectors of different embedders never
    /// share a collection.
    pub fn collection_name(collection: Collection, embedder: &str) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        let slug: String =
            embedder.chars().map(|c| if plain(c) { c } else { '-' }).take(LONGEST_SLUG).collect();
        if slug == embedder {
            return format!("autopack_{collection}_{slug}");
        }
        // Two embedders may differ only in characters omitted from the slug.
        let digest = hash_of(&[embedder]);
        format!("autopack_{collection}_{slug}-{}", &digest[..8])
    }

    /// Creates a collection with indexes for the filtered fields, unless a collection with vectors of this length
    /// exists.
    pub(super) async fn ensure(&self, name: &str, dimensions: usize) -> Result<()> {
        if self.known().contains(name) {
            return Ok(());
        }
        let fit = self.fit(name, dimensions).await?;
        if let Some(Fit::Not { there }) = fit {
            return Err(self.misfit(name, there, dimensions));
        }
        if fit.is_none() {
            let vectors = VectorParamsBuilder::new(dimensions as u64, Distance::Cosine);
            let request = CreateCollectionBuilder::new(name).vectors_config(vectors);
            let answer = self.call(
                "create a collection",
                BATCH_DEADLINE,
                self.client.create_collection(request),
            );
            // A drain of another workspace may have created the collection first.
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

    pub(super) fn known(&self) -> MutexGuard<'_, HashSet<String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
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
