//! One collection's vectors in one FAISS index.

use std::collections::{HashMap, HashSet};

use faiss::index::autotune::ParameterSpace;
use faiss::index::{IndexImpl, SearchWithParamsMut};
use faiss::search_params::SearchParameters;
use faiss::selector::IdSelector;
use faiss::{Idx, Index, MetricType, index_factory};

use super::{FaissError, Found, Result, Size, library};
use crate::memory::entry::EntryId;
use crate::memory::journal::{Change, Put};

/// How a part searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Compares with every vector.
    Exact,
    /// A graph (HNSW): finds nearly all of the nearest, in a fraction of the time.
    Graph,
}

/// Above this a graph; `cargo run --example faiss_bench` measures both sides of it.
const EXACT_UP_TO: usize = 10_000;
/// A filter that lets fewer through than this is searched one by one, exactly: a graph loses its way among masked ones.
const ONE_BY_ONE_UP_TO: usize = 5_000;
/// Dead vectors cost time and space; below this it is not worth a rebuild.
const DEAD_WORTH_A_REBUILD: usize = 1_000;
const NEIGHBOURS: usize = 32;
const EF_CONSTRUCTION: f64 = 80.0;
const EF_SEARCH: f64 = 96.0;

/// Vectors are of length 1, so the inner product is the cosine.
pub struct Part {
    kind: Kind,
    dimensions: usize,
    index: IndexImpl,
    /// The numbers inside, in the order they went in: dead and alive.
    numbers: Vec<i64>,
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

/// Everything that a rebuild needs, taken at one moment.
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
    /// The slow part: it needs no lock, and may use every processor.
    pub fn build(self) -> Result<Part> {
        use_threads(std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
        let mut part = Part::new(self.kind, self.dimensions)?;
        let numbers: Vec<i64> = self.entries.iter().map(|(_, n)| *n).collect();
        part.insert(&self.vectors, &numbers)?;
        use_threads(1);
        for (id, n) in self.entries {
            part.live.set(n);
            part.of_entry.insert(id, n);
        }
        Ok(part)
    }
}

impl Part {
    pub fn new(kind: Kind, dimensions: usize) -> Result<Self> {
        let description = match kind {
            Kind::Exact => "IDMap2,Flat".to_owned(),
            Kind::Graph => format!("IDMap2,HNSW{NEIGHBOURS}"),
        };
        let d = u32::try_from(dimensions).unwrap_or(u32::MAX);
        let index = index_factory(d, description, MetricType::InnerProduct)
            .map_err(library("make an index"))?;
        let part = Self::around(kind, index, Vec::new());
        part.tune()?;
        Ok(part)
    }

    /// A part as a file holds it: nothing in it counts until the journal says so.
    pub fn around(kind: Kind, index: IndexImpl, numbers: Vec<i64>) -> Self {
        let dimensions = index.d() as usize;
        Self { kind, dimensions, index, numbers, of_entry: HashMap::new(), live: Bits::default() }
    }

    pub fn tune(&self) -> Result<()> {
        if self.kind == Kind::Exact {
            return Ok(());
        }
        let space = ParameterSpace::new().map_err(library("tune the index"))?;
        for (name, value) in [("efConstruction", EF_CONSTRUCTION), ("efSearch", EF_SEARCH)] {
            space
                .set_index_parameter(&self.index, name, value)
                .map_err(library("tune the index"))?;
        }
        Ok(())
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
        Size { live, dead: self.numbers.len() - live }
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
            .filter(|(change, _)| self.numbers.last().is_none_or(|last| change.n > *last))
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
        if numbers.is_empty() {
            return Ok(());
        }
        let ids: Vec<Idx> = numbers.iter().map(|n| Idx::new(n.unsigned_abs())).collect();
        self.index.add_with_ids(vectors, &ids).map_err(library("add vectors"))?;
        self.numbers.extend_from_slice(numbers);
        Ok(())
    }

    fn expect_dimensions(&self, vector: &[f32]) -> Result<()> {
        let (expected, got) = (self.dimensions, vector.len());
        if expected == got { Ok(()) } else { Err(FaissError::Dimensions { expected, got }) }
    }

    pub fn search(
        &mut self,
        query: &[f32],
        only: Option<&HashSet<i64>>,
        k: usize,
    ) -> Result<Vec<Found>> {
        self.expect_dimensions(query)?;
        use_threads(1);
        let Some(only) = only else {
            let k = k.min(self.of_entry.len());
            return if self.size().dead == 0 {
                self.nearest(query, k)
            } else {
                self.nearest_live(query, k)
            };
        };
        let allowed: Vec<i64> = only.iter().copied().filter(|n| self.live.get(*n)).collect();
        if allowed.len() <= ONE_BY_ONE_UP_TO {
            return self.one_by_one(query, &allowed, k);
        }
        let mut mask = Bits::default();
        allowed.iter().for_each(|n| mask.set(*n));
        let k = k.min(allowed.len());
        let found = self.nearest_of(query, &mask, k)?;
        // A graph may end among masked neighbours before it has found enough.
        if found.len() < k { self.one_by_one(query, &allowed, k) } else { Ok(found) }
    }

