//! Token prices for agents without own cost reports: `prices.file` of the configuration, then the dated list
//! below.
//!
//! A model in neither has an unknown cost, not zero. Surcharges for long contexts are left out: an attempt's
//! sums do not reveal the size of the requests, so the computed cost is a lower bound.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use serde::de::{self, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use crate::phase::{Tokens, Usage};

/// Lines of the list: model, input, output, cache_read and cache_write, sorted by model.
const LIST: &str = include_str!("prices.tsv");
/// Date of the list.
pub const AS_OF: &str = "2026-11-29";

/// Prices in US dollars per million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Price of input tokens outside of the cache.
    #[serde(deserialize_with = "dollars")]
    pub input: f64,
    /// Price of output tokens.
    #[serde(deserialize_with = "dollars")]
    pub output: f64,
    /// Price of tokens read from a cache, if known.
    #[serde(default, deserialize_with = "dollars_or_none")]
    pub cache_read: Option<f64>,
    /// Price of tokens written to a cache, if known.
    #[serde(default, deserialize_with = "dollars_or_none")]
    pub cache_write: Option<f64>,
}

/// An amount of dollars, checked during parsing, so that the error names the line.
#[derive(Deserialize)]
struct Dollars(#[serde(deserialize_with = "dollars")] f64);

fn dollars<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    deserializer.deserialize_f64(Amount)
}

fn dollars_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Ok(Option::<Dollars>::deserialize(deserializer)?.map(|Dollars(amount)| amount))
}

struct Amount;

impl Visitor<'_> for Amount {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an amount of dollars per million tokens, not negative")
    }

    fn visit_f64<E: de::Error>(self, amount: f64) -> Result<f64, E> {
        match amount.is_finite() && amount >= 0.0 {
            true => Ok(amount),
            false => Err(E::invalid_value(Unexpected::Float(amount), &self)),
        }
    }

    fn visit_u64<E: de::Error>(self, amount: u64) -> Result<f64, E> {
        self.visit_f64(amount as f64)
    }

    fn visit_i64<E: de::Error>(self, amount: i64) -> Result<f64, E> {
        self.visit_f64(amount as f64)
    }
}

/// The user's own prices, by model.
pub type OwnPrices = BTreeMap<String, Price>;

/// Set by the command that reads the configuration, before any agent is started.
static OWN: OnceLock<OwnPrices> = OnceLock::new();

/// Makes the user's own prices override the list. Only the first call has an effect.
pub fn set_own(prices: OwnPrices) {
    let named = |(model, price): (String, Price)| {
        [(model.trim().to_lowercase(), price), (plain(&model), price)]
    };
    let _ = OWN.set(prices.into_iter().flat_map(named).collect());
}

/// Returns the price of a model, in any spelling: with or without provider, region and date.
pub fn price(model: &str) -> Option<Price> {
    let (full, plain) = (model.trim().to_lowercase(), plain(model));
    let own = OWN.get().and_then(|own| own.get(&full).or_else(|| own.get(&plain)).copied());
    // Routers write Claude's versions with a dot.
    own.or_else(|| listed(&plain)).or_else(|| match plain.starts_with("claude-") {
        true => listed(&plain.replace('.', "-")),
        false => None,
    })
}

fn listed(model: &str) -> Option<Price> {
    let line = LIST.lines().find(|line| {
        line.strip_prefix(model).is_some_and(|rest| rest.starts_with('\t')) && !model.is_empty()
    })?;
    let mut fields = line.split('\t').skip(1).map(|field| field.parse().ok());
    Some(Price {
        input: fields.next()??,
        output: fields.next()??,
        cache_read: fields.next()?,
        cache_write: fields.next()?,
    })
}

/// Prefixes of a model's name on Bedrock: regions, then makers.
const BEFORE: [&str; 21] = [
    "us",
    "eu",
    "apac",
    "au",
    "jp",
    "ca",
    "sa",
    "me",
    "global",
    "us-gov",
    "anthropic",
    "openai",
    "meta",
    "mistral",
    "moonshotai",
    "moonshot",
    "qwen",
    "deepseek",
    "zai",
    "xai",
    "minimax",
];

