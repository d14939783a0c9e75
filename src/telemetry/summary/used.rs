//! Sums of the usage of attempts. Unknown usage is counted separately, never as 0.

use serde::Serialize;

use crate::phase::{AttemptFacts, Tokens};

/// Tokens and cost of attempts.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MeasuredUsage {
    /// Tokens.
    pub tokens: TokenSums,
    /// Cost in US dollars; `null` when unknown.
    pub cost_usd: Option<f64>,
    /// Attempts with an agent but without a reported cost.
    pub cost_unknown_attempts: u64,
}

/// Sums of known tokens; `null` when nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TokenSums {
    /// Known tokens, by kind.
    #[serde(flatten)]
    pub known: Tokens,
    /// Input, output and cache writes: tokens billed at the full rate or more.
    pub billed: Option<u64>,
    /// Attempts with an agent but without reported tokens.
    pub unknown_attempts: u64,
}

impl MeasuredUsage {
    /// Adds the tokens of an attempt.
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
