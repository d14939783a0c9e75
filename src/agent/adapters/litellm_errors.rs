//! LiteLLM's error names; Aider and mini-swe-agent pass them on.

use crate::agent::runner::provider_errors::is_unpaid;
use crate::agent::runner::signal::Fault;

/// Reads an error; `name` is a class such as "RateLimitError".
pub(crate) fn fault(name: &str, message: &str) -> Fault {
    let status = match name {
        // For these classes, LiteLLM drops status and code.
        "APIError" | "BadRequestError" | "APIConnectionError" if is_unpaid(message) => Some(402),
        "RateLimitError" if is_unpaid_limit(message) => Some(402),
        "AuthenticationError" => Some(401),
        "PermissionDeniedError" => Some(403),
        "NotFoundError" => Some(404),
        "RateLimitError" => Some(429),
        "BudgetExceededError" => Some(402),
        "BadRequestError" => Some(400),
        "InternalServerError" => Some(500),
        "BadGatewayError" => Some(502),
        "ServiceUnavailableError" => Some(503),
        "Timeout" => Some(408),
        _ => None,
    };
    let failed = matches!(name, "APIError" | "APIConnectionError").then(|| "api_error".to_owned());
    Fault { status, code: failed, message: message.to_owned(), ..Fault::default() }
}

/// OpenAI answers with a rate limit for an account without credit. Other providers use the same words for a
/// temporary limit.
fn is_unpaid_limit(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("insufficient_quota")
        || (message.contains("openaiexception") && message.contains("exceeded your current quota"))
}

/// Returns the class at the beginning of `litellm.RateLimitError: ...`.
pub(crate) fn class(line: &str) -> Option<&str> {
    let (name, _) = line.strip_prefix("litellm.")?.split_once(": ")?;
    let is_class = name.ends_with("Error") || name == "Timeout";
    (is_class && name.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::runner::fault::Cause;

    #[test]
    fn an_empty_account_is_known_though_its_status_is_lost() {
        let cause = |name: &str, message: &str| fault(name, message).cause();
        let quota = "OpenAIException - You exceeded your current quota, please check your plan";
        assert_eq!(cause("APIError", quota), Cause::NoCredit);
        assert_eq!(cause("RateLimitError", quota), Cause::NoCredit);
        let google = "VertexAIException - You exceeded your current quota, please check your plan";
        assert_eq!(cause("RateLimitError", google), Cause::Limited);
        let router = r#"OpenrouterException - {"error":{"message":"no","code":402}}"#;
        assert_eq!(cause("APIError", router), Cause::NoCredit);
        assert_eq!(cause("APIError", "OpenAIException - odd"), Cause::Unavailable);
        assert_eq!(cause("Timeout", ""), Cause::Unavailable);
        assert_eq!(cause("BadRequestError", "not understood"), Cause::Other);
    }
}
