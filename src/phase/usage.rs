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

impl Usage {
    /// Returns the usage of this call and a further one. A count that one call does not report is the other's.
    #[must_use]
    pub fn plus(self, next: &Self) -> Self {
        let add = |a: Option<u64>, b: Option<u64>| {
            [a, b].into_iter().flatten().reduce(u64::saturating_add)
        };
        let (of, and) = (&self.tokens, &next.tokens);
        Self {
            tokens: Tokens {
                input: add(of.input, and.input),
                output: add(of.output, and.output),
                cache_read: add(of.cache_read, and.cache_read),
                cache_write: add(of.cache_write, and.cache_write),
            },
            cost_usd: [self.cost_usd, next.cost_usd].into_iter().flatten().reduce(|a, b| a + b),
            model: next.model.clone().or(self.model),
            ..next.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usage_of_two_calls_is_added_up() {
        let usage = |input, cost_usd| Usage {
            tokens: Tokens { input, ..Tokens::default() },
            cost_usd,
            ..Usage::default()
        };
        let sum = usage(Some(3), Some(0.5)).plus(&usage(Some(4), None));
        assert_eq!((sum.tokens.input, sum.cost_usd), (Some(7), Some(0.5)));
        assert_eq!(usage(None, None).plus(&usage(None, None)).tokens.input, None);
    }
}