    fn nearest(&mut self, query: &[f32], k: usize) -> Result<Vec<Found>> {
        if k == 0 {
            return Ok(Vec::new());
        }
        let result = self.index.search(query, k).map_err(library("search"))?;
        Ok(found(&result.labels, &result.distances))
    }

    fn nearest_live(&mut self, query: &[f32], k: usize) -> Result<Vec<Found>> {
        let live = std::mem::take(&mut self.live);
        let found = self.nearest_of(query, &live, k);
        self.live = live;
        let found = found?;
        if found.len() < k {
            let all: Vec<i64> = self.of_entry.values().copied().collect();
            return self.one_by_one(query, &all, k);
        }
        Ok(found)
    }

    fn nearest_of(&mut self, query: &[f32], mask: &Bits, k: usize) -> Result<Vec<Found>> {
        if k == 0 {
            return Ok(Vec::new());
        }
        let masked = Masked::new(mask)?;
        let result =
            self.index.search_with_params(query, k, &masked.params).map_err(library("search"))?;
        Ok(found(&result.labels, &result.distances))
    }

    fn one_by_one(&self, query: &[f32], numbers: &[i64], k: usize) -> Result<Vec<Found>> {
        let mut vector = vec![0.0; self.dimensions];
        let mut found = Vec::with_capacity(numbers.len());
        for n in numbers {
            self.read(*n, &mut vector)?;
            let score = query.iter().zip(&vector).map(|(a, b)| a * b).sum();
            found.push(Found { n: *n, score });
        }
        found.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.n.cmp(&b.n)));
        found.truncate(k);
        Ok(found)
    }

    fn read(&self, n: i64, vector: &mut [f32]) -> Result<()> {
        let id = Idx::new(n.unsigned_abs());
        self.index.reconstruct(id, vector).map_err(library("read a vector"))
    }

    /// What this part should be rebuilt as, if that is worth it.
    pub fn due(&self) -> Option<Kind> {
        let Size { live, dead } = self.size();
        let fitting = if live > EXACT_UP_TO { Kind::Graph } else { Kind::Exact };
        // A graph that shrank is still fast; only one that grew out of exactness is not.
        let outgrown = fitting == Kind::Graph && self.kind == Kind::Exact;
        let littered = dead > DEAD_WORTH_A_REBUILD && dead > live / 3;
        (outgrown || littered).then_some(fitting)
    }

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

    /// Takes the place of `self`, after catching up with it.
    pub fn replace_with(&mut self, mut built: Self) -> Result<()> {
        let last = built.numbers.last().copied().unwrap_or(0);
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

unsafe extern "C" {
    /// OpenMP's, which FAISS is built on. It holds for the calling thread.
    safe fn omp_set_num_threads(threads: std::ffi::c_int);
}

/// One query is too little to share out: waiting for a second thread costs milliseconds on a busy machine.
fn use_threads(threads: usize) {
    omp_set_num_threads(std::ffi::c_int::try_from(threads).unwrap_or(1));
}

/// FAISS fills up with -1 what it did not find.
fn found(labels: &[Idx], scores: &[f32]) -> Vec<Found> {
    let pairs = labels.iter().zip(scores);
    let known = pairs.filter_map(|(label, score)| {
        let n = i64::try_from(label.get()?).ok()?;
        Some(Found { n, score: *score })
    });
    known.collect()
}

/// A set of numbers, as FAISS reads it.
#[derive(Default)]
struct Bits(Vec<u8>);

impl Bits {
    fn set(&mut self, n: i64) {
        let byte = (n.unsigned_abs() >> 3) as usize;
        if byte >= self.0.len() {
            self.0.resize(byte + 1, 0);
        }
        self.0[byte] |= 1 << (n & 7);
    }

    fn clear(&mut self, n: i64) {
        if let Some(byte) = self.0.get_mut((n.unsigned_abs() >> 3) as usize) {
            *byte &= !(1 << (n & 7));
        }
    }

    fn get(&self, n: i64) -> bool {
        self.0.get((n.unsigned_abs() >> 3) as usize).is_some_and(|byte| byte >> (n & 7) & 1 == 1)
    }
}

/// Search parameters that let through what a mask holds.
struct Masked<'a> {
    params: SearchParameters,
    /// `SearchParameters::new` forgets the selector that it is given and never frees it.
    _selector: IdSelector,
    /// The selector keeps a bare pointer into the mask.
    _mask: std::marker::PhantomData<&'a Bits>,
}

impl<'a> Masked<'a> {
    fn new(mask: &'a Bits) -> Result<Self> {
        let selector = IdSelector::bitmap(&mask.0).map_err(library("filter"))?;
        // SAFETY: `SearchParameters::new` forgets the original when it succeeds and drops it when it fails; this copy
        // is dropped only in the first case, so that exactly one of them frees the selector. Fields are dropped in
        // their order: the parameters, which point at the selector, before the selector.
        let copy = std::mem::ManuallyDrop::new(unsafe { std::ptr::read(&selector) });
        let params = SearchParameters::new(selector).map_err(library("filter"))?;
        let selector = std::mem::ManuallyDrop::into_inner(copy);
        Ok(Self { params, _selector: selector, _mask: std::marker::PhantomData })
    }
}
