//! Phrases of programs for an unreachable, failing or rate-limiting provider, from the common HTTP clients
//! and runtimes.

const UNREACHABLE: [&str; 34] = [
    "connectionerror",
    "connection error",
    "connection refused",
    "connection reset",
    "connection aborted",
    "connection closed",
    "connection timed out",
    "connect timeout",
    "connecttimeout",
    "readtimeout",
    "read timed out",
    "request timed out",
    "request timeout",
    "apitimeouterror",
    "timeouterror",
    "econnrefused",
    "econnreset",
    "econnaborted",
    "etimedout",
    "enotfound",
    "eai_again",
    "enetunreach",
    "ehostunreach",
    "getaddrinfo",
    "name resolution",
    "name or service not known",
    "could not resolve host",
    "failed to resolve",
    "dns error",
    "network is unreachable",
    "no route to host",
    "socket hang up",
    "fetch failed",
    "max retries exceeded",
];
const FAILING: [&str; 17] = [
    "server disconnected",
    "remote end closed connection",
    "remotedisconnected",
    "stream disconnected",
    "error sending request",
    "overloaded",
    "high demand",
    "temporarily unavailable",
    "service unavailable",
    "serviceunavailableerror",
    "bad gateway",
    "badgatewayerror",
    "gateway timeout",
    "gateway time-out",
    "internal server error",
    "internalservererror",
    "server had an error",
];
const LIMITED: [&str; 8] = [
    "too many requests",
    "rate limit",
    "ratelimit",
    "rate_limit",
    "rate-limited",
    "usage limit reached",
    "resource_exhausted",
    "resource exhausted",
];
const NO_CREDIT: [&str; 9] = [
    "payment required",
    "insufficient credit",
    "insufficient balance",
    "insufficient funds",
    "insufficient_quota",
    "exceeded your current quota",
    "credit balance is too low",
    "out of credits",
    "no credit",
];
const FAILURES: [u16; 11] = [500, 502, 503, 504, 520, 521, 522, 523, 524, 529, 530];
/// Words before a number that make the number a status.
const BEFORE: [&str; 6] = ["http", "status", "code", "error", "errors", "repeated"];
/// Words after a number that make the number a status.
const AFTER: [&str; 6] = ["internal", "bad", "service", "gateway", "server", "overloaded"];

pub(crate) fn sounds_unavailable(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    has(&text, &UNREACHABLE) || has(&text, &FAILING) || names_status(&text, &FAILURES)
}

pub(crate) fn sounds_limited(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    has(&text, &LIMITED) || names_status(&text, &[429])
}

/// Applies to a provider's own message: other programs' output may contain similar words.
pub(crate) fn is_unpaid(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    has(&text, &NO_CREDIT) || names_status(&text, &[402])
}

fn has(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.contains(word))
}

/// Finds a status, as in "HTTP 503", "status code: 529", "Error code: 402 - {..}", "500 Internal ...": a bare
/// number does not count.
fn names_status(text: &str, statuses: &[u16]) -> bool {
    let words: Vec<&str> =
        text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    (0..words.len()).any(|at| {
        let is_status = words[at].parse().is_ok_and(|number| statuses.contains(&number));
        let before = at.checked_sub(1).map(|before| words[before]).unwrap_or_default();
        let after = words.get(at + 1).copied().unwrap_or_default();
        is_status && (BEFORE.contains(&before) || AFTER.contains(&after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_providers_and_clients_are_classified() {
        for text in [
            "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='x')",
            "Error: connect ECONNREFUSED 127.0.0.1:443",
            "API Error: 529 {\"type\":\"error\"}",
            "API Error: Repeated 529 Overloaded errors",
            "server returned HTTP 503",
            "unexpected status 502 Bad Gateway",
            "Temporary failure in name resolution",
            "curl: (6) Could not resolve host: api.example.com",
            "httpx.ReadTimeout",
        ] {
            assert!(sounds_unavailable(text), "{text}");
        }
        for text in ["", "it broke", "wrote 500 lines", "exit code 1", "line 503", "529 files"] {
            assert!(!sounds_unavailable(text), "{text}");
        }
        assert!(sounds_limited("Error code: 429 - slow down") && !sounds_limited("429 files"));
        assert!(is_unpaid("OpenrouterException - {\"error\":{\"code\":402}}"));
        assert!(is_unpaid("Error code: 402") && !is_unpaid("402 files"));
    }
}
