//! Formatting of figures for people.

use std::time::Duration;

pub use crate::phase::words::counted;
use crate::progress::{duration, thousands};
use crate::telemetry::summary::{Figure, Rate};

/// Number of values above which the interval is narrow enough to omit.
const MANY: u64 = 100;
/// Text for an unknown value.
pub const UNKNOWN: &str = "-";

/// Formats a share: `95 %`.
pub fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| UNKNOWN.to_owned(), |share| format!("{:.0} %", share * 100.0))
}

/// Formats a rate with its interval in percent: `95 (84-99)`; the interval only for few values.
pub fn rate(rate: &Rate) -> String {
    let whole = |share: f64| format!("{:.0}", share * 100.0);
    match (rate.value, rate.low.zip(rate.high)) {
        (None, _) => UNKNOWN.to_owned(),
        (Some(value), Some((low, high))) if rate.of < MANY => {
            format!("{} ({}-{})", whole(value), whole(low), whole(high))
        }
        (Some(value), _) => whole(value),
    }
}

/// Formats a figure, with its interval for few values.
pub fn figure(figure: &Figure, n: u64, decimals: usize) -> String {
    let number = |value: f64| format!("{value:.decimals$}");
    match (figure.value, figure.low, figure.high) {
        (None, ..) => UNKNOWN.to_owned(),
        (Some(value), Some(low), Some(high)) if n < MANY => {
            format!("{} ({}-{})", number(value), number(low), number(high))
        }
        (Some(value), ..) => number(value),
    }
}

/// Formats an amount: `$12.34`; with fractions of a cent below a cent.
pub fn money(usd: Option<f64>) -> String {
    match usd {
        None => UNKNOWN.to_owned(),
        Some(usd) if usd > 0.0 && usd < 0.01 => format!("${usd:.4}"),
        Some(usd) => format!("${usd:.2}"),
    }
}

/// Formats a count: `1.25M`.
pub fn count(count: Option<u64>) -> String {
    count.map_or_else(|| UNKNOWN.to_owned(), thousands)
}

/// Formats a mean of counts.
pub fn about(value: Option<f64>) -> String {
    count(value.map(|value| value.round().max(0.0) as u64))
}

/// Formats a duration in milliseconds.
pub fn millis(ms: u64) -> String {
    duration(Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_samples_show_intervals() {
        assert_eq!(rate(&Rate::new(0, 0)), "-");
        assert_eq!(rate(&Rate::new(9, 10)), "90 (60-98)");
        assert_eq!(rate(&Rate::new(900, 1_000)), "90");
        let wide = Figure { value: Some(1.234), low: Some(1.0), high: None };
        assert_eq!(figure(&wide, 5, 2), "1.23");
    }

    #[test]
    fn unknown_cost_is_not_zero() {
        let shown = [None, Some(0.0), Some(0.0031), Some(12.345)].map(money);
        assert_eq!(shown, ["-", "$0.00", "$0.0031", "$12.35"]);
    }
}
