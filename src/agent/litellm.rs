//! The names that LiteLLM gives to errors; Aider and mini-swe-agent pass them on.

use super::signal::Fault;

/// `name` is a class: "RateLimitError".
pub(super) fn fault(name: &str, message: &str) -> Fault {
    let status = match name {
        "AuthenticationError" => Some(401),
        "PermissionDeniedError" => Some(403),
        "NotFoundError" => Some(404),
        "RateLimitError" => Some(429),
        "BudgetExceededError" => Some(402),
        "BadRequestError" => Some(400),
        "InternalServerError" => Some(500),
        "ServiceUnavailableError" => Some(503),
        _ => None,
    };
    Fault { status, message: message.to_owned(), ..Fault::default() }
}

/// The class at the beginning of `litellm.RateLimitError: ...`.
pub(super) fn class(line: &str) -> Option<&str> {
    let (name, _) = line.strip_prefix("litellm.")?.split_once(": ")?;
    let is_class = name.ends_with("Error") || name == "Timeout";
    (is_class && name.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(name)
}
