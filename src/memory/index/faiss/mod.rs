//! The in-process index: one FAISS index for each collection, exact while that is fast, a graph above.
//!
//! It follows the journal's change log and holds nothing that the journal lacks: it can be thrown away and rebuilt.
//! Its ids are the journal's change numbers, so an update is a new number and the old one dead. Dead numbers stay
//! inside until a rebuild and are masked in every search, by FAISS itself: no result is lost to filtering afterwards.

#[cfg(target_os = "linux")]
mod blas;
mod faiss_library;
mod index_file;
mod mask;
mod part;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use crate::memory::journal::{Change, Put};
use crate::memory::memory_entry::Collection;
use crate::process::FileLock;

pub use part::{Kind, Part, Snapshot};

#[derive(Debug, thiserror::Error)]
pub enum FaissError {
    #[error("FAISS cannot {doing}: {why}")]
    Library { doing: &'static str, why: String },
    #[error("cannot {doing} the index file {path}: {why}")]
    File { doing: &'static str, path: PathBuf, why: String },
    #[error(
        "a vector has {got} dimensions where the index has {expected}; the embedder's model must have changed under its name"
    )]
    Dimensions { expected: usize, got: usize },
}

pub(crate) type Result<T> = std::result::Result<T, FaissError>;

/// What a search found: the journal's number and the cosine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    pub n: i64,
    pub score: f32,
}

/// How large the index is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    pub live: usize,
    pub dead: usize,
}

#[derive(Debug)]
pub struct Faiss {
    folder: PathBuf,
    embedder: String,
    parts: BTreeMap<Collection, Part>,
    /// Up to which number of the journal's log this index is complete.
    applied: i64,
    tidying: bool,
}

/// What `open` found, for the one line that says so.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// Files that were there but could not be used, with the reason.
    pub unusable: Vec<String>,
    /// Vectors that the journal has and the files lack: to be fetched and `add`ed.
    pub missing: Vec<i64>,
}

impl Faiss {
    /// Loads what files there are and compares them with the journal's vectors (`puts`, which reach up to `last`).
    pub fn open(folder: &Path, embedder: &str, puts: &[Put], last: i64) -> (Self, Loaded) {
        let mut loaded = Loaded::default();
        let mut index = Self {
            folder: folder.to_owned(),
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
        index.drop_parts_with_gaps(puts);
        loaded.missing = index.enliven(puts);
        (index, loaded)
    }

    /// Vectors go in by growing numbers; a file that lacks one from between is not worth mending.
    fn drop_parts_with_gaps(&mut self, puts: &[Put]) {
        self.parts.retain(|collection, part| {
            let last = part.numbers().last().copied().unwrap_or(0);
            let mut before =
                puts.iter().filter(|put| put.collection == *collection && put.n < last);
            before.all(|put| part.numbers().binary_search(&put.n).is_ok())
        });
    }

    /// Makes the journal's vectors live where they are there; returns the numbers of the others.
    fn enliven(&mut self, puts: &[Put]) -> Vec<i64> {
        let mut missing = Vec::new();
        for put in puts {
            let part = self.parts.get_mut(&put.collection);
            if !part.is_some_and(|part| part.enliven(put)) {
                missing.push(put.n);
            }
        }
        missing
    }

    pub fn applied(&self) -> i64 {
        self.applied
    }

    /// Vectors that no file holds yet, but for those that wait to go into a graph: the journal has them.
    pub fn unsaved(&self) -> usize {
        self.parts.values().map(|part| part.unsaved).sum()
    }

    /// Adds vectors that `open` missed, in batches of the caller's making.
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

    /// Follows the log: vectors come in, what they replace and what a tombstone names dies.
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

    fn part(&mut self, collection: Collection, dimensions: usize) -> Result<&mut Part> {
        match self.parts.entry(collection) {
            std::collections::btree_map::Entry::Occupied(part) => Ok(part.into_mut()),
            std::collections::btree_map::Entry::Vacant(place) => {
                Ok(place.insert(Part::new(Kind::Exact, dimensions)?))
            }
        }
    }

    /// The `k` nearest of these collections, best first; with `only`, among those numbers.
    pub fn search(
        &mut self,
        vector: &[f32],
        collections: &[Collection],
        only: Option<&HashSet<i64>>,
        k: usize,
    ) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        for collection in collections {
            if let Some(part) = self.parts.get_mut(collection) {
                found.extend(part.search(vector, only, k)?);
            }
        }
        faiss_library::best_first(&mut found, k);
        Ok(found)
    }

