//! In-process index: a FAISS index for each collection, exact while small, a graph when large.
//!
//! Follows the journal's change log and can always be rebuilt from the journal. Ids are the journal's change numbers:
//! an update adds a new number and kills the old number. Dead numbers stay in the index until a rebuild; FAISS skips
//! them in every search, so no result is lost to filtering afterwards.

mod blas;
mod collection_index;
mod faiss_library;
mod index_file;
mod mask;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use crate::memory::journal::{Change, VectorRef};
use crate::memory::memory_entry::Collection;
use crate::process::FileLock;

pub use collection_index::{CollectionIndex, Kind, Snapshot};

/// Failure of the in-process index.
#[derive(Debug, thiserror::Error)]
pub enum FaissError {
    /// The FAISS library failed.
    #[error("FAISS cannot {doing}: {why}")]
    Library {
        /// Attempted operation, to read after "cannot".
        doing: &'static str,
        /// Reason of the failure.
        why: String,
    },
    /// An index file cannot be read or written.
    #[error("cannot {doing} the index file {path}: {why}")]
    File {
        /// Attempted operation, to read after "cannot".
        doing: &'static str,
        /// Path of the file.
        path: PathBuf,
        /// Reason of the failure.
        why: String,
    },
    /// A vector does not fit the index.
    #[error(
        "a vector has {got} dimensions, but the index has {expected}; the embedder's model must have changed under the same name"
    )]
    Dimensions {
        /// Length of the vectors in the index.
        expected: usize,
        /// Length of the new vector.
        got: usize,
    },
}

pub(crate) type Result<T> = std::result::Result<T, FaissError>;

/// A search result: the journal's number and the cosine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VectorMatch {
    /// Number of the change in the journal.
    pub n: i64,
    /// Cosine, from -1 to 1.
    pub score: f32,
}

/// Size of an index, in vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Vectors found by searches.
    pub live: usize,
    /// Vectors removed but still in the index.
    pub dead: usize,
}

/// In-process index of all collections.
#[derive(Debug)]
pub struct Faiss {
    directory: PathBuf,
    embedder: String,
    parts: BTreeMap<Collection, CollectionIndex>,
    /// Last number of the journal's log included in the index.
    applied: i64,
    tidying: bool,
}

/// Result of `open`, for the log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadedIndex {
    /// Files that could not be used, with the reason.
    pub unusable: Vec<String>,
    /// Numbers of vectors in the journal but not in the files: to be fetched and passed to `add`.
    pub missing: Vec<i64>,
}

impl Faiss {
    /// Loads the existing files and compares them with the journal's vectors (`vectors`, complete up to `last`).
    pub fn open(
        directory: &Path,
        embedder: &str,
        vectors: &[VectorRef],
        last: i64,
    ) -> (Self, LoadedIndex) {
        let mut loaded = LoadedIndex::default();
        let mut index = Self {
            directory: directory.to_owned(),
            embedder: embedder.to_owned(),
            parts: BTreeMap::new(),
            applied: last,
            tidying: false,
        };
        for collection in Collection::ALL {
            match index_file::load(&index.path(collection), embedder) {
                Ok(Some(part)) => drop(index.parts.insert(collection, part)),
                Ok(None) => {}
                Err(error) => loaded.unusable.push(error.to_string()),
            }
        }
        index.drop_parts_with_gaps(vectors);
        loaded.missing = index.mark_live(vectors);
        (index, loaded)
    }

    /// Drops files with a gap: vectors are added by increasing number, so a missing number in the middle cannot be
    /// repaired.
    fn drop_parts_with_gaps(&mut self, vectors: &[VectorRef]) {
        self.parts.retain(|collection, part| {
            let last = part.numbers().last().copied().unwrap_or(0);
            let mut before = vectors
                .iter()
                .filter(|vector_ref| vector_ref.collection == *collection && vector_ref.n < last);
            before.all(|vector_ref| part.numbers().binary_search(&vector_ref.n).is_ok())
        });
    }

    /// Marks the journal's vectors as live; returns the numbers of missing vectors.
    fn mark_live(&mut self, vectors: &[VectorRef]) -> Vec<i64> {
        let mut missing = Vec::new();
        for vector_ref in vectors {
            let part = self.parts.get_mut(&vector_ref.collection);
            if !part.is_some_and(|part| part.mark_live(vector_ref)) {
                missing.push(vector_ref.n);
            }
        }
        missing
    }

    /// Returns the last number of the journal's log included in the index.
    pub fn applied(&self) -> i64 {
        self.applied
    }

    /// Returns the number of vectors not saved yet, without the vectors waiting for a graph, because the journal has
    /// them.
    pub fn unsaved(&self) -> usize {
        self.parts.values().map(|part| part.unsaved).sum()
    }

    /// Adds vectors missing after `open`, in batches chosen by the caller.
    ///
    /// # Errors
    /// FAISS fails, or a vector does not fit the index.
    pub fn add(&mut self, changes: &[Change]) -> Result<()> {
        let mut by_collection: BTreeMap<Collection, Vec<(&Change, &[f32])>> = BTreeMap::new();
        for change in changes {
            if let Some(vector) = change.vector.as_deref() {
                by_collection.entry(change.collection).or_default().push((change, vector));
            }
        }
        for (collection, batch) in by_collection {
            let Some((_, first)) = batch.first() else { continue };
            self.part(collection, first.len())?.add(&batch)?;
        }
        Ok(())
    }

