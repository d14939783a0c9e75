//! Classifies failed requests by the provider's structured data: status, codes, headers.

use std::error::Error as _;

use genai::webc::StreamTimeout;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::super::RateLimitReset;
use super::rate_limit_reset;
use crate::phase::UnixMs;

/// Maximum characters passed on from a provider's message.
const LONGEST: usize = 400;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum RequestError {
    RateLimited {
        until: Option<RateLimitReset>,
        message: String,
    },
    /// The next phase would fail too.
    Systemic(Fault, String),
    /// A retry may succeed.
    Passing {
        unreachable: bool,
        message: String,
    },
    /// No data for too long.
    Silent,
    /// The provider will not answer this request.
    Refused(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Key,
    Credit,
    Model,
}

/// Classifies an error. The library nests errors in several ways, and `status()` covers none of them for
/// streams.
pub(super) fn classify(error: genai::Error, now: UnixMs) -> RequestError {
    match error {
        genai::Error::WebStream { error, .. } => match error.downcast::<genai::Error>() {
            Ok(error) => classify(*error, now),
            Err(error) => transport(error.as_ref()),
        },
        genai::Error::HttpError { status, body, headers, .. } => {
            classify_response(status, &body, &headers, now)
        }
        genai::Error::WebModelCall { webc_error, .. } => match webc_error {
            genai::webc::Error::ResponseFailedStatus { status, body, headers } => {
                classify_response(status, &body, &headers, now)
            }
            genai::webc::Error::Reqwest(error) => transport(&error),
            error => RequestError::Refused(short(&error.to_string())),
        },
        genai::Error::ChatResponse { body, .. } => classify_stream_error(&body, now),
        genai::Error::StreamParse { serde_error, .. } => {
            temporary(format!("the answer is invalid: {serde_error}"))
        }
        error => RequestError::Refused(short(&error.to_string())),
    }
}

fn transport(error: &(dyn std::error::Error + 'static)) -> RequestError {
    if error.is::<StreamTimeout>() {
        return RequestError::Silent;
    }
    let Some(error) = error.downcast_ref::<reqwest::Error>() else {
        return temporary(format!("the answer is invalid: {error}"));
    };
    if error.is_timeout() && !error.is_connect() {
        return RequestError::Silent;
    }
    // The last cause is the reason; the first causes name the address.
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let reason = match error.source() {
        Some(_) => cause.to_string(),
        None => "the connection broke".to_owned(),
    };
    RequestError::Passing { unreachable: error.is_connect(), message: short(&reason) }
}

/// Classifies an error response.
pub(super) fn classify_response(
    status: StatusCode,
    body: &str,
    headers: &HeaderMap,
    now: UnixMs,
) -> RequestError {
    let json: Value = serde_json::from_str(body).unwrap_or_default();
    let reported = ProviderError::of(&json);
    let message = match reported.message {
        Some(message) => format!("{} ({})", short(message), status.as_u16()),
        None => format!("{} ({})", short(body.trim()), status.as_u16()),
    };
    let systemic = |fault| RequestError::Systemic(fault, message.clone());
    match status.as_u16() {
        _ if reported.is("insufficient_quota") || reported.is("billing_error") => {
            systemic(Fault::Credit)
        }
        _ if reported.is("API_KEY_INVALID") => systemic(Fault::Key),
        401 | 403 => systemic(Fault::Key),
        402 => systemic(Fault::Credit),
        404 => systemic(Fault::Model),
        429 => {
            let until = rate_limit_reset::from_headers(headers, now)
                .or_else(|| rate_limit_reset::from_body(&json));
            RequestError::RateLimited { until, message }
        }
        408 | 409 | 425 | 500..=599 => RequestError::Passing { unreachable: false, message },
        _ => RequestError::Refused(message),
    }
}

/// Classifies an error in the middle of a streamed answer.
pub(super) fn classify_stream_error(body: &Value, now: UnixMs) -> RequestError {
    let reported = ProviderError::of(body);
    let message = reported.message.map_or_else(|| short(&body.to_string()), short);
    if reported.is("insufficient_quota") {
        return RequestError::Systemic(Fault::Credit, message);
    }
    let limit = ["rate_limit_error", "rate_limit_exceeded", "RESOURCE_EXHAUSTED", "429"];
    match limit.iter().any(|code| reported.is(code)) {
        true => RequestError::RateLimited {
            until: rate_limit_reset::from_headers(&HeaderMap::new(), now)
                .or_else(|| rate_limit_reset::from_body(body)),
            message,
        },
        false => RequestError::Passing { unreachable: false, message },
    }
}

/// A provider's error: message and codes, in provider-specific places.
struct ProviderError<'a> {
    message: Option<&'a str>,
    codes: Vec<String>,
}

impl<'a> ProviderError<'a> {
    fn of(body: &'a Value) -> Self {
        let body = body.get(0).unwrap_or(body);
        let error = body.get("error").unwrap_or(body);
        let message = error.get("message").or(error.get("error")).unwrap_or(error).as_str();
        let details = error.get("details").and_then(Value::as_array).into_iter().flatten();
        let reasons = details.filter_map(|detail| detail.get("reason"));
        let named = ["type", "code", "status"].into_iter().filter_map(|key| error.get(key));
        let code = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        Self { message, codes: named.chain(reasons).filter_map(code).collect() }
    }

    fn is(&self, code: &str) -> bool {
        self.codes.iter().any(|known| known == code)
    }
}

pub(super) fn temporary(message: String) -> RequestError {
    RequestError::Passing { unreachable: false, message: short(&message) }
}

fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}...", &line[..cut]),
        None if line.is_empty() => "no message".to_owned(),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> RequestError {
        let status = StatusCode::from_u16(status).unwrap();
        classify_response(status, body, &HeaderMap::new(), UnixMs(0))
    }

    #[test]
    fn statuses_and_codes_tell_what_it_is() {
        let openai = |code| format!(r#"{{"error":{{"message":"no","type":"t","code":"{code}"}}}}"#);
        let systemic = |fault, status| RequestError::Systemic(fault, format!("no ({status})"));
        assert_eq!(answer(401, &openai("invalid_api_key")), systemic(Fault::Key, 401));
        assert_eq!(answer(429, &openai("insufficient_quota")), systemic(Fault::Credit, 429));
        assert_eq!(answer(404, &openai("model_not_found")), systemic(Fault::Model, 404));
        let google = r#"[{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT",
            "details":[{"reason":"API_KEY_INVALID"}]}}]"#;
        assert_eq!(answer(400, google), systemic(Fault::Key, 400));
        assert_eq!(answer(400, &openai("x")), RequestError::Refused("no (400)".into()));
        assert!(matches!(answer(429, ""), RequestError::RateLimited { until: None, .. }));
        for status in [500, 502, 503, 529] {
            assert!(matches!(
                answer(status, "oops"),
                RequestError::Passing { unreachable: false, .. }
            ));
        }
    }

    #[test]
    fn errors_within_a_streamed_answer_are_classified() {
        let classified = |kind: &str| {
            let body =
                serde_json::json!({"type": "error", "error": {"type": kind, "message": "m"}});
            classify_stream_error(&body, UnixMs(0))
        };
        assert!(matches!(classified("overloaded_error"), RequestError::Passing { .. }));
        assert!(matches!(classified("rate_limit_error"), RequestError::RateLimited { .. }));
        let long = answer(400, &"x ".repeat(1_000));
        assert!(matches!(long, RequestError::Refused(text) if text.len() < 500));
    }
}
