//! Finds the end of a rate limit in providers' headers and fields.

use std::time::Duration;

use jiff::fmt::rfc2822;
use jiff::{Span, SpanRelativeTo, Timestamp};
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::super::RateLimitReset;
use crate::phase::UnixMs;

/// Headers for the remainder and the reset of a limit, from Anthropic and OpenAI. A reset counts if the
/// remainder is 0.
const PAIRS: [(&str, &str); 6] = [
    ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
    ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
    ("anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset"),
    ("anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset"),
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
];

/// Reads the headers. `retry-after` has priority, since the header concerns this request.
pub(super) fn from_headers(headers: &HeaderMap, now: UnixMs) -> Option<RateLimitReset> {
    let header = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let millis = header("retry-after-ms").and_then(|text| text.parse::<f64>().ok());
    let exact = millis.and_then(|millis| Duration::try_from_secs_f64(millis / 1000.0).ok());
    exact.map(RateLimitReset::After).or_else(|| header("retry-after").and_then(when)).or_else(
        || {
            let spent = PAIRS.iter().filter(|(left, _)| header(left) == Some("0"));
            let resets = spent.filter_map(|(_, reset)| header(reset).and_then(when));
            resets.max_by_key(|until| from(*until, now))
        },
    )
}

/// Reads Google's `RetryInfo` in the body of the error.
pub(super) fn from_body(body: &Value) -> Option<RateLimitReset> {
    let body = body.get(0).unwrap_or(body);
    let details = body.pointer("/error/details")?.as_array()?;
    let delay = details.iter().find_map(|detail| detail.get("retryDelay")?.as_str());
    delay.and_then(span).map(RateLimitReset::After)
}

/// Parses seconds, a duration like `6m0s`, or a date in HTTP or RFC 3339 format.
fn when(text: &str) -> Option<RateLimitReset> {
    if let Some(span) = span(text) {
        return Some(RateLimitReset::After(span));
    }
    let at = rfc2822::parse(text).map(|zoned| zoned.timestamp());
    let at = at.or_else(|_| text.parse::<Timestamp>()).ok()?;
    Some(RateLimitReset::At(UnixMs(at.as_millisecond())))
}

fn from(until: RateLimitReset, now: UnixMs) -> i64 {
    match until {
        RateLimitReset::At(at) => at.0,
        RateLimitReset::After(span) => {
            now.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX))
        }
    }
}

/// Parses `12`, `1.5`, `17s`, `6m0s`, `250ms`, `1h2m3.5s`.
fn span(text: &str) -> Option<Duration> {
    // Seconds are read apart: jiff refuses more than nine digits of a fraction.
    if let Ok(seconds) = text.strip_suffix('s').unwrap_or(text).parse() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let span: Span = text.parse().ok()?;
    span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> Option<RateLimitReset> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        from_headers(&headers, UnixMs(1_000_000))
    }

    fn after(millis: u64) -> Option<RateLimitReset> {
        Some(RateLimitReset::After(Duration::from_millis(millis)))
    }

    #[test]
    fn every_format_of_a_reset_time_is_understood() {
        assert_eq!(headers(&[("retry-after", "12")]), after(12_000));
        assert_eq!(headers(&[("retry-after-ms", "1500"), ("retry-after", "2")]), after(1_500));
        let date = Some(RateLimitReset::At(UnixMs(784_111_777_000)));
        assert_eq!(headers(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]), date);
        let reset = ("anthropic-ratelimit-tokens-reset", "1994-11-06T08:49:37Z");
        assert_eq!(headers(&[reset, ("anthropic-ratelimit-tokens-remaining", "0")]), date);
        assert_eq!(headers(&[reset, ("anthropic-ratelimit-tokens-remaining", "5")]), None);
        let openai =
            [("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "6m0.5s")];
        assert_eq!(headers(&openai), after(360_500));
        let google = serde_json::json!({"error": {"details": [{"retryDelay": "17s"}]}});
        assert_eq!(from_body(&google), after(17_000));
    }

    #[test]
    fn every_unit_of_a_duration_is_read() {
        for (text, millis) in [
            ("1.5", 1_500),
            ("1.5000000000001s", 1_500),
            ("250ms", 250),
            ("6m0s", 360_000),
            ("1h2m3.5s", 3_723_500),
            ("1d2h", 93_600_000),
            ("0s", 0),
        ] {
            assert_eq!(span(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["1mo", "-1s", "1y"] {
            assert_eq!(span(text), None, "{text}");
        }
    }

    #[test]
    fn nonsense_is_no_time() {
        for text in ["", "soon", "-5", "1x", "1e400", "."] {
            assert_eq!(headers(&[("retry-after", text)]), None, "{text:?}");
        }
    }
}
