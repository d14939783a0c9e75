//! Consequence of a failure for the drain: wait, stop everything, or judge only this attempt. Based on status
//! and error codes, since a model may write "rate limit" about anything. Prose only counts as a sign of an
//! unreachable or failing provider, and only in the agent's own last lines: a misreading costs a wait.

use super::event::Outcome;
use super::provider_errors::{sounds_limited, sounds_unavailable};
use super::signal::Fault;
use crate::process::JobEnd;

/// Provider codes for an account without credit.
const NO_CREDIT: [&str; 7] = [
    "insufficient_quota",
    "insufficient_credits",
    "billing_error",
    "billing_not_active",
    "billing_hard_limit_reached",
    "credit_balance_too_low",
    "payment_required",
];
const NO_ACCESS: [&str; 11] = [
    "authentication_error",
    "authentication_failed",
    "invalid_api_key",
    "invalid_grant",
    "permission_error",
    "permission_denied",
    "unauthenticated",
    "oauth_org_not_allowed",
    "account_on_hold",
    "verification_required",
    "cloud_credential_error",
];
const NO_MODEL: [&str; 3] = ["model_not_found", "not_found_error", "unknown_model"];
const LIMITED: [&str; 6] = [
    "rate_limit",
    "rate_limit_error",
    "rate_limit_exceeded",
    "resource_exhausted",
    "usage_limit_reached",
    "quota_exceeded",
];

const UNAVAILABLE: [&str; 11] = [
    "server_error",
    "internal_server_error",
    "internal_error",
    "api_error",
    "overloaded",
    "overloaded_error",
    "server_is_overloaded",
    "service_unavailable",
    "unavailable",
    "timeout_error",
    "deadline_exceeded",
];
/// Codes without meaning.
const NO_CODE: [&str; 2] = ["", "unknown"];
/// Number of last lines searched for the reason of a failure.
const LAST_LINES: usize = 5;

/// Kind of failure, by remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Limited,
    NoAccess,
    NoCredit,
    NoModel,
    /// The provider failed or was unreachable.
    Unavailable,
    Other,
}

impl Fault {
    pub fn cause(&self) -> Cause {
        let code = self.code.as_deref().unwrap_or_default().to_ascii_lowercase();
        let is = |codes: &[&str]| codes.contains(&code.as_str());
        match self.status {
            // OpenAI also answers 429 for an account without credit.
            _ if is(&NO_CREDIT) => Cause::NoCredit,
            Some(429) => Cause::Limited,
            Some(401 | 403) => Cause::NoAccess,
            Some(402) => Cause::NoCredit,
            Some(404) => Cause::NoModel,
            _ if is(&LIMITED) => Cause::Limited,
            _ if is(&NO_ACCESS) => Cause::NoAccess,
            _ if is(&NO_MODEL) => Cause::NoModel,
            Some(408 | 500..=599) => Cause::Unavailable,
            Some(_) => Cause::Other,
            None if is(&UNAVAILABLE) => Cause::Unavailable,
            None if is(&NO_CODE) && sounds_unavailable(&self.message) => Cause::Unavailable,
            None => Cause::Other,
        }
    }

    /// Checks whether a retry would get the same answer: the agent's own retries are then useless.
    pub fn is_permanent(&self) -> bool {
        matches!(self.cause(), Cause::NoAccess | Cause::NoCredit | Cause::NoModel)
    }

    /// Returns the outcome. `login` tells how to get access with this agent.
    pub fn outcome(&self, login: &str) -> Outcome {
        let message = shorten(&self.message);
        let fix = match self.cause() {
            Cause::Limited => return Outcome::RateLimited { until: self.until, message },
            Cause::Unavailable => return Outcome::Unavailable { until: self.until, message },
            Cause::Other => return Outcome::Failed { message },
            Cause::NoAccess => login,
            Cause::NoCredit => "add credit to the account, or use another agent",
            Cause::NoModel => "correct `model` (or the base URL) of this agent in autopack.yaml",
        };
        let what = match self.cause() {
            Cause::NoAccess => "the provider refused the credentials",
            Cause::NoCredit => "the account has no credit left",
            _ => "the provider does not know the model",
        };
        Outcome::Systemic { message: format!("{what}: {message}; {fix}") }
    }
}

