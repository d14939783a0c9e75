//! What tokens cost where the agent does not say: list prices of the day below, in US dollars per million tokens.
//!
//! Only models whose price does not depend on the size of a request; what is not here is unknown, not free.

use crate::phase::Tokens;

/// From the providers' own price lists.
pub(super) const AS_OF: &str = "2025-10-01";

struct Price {
    model: &'static str,
    input: f64,
    output: f64,
    cache_read: Option<f64>,
    cache_write: Option<f64>,
}

const fn anthropic(model: &'static str, input: f64, output: f64) -> Price {
    Price { model, input, output, cache_read: Some(input / 10.0), cache_write: Some(input * 1.25) }
}

/// OpenAI charges nothing for writing to its cache, and reports no such tokens.
const fn openai(model: &'static str, input: f64, cache_read: f64, output: f64) -> Price {
    Price { model, input, output, cache_read: Some(cache_read), cache_write: None }
}

const PRICES: [Price; 18] = [
    anthropic("claude-opus-4-1", 15.0, 75.0),
    anthropic("claude-opus-4", 15.0, 75.0),
    anthropic("claude-haiku-4-5", 1.0, 5.0),
    anthropic("claude-3-5-haiku", 0.8, 4.0),
    anthropic("claude-3-7-sonnet", 3.0, 15.0),
    openai("gpt-5", 1.25, 0.125, 10.0),
    openai("gpt-5-codex", 1.25, 0.125, 10.0),
    openai("gpt-5-mini", 0.25, 0.025, 2.0),
    openai("gpt-5-nano", 0.05, 0.005, 0.4),
    openai("gpt-4.1", 2.0, 0.5, 8.0),
    openai("gpt-4.1-mini", 0.4, 0.1, 1.6),
    openai("gpt-4.1-nano", 0.1, 0.025, 0.4),
    openai("gpt-4o", 2.5, 1.25, 10.0),
    openai("gpt-4o-mini", 0.15, 0.075, 0.6),
    openai("o3", 2.0, 0.5, 8.0),
    openai("o3-mini", 1.1, 0.55, 4.4),
    openai("o4-mini", 1.1, 0.275, 4.4),
    openai("o1", 15.0, 7.5, 60.0),
];

/// `None` where the model, or the price of something that was used, is not known.
pub(super) fn cost(model: &str, tokens: &Tokens) -> Option<f64> {
    let price = PRICES.iter().find(|price| is(model, price.model))?;
    let part = |count: Option<u64>, price: Option<f64>| match count.unwrap_or(0) {
        0 => Some(0.0),
        count => price.map(|price| count as f64 * price / 1e6),
    };
    let known = [
        part(Some(tokens.input?), Some(price.input)),
        part(Some(tokens.output?), Some(price.output)),
        part(tokens.cache_read, price.cache_read),
        part(tokens.cache_write, price.cache_write),
    ];
    known.into_iter().sum()
}

/// A name may bear its provider in front and a date behind; `gpt-5-pro` is no `gpt-5`.
fn is(model: &str, listed: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    name.strip_prefix(listed).is_some_and(|rest| {
        let date = rest.strip_prefix(['-', '@']).unwrap_or(rest);
        rest.is_empty()
            || date == "latest"
            || (date.len() >= 8 && date.bytes().all(|b| b.is_ascii_digit() || b == b'-'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(input: u64, output: u64, cache_read: u64, cache_write: u64) -> Tokens {
        let [input, output, cache_read, cache_write] =
            [input, output, cache_read, cache_write].map(Some);
        Tokens { input, output, cache_read, cache_write }
    }

    #[test]
    fn a_known_model_costs_what_its_list_says() {
        let million = 1_000_000;
        assert_eq!(cost("openai/gpt-4o", &tokens(million, million, million, 0)), Some(13.75));
        assert_eq!(cost("claude-opus-4-1-20250805", &tokens(0, 0, million, million)), Some(20.25));
        assert_eq!(cost("gpt-4.1-2025-04-14", &tokens(million, 0, 0, 0)), Some(2.0));
        assert_eq!(cost("gpt-5-mini", &tokens(0, million, 0, 0)), Some(2.0));
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        let some = tokens(1, 1, 0, 0);
        for model in
            ["gpt-5-pro", "gpt-5.1", "claude-opus-4-9", "gemini-2.5-pro", "", "my-model", "gpt-5-2"]
        {
            assert_eq!(cost(model, &some), None, "{model}");
        }
        assert_eq!(cost("gpt-5", &tokens(1, 1, 1, 1)), None);
        assert_eq!(cost("gpt-5", &Tokens { input: Some(1), ..Tokens::default() }), None);
    }
}
