//! Rate limits: how long to wait after a refused request. Sources: GitHub, "Rate limits for the REST API"; GitLab, "Rate
//! limits" (response headers).

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderMap;

/// GitHub asks for a minute if an answer names no time.
const UNNAMED: Duration = Duration::from_secs(60);

/// Returns the wait of an answer that refuses a request because of a rate limit; `None` for other answers.
pub(super) fn wait_of(
    status: u16,
    headers: &HeaderMap,
    message: &str,
    now: Timestamp,
) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<i64>().ok();
    let after = number("retry-after").and_then(|seconds| u64::try_from(seconds).ok());
    let used_up = ["x-ratelimit-remaining", "ratelimit-remaining"]
        .into_iter()
        .any(|name| number(name) == Some(0));
    let is_limit = match status {
        429 => true,
        403 => used_up || after.is_some() || message.to_lowercase().contains("rate limit"),
        _ => false,
    };
    if !is_limit {
        return None;
    }
    let reset = ["x-ratelimit-reset", "ratelimit-reset"].into_iter().find_map(number);
    let until_reset = reset.map(|at| {
        let seconds = u64::try_from(at.saturating_sub(now.as_second())).unwrap_or_default();
        Duration::from_secs(seconds.saturating_add(1))
    });
    let after = after.map(Duration::from_secs);
    // A reset time belongs to another limit if requests are left.
    Some(after.or(until_reset.filter(|_| used_up || status == 429)).unwrap_or(UNNAMED))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(status: u16, headers: &[(&'static str, &str)], message: &str) -> Option<u64> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let now = Timestamp::from_second(1000).unwrap();
        wait_of(status, &map, message, now).map(|wait| wait.as_secs())
    }

    #[test]
    fn the_reset_or_the_wanted_wait_decides() {
        let used_up = ("x-ratelimit-remaining", "0");
        assert_eq!(wait(403, &[used_up, ("x-ratelimit-reset", "1030")], ""), Some(31));
        assert_eq!(wait(403, &[used_up, ("x-ratelimit-reset", "900")], ""), Some(1));
        assert_eq!(wait(429, &[("retry-after", "7")], ""), Some(7));
        assert_eq!(wait(429, &[("ratelimit-reset", "1010")], ""), Some(11), "GitLab");
        assert_eq!(wait(429, &[], ""), Some(60));
        let left = ("x-ratelimit-remaining", "40");
        let reset = ("x-ratelimit-reset", "4000");
        let secondary = "You have exceeded a secondary rate limit.";
        assert_eq!(wait(403, &[left, reset], secondary), Some(60));
    }

    #[test]
    fn other_refusals_are_no_rate_limits() {
        assert_eq!(wait(403, &[("x-ratelimit-remaining", "40")], "SSO needed"), None);
        assert_eq!(wait(404, &[("retry-after", "7")], ""), None);
        assert_eq!(wait(500, &[], "rate limit"), None);
    }
}
