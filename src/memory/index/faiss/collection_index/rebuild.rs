//! Rebuild of a collection index while the old one serves: without dead vectors, or as a graph once comparing is too slow.

use super::{CollectionIndex, EntryId, Kind};
use crate::memory::index::faiss::faiss_library::use_threads;
use crate::memory::index::faiss::mask::Bits;
use crate::memory::index::faiss::{Result, Size};

/// Size limit for comparing with every vector: 10,000 vectors take 1.4 ms, 20,000 more than the 2 ms allowed for a
/// search.
const EXACT_UP_TO: usize = 10_000;
/// Dead vectors cost time and space; with fewer than this a rebuild is not worthwhile.
const DEAD_WORTH_A_REBUILD: usize = 1_000;

/// All inputs of a rebuild, taken at the same moment.
pub struct Snapshot {
    kind: Kind,
    dimensions: usize,
    entries: Vec<(EntryId, i64)>,
    vectors: Vec<f32>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshot({:?}, {})", self.kind, self.entries.len())
    }
}

impl Snapshot {
    /// Builds the new index. Slow, but needs no lock, and leaves half of the processors to agents and CI.
    ///
    /// # Errors
    ///
    /// Fails when the FAISS library reports an error.
    pub fn build(self) -> Result<CollectionIndex> {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        use_threads((processors / 2).max(1));
        let mut part = CollectionIndex::new(self.kind, self.dimensions)?;
        let numbers: Vec<i64> = self.entries.iter().map(|(_, n)| *n).collect();
        part.settle(&self.vectors, &numbers)?;
        use_threads(1);
        for (id, n) in self.entries {
            part.live.set(n);
            part.of_entry.insert(id, n);
        }
        Ok(part)
    }
}

impl CollectionIndex {
    /// Returns the search method for a rebuild, if a rebuild is worthwhile.
    pub fn due(&self) -> Option<Kind> {
        let Size { live, dead } = self.size();
        let fitting = if live > EXACT_UP_TO { Kind::Graph } else { Kind::Exact };
        // A small graph is still fast; only a large exact index is slow.
        let outgrown = fitting == Kind::Graph && self.kind == Kind::Exact;
        let littered = dead > DEAD_WORTH_A_REBUILD && dead > live / 3;
        (outgrown || littered).then_some(fitting)
    }

    /// Copies the live vectors, for a rebuild outside of the lock.
    ///
    /// # Errors
    ///
    /// Fails when the FAISS library reports an error.
    pub fn snapshot(&self, kind: Kind) -> Result<Snapshot> {
        let mut entries: Vec<(EntryId, i64)> =
            self.of_entry.iter().map(|(id, n)| (id.clone(), *n)).collect();
        entries.sort_by_key(|(_, n)| *n);
        let mut vectors = vec![0.0; entries.len() * self.dimensions];
        for ((_, n), vector) in entries.iter().zip(vectors.chunks_mut(self.dimensions)) {
            self.read(*n, vector)?;
        }
        Ok(Snapshot { kind, dimensions: self.dimensions, entries, vectors })
    }

    /// Replaces `self`, after applying later changes.
    ///
    /// # Errors
    ///
    /// Fails when the FAISS library reports an error.
    pub fn replace_with(&mut self, mut built: Self) -> Result<()> {
        let last = built.last().unwrap_or(0);
        let mut newer: Vec<(EntryId, i64)> = self
            .of_entry
            .iter()
            .filter(|(_, n)| **n > last)
            .map(|(id, n)| (id.clone(), *n))
            .collect();
        newer.sort_by_key(|(_, n)| *n);
        let mut vector = vec![0.0; self.dimensions];
        for (id, n) in newer {
            self.read(n, &mut vector)?;
            built.insert(&vector, &[n])?;
            built.of_entry.insert(id, n);
        }
        built.of_entry.retain(|id, n| self.of_entry.get(id) == Some(&*n));
        built.live = Bits::default();
        built.of_entry.values().for_each(|n| built.live.set(*n));
        *self = built;
        Ok(())
    }
}