/// Strips provider, region, API version and date from a model's name. Equivalent to `plain` in
/// scripts/prices.py.
fn plain(model: &str) -> String {
    let lower = model.trim().to_lowercase();
    let mut name = lower.rsplit('/').next().unwrap_or(&lower);
    if let Some((before, _)) = name.strip_suffix(']').and_then(|name| name.rsplit_once('[')) {
        name = before;
    }
    while let Some((before, rest)) = name.split_once('.') {
        if !BEFORE.contains(&before) || rest.is_empty() {
            break;
        }
        name = rest;
    }
    if let Some((before, number)) = name.rsplit_once(':')
        && is_number(number)
    {
        name = before;
        if let Some((before, version)) = name.rsplit_once("-v")
            && is_number(version)
        {
            name = before;
        }
    }
    if let Some((before, date)) = name.rsplit_once('@')
        && (date == "default" || date.len() == 8 && is_number(date))
    {
        name = before;
    }
    name = name.strip_suffix("-v1").unwrap_or(name);
    name = without_date(name);
    name.strip_suffix("-latest").unwrap_or(name).to_owned()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `-20250929`, or `-2025-09-29`.
fn without_date(name: &str) -> &str {
    let bytes = name.as_bytes();
    let ends_as = |shape: &[u8]| {
        bytes.len() > shape.len()
            && bytes[bytes.len() - shape.len()..].iter().zip(shape).all(|(byte, shape)| match shape
            {
                b'9' => byte.is_ascii_digit(),
                shape => byte == shape,
            })
    };
    let shapes: [&[u8]; 2] = [b"-99999999", b"-9999-99-99"];
    match shapes.iter().find(|shape| ends_as(shape)) {
        Some(shape) => &name[..name.len() - shape.len()],
        None => name,
    }
}

/// Returns the cost in dollars; `None` if the model, or the price of a used kind of token, is unknown.
pub(super) fn cost(model: &str, tokens: &Tokens) -> Option<f64> {
    let price = price(model)?;
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

/// Computes the cost of usage reported without a cost. Returns a note if it did.
pub(super) fn add_cost(usage: &mut Usage) -> Option<String> {
    if usage.cost_usd.is_some() {
        return None;
    }
    usage.cost_usd = cost(usage.model.as_deref()?, &usage.tokens).filter(|cost| *cost > 0.0);
    usage.cost_usd.map(|_| computed_note())
}

/// Describes the source of a computed cost.
pub(super) fn computed_note() -> String {
    format!("the cost is computed from list prices of {AS_OF}")
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
    fn a_model_is_known_by_all_its_names() {
        let sonnet = price("claude-sonnet-4-5").unwrap();
        assert_eq!((sonnet.input, sonnet.output), (3.0, 15.0));
        for name in [
            "claude-sonnet-4-5-20250929",
            "claude-sonnet-4-5@20250929",
            "anthropic/claude-sonnet-4-5",
            "openrouter/anthropic/claude-sonnet-4.5",
            "vertex_ai/claude-sonnet-4-5@20250929",
            "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "Claude-Sonnet-4-5-latest",
            "claude-sonnet-4-5[1m]",
        ] {
            assert_eq!(price(name), Some(sonnet), "{name}");
        }
        assert_ne!(price("gpt-4o"), price("gpt-4o-mini"));
        assert_ne!(price("gpt-5"), price("gpt-5-pro"));
        assert_eq!(price("gemini/gemini-2.5-pro"), price("gemini-2.5-pro"));
        assert!(price("gemini-2.5-pro").is_some() && price("gpt-5.1").is_some());
    }

    #[test]
    fn the_list_is_whole_and_found_line_by_line() {
        assert!(LIST.lines().any(|line| line == format!("# As of: {AS_OF}")));
        let lines: Vec<&str> = LIST.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(lines.len() > 300);
        for line in lines {
            let name = line.split('\t').next().unwrap();
            assert_eq!(plain(name), name, "what cannot be asked for");
            assert!(price(name).is_some_and(|p| p.input > 0.0 && p.output > 0.0), "{line}");
        }
    }

    #[test]
    fn unknown_values_are_not_guessed() {
        let some = tokens(1, 1, 0, 0);
        for model in
            ["gpt-5-nonesuch", "claude-opus-4-99", "", "my-model", "gpt-5-2", "sonnet", "gpt", "#"]
        {
            assert_eq!(cost(model, &some), None, "{model}");
        }
        assert_eq!(cost("gpt-5", &tokens(1, 1, 1, 1)), None);
        assert_eq!(cost("gpt-5", &Tokens { input: Some(1), ..Tokens::default() }), None);
    }
}
