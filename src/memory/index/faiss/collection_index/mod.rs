//! One collection's vectors in a FAISS index: the numbers in the index, the live numbers, and a list of vectors waiting
//! for the graph.
//!
//! `search` finds the nearest vectors, `rebuild` rebuilds the index.

mod nearest_vectors;
mod rebuild;

use std::collections::HashMap;

use faiss::index::IndexImpl;
use faiss::index::autotune::ParameterSpace;
use faiss::{Idx, Index};

use super::faiss_library::{add, flat, make, use_threads};
use super::mask::Bits;
use super::{FaissError, Result, Size, library};
use crate::memory::journal::{Change, VectorRef};
use crate::memory::memory_entry::EntryId;

pub use rebuild::Snapshot;

/// Search method of a collection index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Compares with every vector.
    Exact,
    /// A graph (HNSW): finds nearly all of the nearest vectors in a fraction of the time.
    Graph,
}

/// Length of the waiting list before vectors are moved: adding to a graph takes a millisecond, to a list nearly
/// nothing.
const TAIL_WORTH_MOVING: usize = 2_000;
const NEIGHBOURS: usize = 32;
const EF_CONSTRUCTION: usize = 80;

/// Vectors of a collection. They have length 1, so the inner product is the cosine.
pub struct CollectionIndex {
    kind: Kind,
    dimensions: usize,
    index: IndexImpl,
    /// Numbers in `index`, dead and live, in order of insertion.
    numbers: Vec<i64>,
    /// Vectors not in the graph yet; their numbers are greater than all numbers in the graph.
    tail: Option<Tail>,
    /// Vectors added to `index` since the last save.
    pub unsaved: usize,
    /// Current setting of `efSearch` in `index`.
    ef: usize,
    of_entry: HashMap<EntryId, i64>,
    /// One bit for each live number.
    live: Bits,
}

impl std::fmt::Debug for CollectionIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "CollectionIndex({:?}, {} x {}, {:?})",
            self.kind,
            self.numbers.len(),
            self.dimensions,
            self.size()
        )
    }
}

struct Tail {
    index: IndexImpl,
    numbers: Vec<i64>,
    /// Length of the prefix already in the graph too.
    moved: usize,
}

impl CollectionIndex {
    /// Creates an empty index.
    ///
    /// # Errors
    ///
    /// Fails when the FAISS library reports an error.
    pub fn new(kind: Kind, dimensions: usize) -> Result<Self> {
        let index = match kind {
            Kind::Exact => flat(dimensions)?,
            Kind::Graph => make(dimensions, format!("IDMap2,HNSW{NEIGHBOURS}"))?,
        };
        let part = Self::from_index(kind, index, Vec::new());
        part.tune()?;
        Ok(part)
    }

    /// Wraps an index read from a file: nothing is live until the journal says so.
    pub fn from_index(kind: Kind, index: IndexImpl, numbers: Vec<i64>) -> Self {
        Self {
            kind,
            dimensions: index.d() as usize,
            index,
            numbers,
            tail: None,
            unsaved: 0,
            ef: 0,
            of_entry: HashMap::new(),
            live: Bits::default(),
        }
    }

    /// Sets the parameters for building a graph.
    ///
    /// # Errors
    ///
    /// Fails when the FAISS library reports an error.
    pub fn tune(&self) -> Result<()> {
        self.set("efConstruction", EF_CONSTRUCTION)
    }

    fn set(&self, name: &str, value: usize) -> Result<()> {
        if self.kind == Kind::Exact {
            return Ok(());
        }
        let space = ParameterSpace::new().map_err(library("tune the index"))?;
        let set = space.set_index_parameter(&self.index, name, value as f64);
        set.map_err(library("tune the index"))
    }

    /// Returns the search method.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the FAISS index.
    pub fn index(&self) -> &IndexImpl {
        &self.index
    }

    /// Returns the number of each vector, in the order of the index. Removed vectors are included.
    pub fn numbers(&self) -> &[i64] {
        &self.numbers
    }

    /// Counts live and removed vectors.
    pub fn size(&self) -> Size {
        let live = self.of_entry.len();
        Size { live, dead: self.count() - live }
    }

    fn count(&self) -> usize {
        self.numbers.len() + self.waiting()
    }

    /// Returns the number of vectors only in the tail.
    fn waiting(&self) -> usize {
        self.tail.as_ref().map_or(0, |tail| tail.numbers.len() - tail.moved)
    }

    fn last(&self) -> Option<i64> {
        let tail = self.tail.as_ref().and_then(|tail| tail.numbers.last());
        tail.or(self.numbers.last()).copied()
    }

