//! Sums of what attempts used. What nobody said is not 0: it is counted apart.

use serde::Serialize;

use crate::phase::{AttemptFacts, Tokens};

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Used {
    pub tokens: TokenSums,
    pub cost_usd: Option<f64>,
    /// Attempts that reached an agent which did not say what they cost.
    pub cost_unknown_attempts: u64,
}

/// Sums of what is known; `null` where nothing is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TokenSums {
    #[serde(flatten)]
    pub known: Tokens,
    /// Input, output and what was written to a cache: what a provider bills at the full rate or more.
    pub billed: Option<u64>,
    /// Attempts that reached an agent which did not say what they used.
    pub unknown_attempts: u64,
}

impl Used {
    pub fn add(&mut self, attempt: &AttemptFacts) {
        let (sums, tokens) = (&mut self.tokens, attempt.tokens);
        plus(&mut sums.known.input, tokens.input);
        plus(&mut sums.known.output, tokens.output);
        plus(&mut sums.known.cache_read, tokens.cache_read);
        plus(&mut sums.known.cache_write, tokens.cache_write);
        plus(&mut sums.billed, tokens.billed());
        if let Some(cost) = attempt.cost_usd {
            *self.cost_usd.get_or_insert(0.0) += cost;
        }
        let reached = attempt.agent.is_some();
        sums.unknown_attempts += u64::from(reached && !tokens.is_known());
        self.cost_unknown_attempts += u64::from(reached && attempt.cost_usd.is_none());
    }
}

fn plus(sum: &mut Option<u64>, count: Option<u64>) {
    if let Some(count) = count {
        *sum = Some(sum.unwrap_or(0).saturating_add(count));
    }
}
