//! What a failure means for the drain: wait, stop everything, or judge this attempt alone. Only from
//! status codes and error codes, never from prose: a model may write "rate limit" about anything.

use super::event::Outcome;
use super::signal::Fault;

/// What providers call an account without money.
const NO_CREDIT: [&str; 4] =
    ["insufficient_quota", "billing_error", "billing_not_active", "credit_balance_too_low"];
const NO_ACCESS: [&str; 7] = [
    "authentication_error",
    "authentication_failed",
    "invalid_api_key",
    "invalid_grant",
    "permission_error",
    "permission_denied",
    "unauthenticated",
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

/// What a failure can be, by what helps against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Limited,
    NoAccess,
    NoCredit,
    NoModel,
    Other,
}

impl Fault {
    pub fn cause(&self) -> Cause {
        let code = self.code.as_deref().unwrap_or_default().to_ascii_lowercase();
        let is = |codes: &[&str]| codes.contains(&code.as_str());
        match self.status {
            // OpenAI answers an empty account with 429 too.
            _ if is(&NO_CREDIT) => Cause::NoCredit,
            Some(429) => Cause::Limited,
            Some(401 | 403) => Cause::NoAccess,
            Some(402) => Cause::NoCredit,
            Some(404) => Cause::NoModel,
            _ if is(&LIMITED) => Cause::Limited,
            _ if is(&NO_ACCESS) => Cause::NoAccess,
            _ if is(&NO_MODEL) => Cause::NoModel,
            _ => Cause::Other,
        }
    }

    /// The same question would get the same answer: the agent's own retries are a waste.
    pub fn is_hopeless(&self) -> bool {
        matches!(self.cause(), Cause::NoAccess | Cause::NoCredit | Cause::NoModel)
    }

    /// `login` is how one gets access with this agent.
    pub fn outcome(&self, login: &str) -> Outcome {
        let message = shorten(&self.message);
        let fix = match self.cause() {
            Cause::Limited => return Outcome::RateLimited { until: self.until, message },
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

/// Of an error's text: its beginning, in one line.
pub(super) fn shorten(text: &str) -> String {
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
        assert_eq!([cause(Some(500), ""), cause(Some(529), "overloaded_error")], [Cause::Other; 2]);
        assert_eq!(cause(None, "RESOURCE_EXHAUSTED"), Cause::Limited);
        let prose =
            Fault { message: "rate limit 429, invalid api key".to_owned(), ..Fault::default() };
        assert_eq!(prose.cause(), Cause::Other);
    }

    #[test]
    fn what_the_user_can_mend_says_how() {
        let fault = Fault { status: Some(401), message: "no\n key".to_owned(), ..Fault::default() };
        let Outcome::Systemic { message } = fault.outcome("log in") else { panic!() };
        assert_eq!(message, "the provider refused the credentials: no key; log in");
        let other = Fault { message: "x".repeat(1000), ..Fault::default() }.outcome("");
        assert!(matches!(other, Outcome::Failed { message } if message.len() == 404));
    }
}
