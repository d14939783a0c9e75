//! Statistics of the memory: contents of the journal and progress of the indexes.

use std::collections::BTreeMap;

use super::{Backend, MemoryWorker, locked};
use crate::memory::index::faiss::Faiss;
use crate::memory::index::qdrant::Qdrant;
use crate::memory::memory_entry::Collection;
use crate::memory::{IndexStatus, MemoryError, Stats};

impl MemoryWorker {
    pub async fn stats(&self) -> Result<Stats, MemoryError> {
        let faiss = self.in_faiss().await?;
        let in_qdrant = match &self.qdrant {
            Some(qdrant) if self.backend() == Backend::Qdrant => self.in_qdrant(qdrant).await,
            _ => None,
        };
        Ok(Stats {
            backend: self.backend(),
            embedder: self.embedder.id().to_owned(),
            journal: self.journal.path().to_owned(),
            entries: self.journal.counts().await?,
            waiting: self.journal.waiting(self.embedder.id()).await?,
            faiss,
            qdrant: self.qdrant.as_ref().map(|qdrant| qdrant.address().to_owned()),
            in_qdrant,
            problem: self.state().problem.clone(),
        })
    }

    /// Counts the points in Qdrant; `None` without an answer, with the reason noted.
    async fn in_qdrant(&self, qdrant: &Qdrant) -> Option<IndexStatus> {
        let mut points = BTreeMap::new();
        for collection in Collection::ALL {
            match qdrant.count(collection).await {
                Ok(0) => {}
                Ok(count) => drop(points.insert(collection.to_string(), count)),
                Err(error) => {
                    self.note(error);
                    return None;
                }
            }
        }
        let applied = self.journal.applied(&qdrant.follower()).await.ok()?;
        let behind = self.journal.behind(applied, self.embedder.id()).await.ok()?;
        Some(IndexStatus { points, behind })
    }

    /// Returns the contents of the loaded index, else of the index files.
    async fn in_faiss(&self) -> Result<Option<IndexStatus>, MemoryError> {
        let embedder = self.embedder.id().to_owned();
        if let Some(faiss) = self.faiss.get() {
            let (applied, points) = {
                let faiss = locked(faiss);
                (faiss.applied(), counts(&faiss))
            };
            let behind = self.journal.behind(applied, &embedder).await?;
            return Ok(Some(IndexStatus { points, behind }));
        }
        let directory = self.directory.join("faiss");
        if !directory.is_dir() {
            return Ok(None);
        }
        let last = self.journal.last_change().await?;
        let puts = self.journal.live_vectors(&embedder).await?;
        let reading = tokio::task::spawn_blocking(move || {
            let (faiss, loaded) = Faiss::open(&directory, &embedder, &puts, last);
            IndexStatus { points: counts(&faiss), behind: loaded.missing.len() as u64 }
        });
        Ok(reading.await.ok())
    }
}

fn counts(faiss: &Faiss) -> BTreeMap<String, u64> {
    let sizes = faiss.sizes().map(|(collection, size)| (collection.to_string(), size.live as u64));
    sizes.filter(|(_, live)| *live > 0).collect()
}