    pub fn size(&self) -> Size {
        self.parts.values().fold(Size::default(), |sum, part| Size {
            live: sum.live + part.size().live,
            dead: sum.dead + part.size().dead,
        })
    }

    /// How large each collection's part is.
    pub fn sizes(&self) -> impl Iterator<Item = (Collection, Size)> {
        self.parts.iter().map(|(collection, part)| (*collection, part.size()))
    }

    /// Whether a rebuild or a save is worth its while, and none is under way.
    pub fn is_due(&mut self, worth_saving: usize) -> bool {
        let worth_it = |part: &Part| part.due().is_some() || part.has_long_tail();
        let due = self.unsaved() >= worth_saving || self.parts.values().any(worth_it);
        due && !std::mem::replace(&mut self.tidying, true)
    }

    /// The rebuild that `is_due` announced is over.
    pub fn tidied(&mut self) {
        self.tidying = false;
    }

    /// Parts that a rebuild would make faster, as they stand now. Building takes seconds for a large one: do it
    /// outside the lock, from the snapshot, and hand the result to `replace`.
    pub fn due(&mut self) -> Result<Vec<(Collection, Snapshot)>> {
        let mut due = Vec::new();
        for (collection, part) in &mut self.parts {
            if let Some(kind) = part.due() {
                due.push((*collection, part.snapshot(kind)?));
            }
        }
        Ok(due)
    }

    /// Puts a rebuilt part in place, with what came and went meanwhile.
    pub fn replace(&mut self, collection: Collection, built: Part) -> Result<()> {
        if let Some(part) = self.parts.get_mut(&collection) {
            part.replace_with(built)?;
        }
        Ok(())
    }

    /// Moves a few vectors into their graphs; true while there are more. Some milliseconds under the lock each time.
    pub fn move_some(&mut self) -> Result<bool> {
        const A_FEW: usize = 8;
        let mut more = false;
        for part in self.parts.values_mut() {
            more |= part.move_some(A_FEW)?;
        }
        Ok(more)
    }

    /// Writes every part; each file is either the old or the new one, whatever happens.
    pub fn save(&mut self) -> Result<()> {
        if self.unsaved() == 0 {
            return Ok(());
        }
        let failed = |doing: &'static str| {
            let path = self.folder.clone();
            move |why: std::io::Error| FaissError::File { doing, path, why: why.to_string() }
        };
        std::fs::create_dir_all(&self.folder).map_err(failed("make the folder of"))?;
        let lock = FileLock::try_lock(&self.folder.join("save.lock"));
        let Some(_lock) = lock.map_err(failed("lock the folder of"))? else {
            // Another process writes; what is only here is in the journal.
            return Ok(());
        };
        for (collection, part) in self.parts.iter_mut().filter(|(_, part)| part.unsaved > 0) {
            let path = self.folder.join(format!("{collection}.faiss"));
            index_file::save(&path, &self.embedder, part)?;
            part.unsaved = 0;
        }
        Ok(())
    }

    /// Writes the largest part elsewhere, to be looked at; returns where.
    pub fn save_to(&self, folder: &Path) -> Result<PathBuf> {
        let largest = self.parts.iter().max_by_key(|(_, part)| part.size().live);
        let (collection, part) = largest.ok_or(FaissError::Library {
            doing: "write the index",
            why: "it is empty".to_owned(),
        })?;
        let path = folder.join(format!("{collection}.faiss"));
        index_file::save(&path, &self.embedder, part)?;
        Ok(path)
    }

    fn path(&self, collection: Collection) -> PathBuf {
        self.folder.join(format!("{collection}.faiss"))
    }
}

fn library(doing: &'static str) -> impl Fn(faiss::error::Error) -> FaissError {
    move |error| FaissError::Library { doing, why: error.to_string() }
}

#[cfg(test)]
mod tests;
