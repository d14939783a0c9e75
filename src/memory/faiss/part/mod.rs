//! One collection's vectors in one FAISS index.

mod rebuild;

use std::collections::{HashMap, HashSet};

use faiss::index::IndexImpl;
use faiss::index::autotune::ParameterSpace;
use faiss::{Idx, Index};

use super::mask::Bits;
use super::raw::{add, best_first, flat, make, search, use_threads};
use super::{FaissError, Found, Result, Size, library};
use crate::memory::entry::EntryId;
use crate::memory::journal::{Change, Put};

pub use rebuild::Snapshot;

/// How a part searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Compares with every vector.
    Exact,
    /// A graph (HNSW): finds nearly all of the nearest, in a fraction of the time.
    Graph,
}

/// In a graph, a filter that lets fewer through than this is searched one by one, exactly.
const ONE_BY_ONE_UP_TO: usize = 5_000;
/// Adding to a graph takes a millisecond, to a list nearly nothing; so many wait in a list before they are moved.
const TAIL_WORTH_MOVING: usize = 2_000;
const NEIGHBOURS: usize = 32;
const EF_CONSTRUCTION: usize = 80;
/// How many neighbours a search keeps in view, at least; twice as many as are asked for.
const EF_SEARCH: usize = 96;
/// Where a filter hides so much that more would be needed, comparing one by one is as fast, and exact.
const EF_MOST: usize = 1_024;

/// Vectors are of length 1, so the inner product is the cosine.
pub struct Part {
    kind: Kind,
    dimensions: usize,
    index: IndexImpl,
    /// The numbers in `index`, in the order they went in: dead and alive.
    numbers: Vec<i64>,
    /// What a graph has not taken in yet; later numbers than all of the graph's.
    tail: Option<Tail>,
    /// Vectors that went into `index` since it was last written.
    pub unsaved: usize,
    /// What `index` is set to.
    ef: usize,
    of_entry: HashMap<EntryId, i64>,
    /// One bit for each number that counts.
    live: Bits,
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Part({:?}, {} x {}, {:?})",
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
    /// So many of the first are in the graph too.
    moved: usize,
}

impl Part {
    pub fn new(kind: Kind, dimensions: usize) -> Result<Self> {
        let index = match kind {
            Kind::Exact => flat(dimensions)?,
            Kind::Graph => make(dimensions, format!("IDMap2,HNSW{NEIGHBOURS}"))?,
        };
        let part = Self::around(kind, index, Vec::new());
        part.tune()?;
        Ok(part)
    }

