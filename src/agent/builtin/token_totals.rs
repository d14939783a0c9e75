//! Usage of an attempt so far: as reported by providers, estimated otherwise.

use genai::chat::Usage as Reported;

use crate::phase::{Tokens, Usage};

pub(super) struct Totals {
    pub usage: Usage,
    /// Input, output and cache writes, for the budget: estimated if not reported.
    pub spent: u64,
}

impl Totals {
    pub(super) fn new(model: &str) -> Self {
        let usage = Usage { model: Some(model.to_owned()), ..Usage::default() };
        Self { usage, spent: 0 }
    }

    /// Adds an answer. `sent` and `got` are estimates, in tokens.
    pub(super) fn add(&mut self, reported: Option<&Reported>, sent: u64, got: u64) {
        let tokens = reported.map(tokens).unwrap_or_default();
        let sum = |total: &mut Option<u64>, more: Option<u64>| {
            if let Some(more) = more {
                *total = Some(total.unwrap_or(0).saturating_add(more));
            }
        };
        let total = &mut self.usage.tokens;
        sum(&mut total.input, tokens.input);
        sum(&mut total.output, tokens.output);
        sum(&mut total.cache_read, tokens.cache_read);
        sum(&mut total.cache_write, tokens.cache_write);
        let counted = [tokens.input.unwrap_or(sent), tokens.output.unwrap_or(got)];
        let more = counted.into_iter().fold(tokens.cache_write.unwrap_or(0), u64::saturating_add);
        self.spent = self.spent.saturating_add(more);
    }

    /// Notes the stop reason. A truncated answer marks the whole attempt, and keeps the reason.
    pub(super) fn stopped(&mut self, reason: Option<&str>, truncated: bool) {
        if truncated || !self.usage.truncated {
            self.usage.stop_reason = reason.map(str::to_owned);
        }
        self.usage.truncated |= truncated;
    }
}

/// The library's `prompt_tokens` include cached tokens for every provider.
fn tokens(reported: &Reported) -> Tokens {
    let count = |tokens: Option<i32>| tokens.and_then(|tokens| u64::try_from(tokens).ok());
    let details = reported.prompt_tokens_details.as_ref();
    let cache_read = count(details.and_then(|details| details.cached_tokens));
    let cache_write = count(details.and_then(|details| details.cache_creation_tokens));
    let cached = cache_read.unwrap_or(0) + cache_write.unwrap_or(0);
    Tokens {
        input: count(reported.prompt_tokens).map(|prompt| prompt.saturating_sub(cached)),
        output: count(reported.completion_tokens),
        cache_read,
        cache_write,
    }
}

#[cfg(test)]
mod tests {
    use genai::chat::PromptTokensDetails;

    use super::*;

    #[test]
    fn cached_tokens_are_no_input_and_the_unknown_stays_unknown() {
        let details = PromptTokensDetails {
            cached_tokens: Some(60),
            cache_creation_tokens: Some(10),
            ..PromptTokensDetails::default()
        };
        let reported = Reported {
            prompt_tokens: Some(100),
            prompt_tokens_details: Some(details),
            completion_tokens: Some(7),
            ..Reported::default()
        };
        let mut totals = Totals::new("m");
        totals.add(None, 40, 2);
        assert_eq!((totals.usage.tokens, totals.spent), (Tokens::default(), 42));
        totals.add(Some(&reported), 40, 2);
        let known = Tokens {
            input: Some(30),
            output: Some(7),
            cache_read: Some(60),
            cache_write: Some(10),
        };
        assert_eq!((totals.usage.tokens, totals.spent), (known, 42 + 47));
    }

    #[test]
    fn a_truncation_is_not_forgotten() {
        let mut totals = Totals::new("m");
        totals.stopped(Some("max_tokens"), true);
        totals.stopped(Some("end_turn"), false);
        assert!(totals.usage.truncated);
        assert_eq!(totals.usage.stop_reason.as_deref(), Some("max_tokens"));
    }
}
