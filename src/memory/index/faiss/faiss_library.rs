//! Thin wrapper of the FAISS library: creates, fills and searches indexes, with the journal's numbers and autopack's
//! errors.

use faiss::index::{IndexImpl, SearchWithParamsMut};
use faiss::{Idx, Index, MetricType, index_factory};

use super::mask::{Bits, MaskedSearch};
use super::{Result, VectorMatch, library};

unsafe extern "C" {
    /// OpenMP's function, used by FAISS. Applies to the calling thread.
    safe fn omp_set_num_threads(threads: std::ffi::c_int);
}

/// Sets the number of threads. A single query is too small to share: waiting for a second thread costs milliseconds on
/// a busy machine.
pub fn use_threads(threads: usize) {
    omp_set_num_threads(std::ffi::c_int::try_from(threads).unwrap_or(1));
}

pub fn make(dimensions: usize, description: impl AsRef<str>) -> Result<IndexImpl> {
    let d = u32::try_from(dimensions).unwrap_or(u32::MAX);
    index_factory(d, description, MetricType::InnerProduct).map_err(library("make an index"))
}

pub fn flat(dimensions: usize) -> Result<IndexImpl> {
    make(dimensions, "IDMap2,Flat")
}

pub fn add(index: &mut IndexImpl, vectors: &[f32], numbers: &[i64]) -> Result<()> {
    let ids: Vec<Idx> = numbers.iter().map(|n| Idx::new(n.unsigned_abs())).collect();
    index.add_with_ids(vectors, &ids).map_err(library("add vectors"))
}

pub fn search(
    index: &mut IndexImpl,
    query: &[f32],
    mask: Option<&Bits>,
    k: usize,
) -> Result<Vec<VectorMatch>> {
    let result = match mask {
        None => index.search(query, k),
        Some(mask) => index.search_with_params(query, k, &MaskedSearch::new(mask)?.params),
    };
    let result = result.map_err(library("search"))?;
    Ok(to_matches(&result.labels, &result.distances))
}

pub fn best_first(found: &mut Vec<VectorMatch>, k: usize) {
    found.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.n.cmp(&b.n)));
    found.truncate(k);
}

/// Converts labels and scores; FAISS pads missing results with -1.
fn to_matches(labels: &[Idx], scores: &[f32]) -> Vec<VectorMatch> {
    let pairs = labels.iter().zip(scores);
    let known = pairs.filter_map(|(label, score)| {
        let n = i64::try_from(label.get()?).ok()?;
        Some(VectorMatch { n, score: *score })
    });
    known.collect()
}
