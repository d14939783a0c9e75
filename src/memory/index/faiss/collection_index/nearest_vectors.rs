//! Search in a collection index: with the index, or vector by vector for a small selection.

use std::collections::HashSet;

use super::{CollectionIndex, Kind};
use crate::memory::index::faiss::faiss_library::{best_first, search, use_threads};
use crate::memory::index::faiss::mask::Bits;
use crate::memory::index::faiss::{Result, Size, VectorMatch};

/// In a graph, selections smaller than this are compared vector by vector, exactly.
const ONE_BY_ONE_UP_TO: usize = 5_000;
/// Minimum number of neighbors kept during a graph search; at least twice the number of results.
const EF_SEARCH: usize = 96;
/// Maximum number of neighbors kept; with stricter filters, comparing vector by vector is as fast, and exact.
const EF_MOST: usize = 1_024;

impl CollectionIndex {
    /// Returns the nearest vectors of all, or of those in `only`. FAISS skips the others; where a graph would then miss
    /// some, every live vector is compared.
    ///
    /// # Errors
    ///
    /// Fails when the FAISS library reports an error.
    pub fn search(
        &mut self,
        query: &[f32],
        only: Option<&HashSet<i64>>,
        k: usize,
    ) -> Result<Vec<VectorMatch>> {
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

    fn nearest_live(&mut self, query: &[f32], k: usize) -> Result<Vec<VectorMatch>> {
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
        self.exact_among(query, &all, k)
    }

    fn nearest_of(&mut self, query: &[f32], allowed: &[i64], k: usize) -> Result<Vec<VectorMatch>> {
        let k = k.min(allowed.len());
        let few = allowed.len() <= ONE_BY_ONE_UP_TO || self.ef_for(allowed.len(), k) > EF_MOST;
        if self.kind == Kind::Graph && few {
            return self.exact_among(query, allowed, k);
        }
        let mut mask = Bits::default();
        allowed.iter().for_each(|n| mask.set(*n));
        let found = self.nearest(query, Some(&mask), allowed.len(), k)?;
        if found.len() == k { Ok(found) } else { self.exact_among(query, allowed, k) }
    }

    /// Returns the number of neighbors to keep: a graph search also visits masked vectors, so the number grows with the
    /// masked share.
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
    ) -> Result<Vec<VectorMatch>> {
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

    fn exact_among(&self, query: &[f32], numbers: &[i64], k: usize) -> Result<Vec<VectorMatch>> {
        let mut vector = vec![0.0; self.dimensions];
        let mut found = Vec::with_capacity(numbers.len());
        for n in numbers {
            self.read(*n, &mut vector)?;
            let score = query.iter().zip(&vector).map(|(a, b)| a * b).sum();
            found.push(VectorMatch { n: *n, score });
        }
        best_first(&mut found, k);
        Ok(found)
    }
}
