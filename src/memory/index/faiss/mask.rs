//! Set of live numbers, in the format used by FAISS to skip all others.

use faiss::search_params::SearchParameters;
use faiss::selector::IdSelector;

use super::{Result, library};

/// A set of numbers, as a bit map readable by FAISS.
#[derive(Default)]
pub struct Bits(Vec<u8>);

impl Bits {
    pub fn set(&mut self, n: i64) {
        let byte = (n.unsigned_abs() >> 3) as usize;
        if byte >= self.0.len() {
            self.0.resize(byte + 1, 0);
        }
        self.0[byte] |= 1 << (n & 7);
    }

    pub fn clear(&mut self, n: i64) {
        if let Some(byte) = self.0.get_mut((n.unsigned_abs() >> 3) as usize) {
            *byte &= !(1 << (n & 7));
        }
    }

    pub fn get(&self, n: i64) -> bool {
        self.0.get((n.unsigned_abs() >> 3) as usize).is_some_and(|byte| byte >> (n & 7) & 1 == 1)
    }
}

/// Search parameters that restrict a search to a mask.
pub struct MaskedSearch<'a> {
    pub params: SearchParameters,
    /// `SearchParameters::new` forgets the selector and never frees the memory.
    _selector: IdSelector,
    /// The selector keeps a raw pointer into the mask.
    _mask: std::marker::PhantomData<&'a Bits>,
}

impl<'a> MaskedSearch<'a> {
    pub fn new(mask: &'a Bits) -> Result<Self> {
        let selector = IdSelector::bitmap(&mask.0).map_err(library("filter"))?;
        // SAFETY: `SearchParameters::new` forgets the original on success and drops the original on failure; this copy
        // is dropped only on success, so the selector is freed exactly once. Fields are dropped in order: the
        // parameters, with a pointer to the selector, before the selector.
        let copy = std::mem::ManuallyDrop::new(unsafe { std::ptr::read(&selector) });
        let params = SearchParameters::new(selector).map_err(library("filter"))?;
        let selector = std::mem::ManuallyDrop::into_inner(copy);
        Ok(Self { params, _selector: selector, _mask: std::marker::PhantomData })
    }
}