    /// A part as a file holds it: nothing in it counts until the journal says so.
    pub fn around(kind: Kind, index: IndexImpl, numbers: Vec<i64>) -> Self {
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

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn index(&self) -> &IndexImpl {
        &self.index
    }

    pub fn numbers(&self) -> &[i64] {
        &self.numbers
    }

    pub fn size(&self) -> Size {
        let live = self.of_entry.len();
        Size { live, dead: self.count() - live }
    }

    fn count(&self) -> usize {
        self.numbers.len() + self.waiting()
    }

    /// How many only the tail holds.
    fn waiting(&self) -> usize {
        self.tail.as_ref().map_or(0, |tail| tail.numbers.len() - tail.moved)
    }

    fn last(&self) -> Option<i64> {
        let tail = self.tail.as_ref().and_then(|tail| tail.numbers.last());
        tail.or(self.numbers.last()).copied()
    }

    /// Counts a vector that is inside already; false if it is not.
    pub fn enliven(&mut self, put: &Put) -> bool {
        // `numbers` grow but for a rebuild's, which keeps their order.
        let inside = self.numbers.binary_search(&put.n).is_ok();
        if inside {
            self.live.set(put.n);
            self.of_entry.insert(put.id.clone(), put.n);
        }
        inside
    }

    /// False if there was no such entry, or it has come back since.
    pub fn kill_before(&mut self, id: &EntryId, tombstone: i64) -> bool {
        let Some(n) = self.of_entry.get(id).copied().filter(|n| *n < tombstone) else {
            return false;
        };
        self.of_entry.remove(id);
        self.live.clear(n);
        true
    }

    pub fn add(&mut self, batch: &[(&Change, &[f32])]) -> Result<()> {
        use_threads(1);
        // A number that is inside already would be there twice.
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

    /// Whether enough waits in the tail to be worth moving.
    pub fn has_long_tail(&self) -> bool {
        self.waiting() >= TAIL_WORTH_MOVING
    }

    /// Moves a few of the tail into the graph; true while some are left. A vector that is in both is found once.
    pub fn move_some(&mut self, most: usize) -> Result<bool> {
        let Some(tail) = &self.tail else { return Ok(false) };
        let end = (tail.moved + most).min(tail.numbers.len());
        // The dead stay behind.
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

    /// The nearest of all, or of those in `only`. FAISS leaves out the others by itself; where a graph would miss some
    /// for that, every one that counts is compared.
    pub fn search(
        &mut self,
        query: &[f32],
        only: Option<&HashSet<i64>>,
        k: usize,
    ) -> Result<Vec<Found>> {
        self.expect_dimensions(query)?;
        use_threads(1);
        match only {
            None => self.nearest_live(query, k),
            Some(only) => {
                let allowed: Vec<i64> =
                    only.iter().copied().filter(|n| self.live.get(*n)).collect();
                self.nearest_of(query, &allowed, k)
            }
        }
    }

    fn nearest_live(&mut self, query: &[f32], k: usize) -> Result<Vec<Found>> {
        let Size { live, dead } = self.size();
        let k = k.min(live);
        let found = if self.ef_for(live, k) > EF_MOST {
            Vec::new()
        } else if dead == 0 {
            self.nearest(query, None, live, k)?
        } else {
            let mask = std::mem::take(&mut self.live);
            let found = self.nearest(query, Some(&mask), live, k);
            self.live = mask;
            found?
        };
        if found.len() == k {
            return Ok(found);
        }
        let all: Vec<i64> = self.of_entry.values().copied().collect();
        self.one_by_one(query, &all, k)
    }

    fn nearest_of(&mut self, query: &[f32], allowed: &[i64], k: usize) -> Result<Vec<Found>> {
        let k = k.min(allowed.len());
        let few = allowed.len() <= ONE_BY_ONE_UP_TO || self.ef_for(allowed.len(), k) > EF_MOST;
        if self.kind == Kind::Graph && few {
            return self.one_by_one(query, allowed, k);
        }
        let mut mask = Bits::default();
        allowed.iter().for_each(|n| mask.set(*n));
        let found = self.nearest(query, Some(&mask), allowed.len(), k)?;
        if found.len() == k { Ok(found) } else { self.one_by_one(query, allowed, k) }
    }

    /// A graph walks over what is masked as well: the more of it, the more has to be in view.
    fn ef_for(&self, counting: usize, k: usize) -> usize {
        if self.kind == Kind::Exact || counting == 0 {
            return 0;
        }
        (EF_SEARCH.max(2 * k) * self.count()).div_ceil(counting)
    }

    fn nearest(
        &mut self,
        query: &[f32],
        mask: Option<&Bits>,
        counting: usize,
        k: usize,
    ) -> Result<Vec<Found>> {
        if k == 0 {
            return Ok(Vec::new());
        }
        let ef = self.ef_for(counting, k);
        if ef != self.ef {
            self.set("efSearch", ef)?;
            self.ef = ef;
        }
        let mut found = search(&mut self.index, query, mask, k)?;
        if let Some(tail) = &mut self.tail {
            let mut seen: HashSet<i64> = found.iter().map(|found| found.n).collect();
            let of_tail = search(&mut tail.index, query, mask, k)?;
            found.extend(of_tail.into_iter().filter(|found| seen.insert(found.n)));
            best_first(&mut found, k);
        }
        Ok(found)
    }

    fn one_by_one(&self, query: &[f32], numbers: &[i64], k: usize) -> Result<Vec<Found>> {
        let mut vector = vec![0.0; self.dimensions];
        let mut found = Vec::with_capacity(numbers.len());
        for n in numbers {
            self.read(*n, &mut vector)?;
            let score = query.iter().zip(&vector).map(|(a, b)| a * b).sum();
            found.push(Found { n: *n, score });
        }
        best_first(&mut found, k);
        Ok(found)
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
