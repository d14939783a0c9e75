//! Cost and tokens in words.

use super::terminal_text::thousands;
use crate::phase::budget::format_dollars;

/// Formats an amount with cents: `$4.31`.
pub fn dollars(amount: f64) -> String {
    format!("${amount:.2}")
}

/// Describes the usage: `$4.31 (2.10M tokens)`, or tokens alone if the cost is unknown. `None` if nothing is known.
pub fn describe_money(cost_usd: Option<f64>, tokens: Option<u64>) -> Option<String> {
    let tokens = tokens.map(|tokens| format!("{} tokens", thousands(tokens)));
    let Some(cost) = cost_usd else { return tokens };
    let [cost] = format_dollars([cost]);
    Some(match tokens {
        Some(tokens) => format!("{cost} ({tokens})"),
        None => cost,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_without_a_price_is_tokens_alone() {
        assert_eq!(describe_money(None, Some(1200)).unwrap(), "1200 tokens");
        assert_eq!(describe_money(Some(0.5), Some(1200)).unwrap(), "$0.50 (1200 tokens)");
        assert_eq!(describe_money(None, None), None);
    }
}