/// Returns the provider's failure mentioned in a program's last lines, if any.
pub(crate) fn provider_fault(printed: &str) -> Option<Outcome> {
    let lines: Vec<&str> = printed.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
    let telling = |sounds: fn(&str) -> bool| last.iter().rev().find(|line| sounds(line));
    if let Some(line) = telling(sounds_limited) {
        return Some(Outcome::RateLimited { until: None, message: shorten(line) });
    }
    let line = telling(sounds_unavailable)?;
    Some(Outcome::Unavailable { until: None, message: shorten(line) })
}

/// Like `provider_fault`, for a program that exited with an error.
pub(crate) fn provider_failure(end: JobEnd, printed: &str) -> Option<Outcome> {
    let failed = matches!(end, JobEnd::Exited(code) if code != 0);
    failed.then(|| provider_fault(printed)).flatten()
}

/// Shortens an error text to the first part, on a single line.
pub(crate) fn shorten(text: &str) -> String {
    const LONGEST: usize = 400;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{} ...", &line[..at]),
        None if line.is_empty() => "it gave no reason".to_owned(),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(status: Option<u16>, code: &str) -> Cause {
        Fault { status, code: Some(code.to_owned()), ..Fault::default() }.cause()
    }

    #[test]
    fn codes_decide_and_words_do_not() {
        assert_eq!(cause(Some(429), "rate_limit_exceeded"), Cause::Limited);
        assert_eq!(cause(Some(429), "insufficient_quota"), Cause::NoCredit);
        assert_eq!(cause(Some(402), ""), Cause::NoCredit);
        assert_eq!([cause(Some(401), ""), cause(Some(403), "")], [Cause::NoAccess; 2]);
        assert_eq!([cause(Some(404), ""), cause(None, "model_not_found")], [Cause::NoModel; 2]);
        let failed = [cause(Some(500), ""), cause(Some(529), "overloaded_error")];
        assert_eq!(failed, [Cause::Unavailable; 2]);
        assert_eq!(cause(None, "server_error"), Cause::Unavailable);
        assert_eq!(cause(Some(400), "server_error"), Cause::Other);
        assert_eq!(cause(None, "RESOURCE_EXHAUSTED"), Cause::Limited);
        let prose =
            Fault { message: "rate limit 429, invalid api key".to_owned(), ..Fault::default() };
        assert_eq!(prose.cause(), Cause::Other);
    }

    #[test]
    fn last_lines_reveal_provider_failures() {
        let of = |printed: &str| provider_fault(printed);
        let refused = "Traceback:\n  x\nopenai.APIConnectionError: Connection error.\n\n";
        let message = "openai.APIConnectionError: Connection error.".to_owned();
        assert_eq!(of(refused), Some(Outcome::Unavailable { until: None, message }));
        assert!(matches!(of("HTTP 429 Too Many Requests"), Some(Outcome::RateLimited { .. })));
        assert_eq!(of(&format!("ConnectionError{}", "\nthen this".repeat(5))), None);
        assert_eq!([of(""), of("it broke"), of("claude: not found")], [None, None, None]);
        assert!(provider_failure(JobEnd::Exited(3), refused).is_some());
        assert_eq!(
            [
                provider_failure(JobEnd::Exited(0), refused),
                provider_failure(JobEnd::TimedOut, refused)
            ],
            [None, None]
        );
    }

    #[test]
    fn errors_fixable_by_the_user_name_a_fix() {
        let fault = Fault { status: Some(401), message: "no\n key".to_owned(), ..Fault::default() };
        let Outcome::Systemic { message } = fault.outcome("log in") else { panic!() };
        assert_eq!(message, "the provider refused the credentials: no key; log in");
        let other = Fault { message: "x".repeat(1000), ..Fault::default() }.outcome("");
        assert!(matches!(other, Outcome::Failed { message } if message.len() == 404));
    }
}
