//! What an attempt used. Unknown is `None`, never 0.

use serde::{Deserialize, Serialize};

/// A larger count of tokens is a slip or a lie, and sums over a run must not overflow: it counts as unknown.
/// 2e12 milliseconds of a date are below it.
pub const MOST: u64 = 10_000_000_000_000;

/// Token counts with one meaning for every agent: `input` excludes what came from or went to a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tokens {
    pub input: Option<u64>,
    pub output: Option<u64>,
    pub cache_read: Option<u64>,
    pub cache_write: Option<u64>,
}

impl Tokens {
    /// What a provider bills at the full rate or more; `None` where nothing is known.
    pub fn billed(&self) -> Option<u64> {
        let parts = [self.input, self.output, self.cache_write];
        parts.into_iter().flatten().reduce(u64::saturating_add)
    }

    /// Whether anything was said at all.
    pub fn is_known(&self) -> bool {
        *self != Self::default()
    }
}

/// What an agent reported about one attempt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    pub tokens: Tokens,
    pub cost_usd: Option<f64>,
    pub model: Option<String>,
    pub truncated: bool,
    pub stop_reason: Option<String>,
}