    /// Marks a vector as live; returns false for a missing vector.
    pub fn mark_live(&mut self, vector_ref: &VectorRef) -> bool {
        // `numbers` is sorted; a rebuild keeps the order.
        let inside = self.numbers.binary_search(&vector_ref.n).is_ok();
        if inside {
            self.live.set(vector_ref.n);
            self.of_entry.insert(vector_ref.id.clone(), vector_ref.n);
        }
        inside
    }

    /// Kills an entry's vector older than a tombstone; returns false without such a vector.
    pub fn kill_before(&mut self, id: &EntryId, tombstone: i64) -> bool {
        let Some(n) = self.of_entry.get(id).copied().filter(|n| *n < tombstone) else {
            return false;
        };
        self.of_entry.remove(id);
        self.live.clear(n);
        true
    }

    /// Adds vectors with numbers greater than all numbers in the index.
    ///
    /// # Errors
    ///
    /// Fails when the FAISS library reports an error.
    pub fn add(&mut self, batch: &[(&Change, &[f32])]) -> Result<()> {
        use_threads(1);
        // Skip numbers already in the index, to avoid duplicates.
        let new: Vec<&(&Change, &[f32])> = batch
            .iter()
            .filter(|(change, _)| self.last().is_none_or(|last| change.n > last))
            .collect();
        let mut vectors = Vec::with_capacity(new.len() * self.dimensions);
        for (_, vector) in &new {
            self.expect_dimensions(vector)?;
            vectors.extend_from_slice(vector);
        }
        let numbers: Vec<i64> = new.iter().map(|(change, _)| change.n).collect();
        self.insert(&vectors, &numbers)?;
        for (change, _) in new {
            self.kill_before(&change.id, change.n);
            self.live.set(change.n);
            self.of_entry.insert(change.id.clone(), change.n);
        }
        Ok(())
    }

    fn insert(&mut self, vectors: &[f32], numbers: &[i64]) -> Result<()> {
        if self.kind == Kind::Exact || numbers.is_empty() {
            return self.settle(vectors, numbers);
        }
        let tail = match &mut self.tail {
            Some(tail) => tail,
            None => {
                let index = flat(self.dimensions)?;
                self.tail.insert(Tail { index, numbers: Vec::new(), moved: 0 })
            }
        };
        add(&mut tail.index, vectors, numbers)?;
        tail.numbers.extend_from_slice(numbers);
        Ok(())
    }

    fn settle(&mut self, vectors: &[f32], numbers: &[i64]) -> Result<()> {
        if numbers.is_empty() {
            return Ok(());
        }
        add(&mut self.index, vectors, numbers)?;
        self.numbers.extend_from_slice(numbers);
        self.unsaved += numbers.len();
        Ok(())
    }

    /// Checks whether the tail is long enough to be moved.
    pub fn has_long_tail(&self) -> bool {
        self.waiting() >= TAIL_WORTH_MOVING
    }

    /// Moves a few vectors from the tail into the graph; returns true while some are left. A vector in both is found
    /// once.
    ///
    /// # Errors
    ///
    /// Fails when the FAISS library reports an error.
    pub fn move_some(&mut self, most: usize) -> Result<bool> {
        let Some(tail) = &self.tail else { return Ok(false) };
        let end = (tail.moved + most).min(tail.numbers.len());
        // Dead vectors are not moved.
        let moving: Vec<i64> = tail.numbers[tail.moved..end].to_vec();
        let moving: Vec<i64> = moving.into_iter().filter(|n| self.live.get(*n)).collect();
        let mut vectors = vec![0.0; moving.len() * self.dimensions];
        for (n, vector) in moving.iter().zip(vectors.chunks_mut(self.dimensions)) {
            self.read(*n, vector)?;
        }
        use_threads(1);
        self.settle(&vectors, &moving)?;
        if let Some(tail) = &mut self.tail {
            tail.moved = end;
        }
        let is_done = self.waiting() == 0;
        if is_done {
            self.tail = None;
        }
        Ok(!is_done)
    }

    fn expect_dimensions(&self, vector: &[f32]) -> Result<()> {
        let (expected, got) = (self.dimensions, vector.len());
        if expected == got { Ok(()) } else { Err(FaissError::Dimensions { expected, got }) }
    }

    fn read(&self, n: i64, vector: &mut [f32]) -> Result<()> {
        let id = Idx::new(n.unsigned_abs());
        let index = match &self.tail {
            Some(tail) if self.numbers.last().is_none_or(|last| n > *last) => &tail.index,
            _ => &self.index,
        };
        index.reconstruct(id, vector).map_err(library("read a vector"))
    }
}
