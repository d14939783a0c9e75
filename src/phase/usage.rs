//! Usage of an attempt. Unknown values are `None`, never 0.

use serde::{Deserialize, Serialize};

/// Maximum plausible token count. A larger count is an error or a lie and counts as unknown, since sums over
/// a run must not overflow. 2e12, a date in milliseconds, is below this limit.
pub const MOST: u64 = 10_000_000_000_000;

/// Token counts with the same meaning for every agent: `input` excludes tokens read from or written to a
/// cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tokens {
    /// Input tokens without cache.
    pub input: Option<u64>,
    /// Output tokens.
    pub output: Option<u64>,
    /// Tokens read from a cache.
    pub cache_read: Option<u64>,
    /// Tokens written to a cache.
    pub cache_write: Option<u64>,
}

impl Tokens {
    /// Returns the tokens billed at the full rate or more; `None` if no count is known.
    pub fn billed(&self) -> Option<u64> {
        let parts = [self.input, self.output, self.cache_write];
        parts.into_iter().flatten().reduce(u64::saturating_add)
    }

    /// Checks whether any count is known.
    pub fn is_known(&self) -> bool {
        *self != Self::default()
    }
}

/// Usage reported by an agent for an attempt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Token counts.
    pub tokens: Tokens,
    /// Cost in US dollars.
    pub cost_usd: Option<f64>,
    /// Model used.
    pub model: Option<String>,
    /// Whether the output was cut short.
    pub truncated: bool,
    /// Why the model stopped.
    pub stop_reason: Option<String>,
}