    /// Applies changes of the log: adds vectors, kills replaced and deleted vectors.
    ///
    /// # Errors
    /// FAISS fails, or a vector does not fit the index.
    pub fn apply(&mut self, changes: &[Change]) -> Result<()> {
        self.add(changes)?;
        for change in changes.iter().filter(|change| change.vector.is_none()) {
            for part in self.parts.values_mut() {
                part.kill_before(&change.id, change.n);
            }
        }
        if let Some(last) = changes.last() {
            self.applied = self.applied.max(last.n);
        }
        Ok(())
    }

    fn part(&mut self, collection: Collection, dimensions: usize) -> Result<&mut CollectionIndex> {
        match self.parts.entry(collection) {
            std::collections::btree_map::Entry::Occupied(part) => Ok(part.into_mut()),
            std::collections::btree_map::Entry::Vacant(place) => {
                Ok(place.insert(CollectionIndex::new(Kind::Exact, dimensions)?))
            }
        }
    }

    /// Returns the `k` nearest vectors in these collections, best first; with `only`, among those numbers.
    ///
    /// # Errors
    /// FAISS fails, or the query does not fit the index.
    pub fn search(
        &mut self,
        vector: &[f32],
        collections: &[Collection],
        only: Option<&HashSet<i64>>,
        k: usize,
    ) -> Result<Vec<VectorMatch>> {
        let mut found = Vec::new();
        for collection in collections {
            if let Some(part) = self.parts.get_mut(collection) {
                found.extend(part.search(vector, only, k)?);
            }
        }
        faiss_library::best_first(&mut found, k);
        Ok(found)
    }

    /// Returns the total size.
    pub fn size(&self) -> Size {
        self.parts.values().fold(Size::default(), |sum, part| Size {
            live: sum.live + part.size().live,
            dead: sum.dead + part.size().dead,
        })
    }

    /// Returns the size of each collection index.
    pub fn sizes(&self) -> impl Iterator<Item = (Collection, Size)> {
        self.parts.iter().map(|(collection, part)| (*collection, part.size()))
    }

    /// Checks whether a rebuild or save is worthwhile and none is running; marks one as running.
    pub fn is_due(&mut self, worth_saving: usize) -> bool {
        let worth_it = |part: &CollectionIndex| part.due().is_some() || part.has_long_tail();
        let due = self.unsaved() >= worth_saving || self.parts.values().any(worth_it);
        due && !std::mem::replace(&mut self.tidying, true)
    }

    /// Ends the rebuild announced by `is_due`.
    pub fn tidied(&mut self) {
        self.tidying = false;
    }

    /// Returns snapshots of indexes that would be faster after a rebuild. Building takes seconds for a large index: build
    /// from the snapshot, outside the lock, and pass the result to `replace`.
    ///
    /// # Errors
    /// FAISS cannot read a vector.
    pub fn due(&mut self) -> Result<Vec<(Collection, Snapshot)>> {
        let mut due = Vec::new();
        for (collection, part) in &mut self.parts {
            if let Some(kind) = part.due() {
                due.push((*collection, part.snapshot(kind)?));
            }
        }
        Ok(due)
    }

    /// Replaces an index with a rebuilt index, after applying later changes.
    ///
    /// # Errors
    /// FAISS cannot add a vector.
    pub fn replace(&mut self, collection: Collection, built: CollectionIndex) -> Result<()> {
        if let Some(part) = self.parts.get_mut(&collection) {
            part.replace_with(built)?;
        }
        Ok(())
    }

    /// Moves a few vectors into their graphs; returns true while more are left. Holds the lock for some milliseconds.
    ///
    /// # Errors
    /// FAISS cannot read or add a vector.
    pub fn move_some(&mut self) -> Result<bool> {
        const A_FEW: usize = 8;
        let mut more = false;
        for part in self.parts.values_mut() {
            more |= part.move_some(A_FEW)?;
        }
        Ok(more)
    }

    /// Saves every index atomically: each file is either old or new.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&mut self) -> Result<()> {
        if self.unsaved() == 0 {
            return Ok(());
        }
        let failed = |doing: &'static str| {
            let path = self.directory.clone();
            move |why: std::io::Error| FaissError::File { doing, path, why: why.to_string() }
        };
        std::fs::create_dir_all(&self.directory).map_err(failed("create the directory of"))?;
        let lock = FileLock::try_lock(&self.directory.join("save.lock"));
        let Some(_lock) = lock.map_err(failed("lock the directory of"))? else {
            // Another process is saving; the journal has everything missing from the files.
            return Ok(());
        };
        for (collection, part) in self.parts.iter_mut().filter(|(_, part)| part.unsaved > 0) {
            let path = self.directory.join(format!("{collection}.faiss"));
            index_file::save(&path, &self.embedder, part)?;
            part.unsaved = 0;
        }
        Ok(())
    }

    /// Saves the largest index in another directory, for inspection; returns the path.
    ///
    /// # Errors
    /// The index is empty, or the file cannot be written.
    pub fn save_to(&self, directory: &Path) -> Result<PathBuf> {
        let largest = self.parts.iter().max_by_key(|(_, part)| part.size().live);
        let (collection, part) = largest.ok_or(FaissError::Library {
            doing: "write the index",
            why: "it is empty".to_owned(),
        })?;
        let path = directory.join(format!("{collection}.faiss"));
        index_file::save(&path, &self.embedder, part)?;
        Ok(path)
    }

    fn path(&self, collection: Collection) -> PathBuf {
        self.directory.join(format!("{collection}.faiss"))
    }
}

fn library(doing: &'static str) -> impl Fn(faiss::error::Error) -> FaissError {
    move |error| FaissError::Library { doing, why: error.to_string() }
}

#[cfg(test)]
mod tests;
