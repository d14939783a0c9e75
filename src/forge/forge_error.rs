//! Errors of requests to a forge. No message holds a token, a URL with parameters, or more than a line of an answer.

use jiff::Timestamp;

/// Why a forge could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ForgeError {
    /// The client cannot be created, or the address is invalid.
    #[error("{0}")]
    Setup(String),
    /// 404: a private repository without a token looks the same.
    #[error("{tracker} was not found on {host}")]
    NotFound {
        /// Name of the repository.
        tracker: String,
        /// Host.
        host: String,
        /// The variables that may hold a token, if none was sent.
        missing_token: Option<String>,
    },
    /// 401.
    #[error("{host} {} {tracker}", if *had_token { "refuses the token for" } else { "asks for a token for" })]
    Unauthorized {
        /// Name of the repository.
        tracker: String,
        /// Host.
        host: String,
        /// The variables that may hold a token.
        variables: String,
        /// Whether a token was sent.
        had_token: bool,
    },
    /// 403 that is no rate limit, and other refusals.
    #[error("{host} refuses the request for {tracker} ({status}): {message}")]
    Refused {
        /// Name of the repository.
        tracker: String,
        /// Host.
        host: String,
        /// HTTP status.
        status: u16,
        /// The answer's message.
        message: String,
    },
    /// The limit of requests is used up, for longer than autopack waits.
    #[error("{host} allows no more requests before {until:.0} (rate limit)")]
    RateLimited {
        /// Host.
        host: String,
        /// End of the limit.
        until: Timestamp,
        /// Whether a token was sent.
        had_token: bool,
    },
    /// Server errors, also after retries if there were any.
    #[error("{host} answers {status}{}", if *retries > 0 { format!(", also after {retries} retries") } else { String::new() })]
    Server {
        /// Host.
        host: String,
        /// HTTP status.
        status: u16,
        /// Number of retries.
        retries: u32,
    },
    /// No connection, no answer in time, or an answer that breaks off.
    #[error("cannot ask {host}: {why}")]
    Unreachable {
        /// Host.
        host: String,
        /// Reason.
        why: String,
    },
    /// A redirect to another host, which must not see the token.
    #[error("{host} redirects {tracker} to another host, {target}")]
    OtherHost {
        /// Name of the repository.
        tracker: String,
        /// Host.
        host: String,
        /// Host of the target.
        target: String,
    },
    /// More redirects than autopack follows.
    #[error(
        "{host} redirects the request for {tracker} again and again: after {redirects} redirects, to {path}"
    )]
    RedirectLoop {
        /// Name of the repository.
        tracker: String,
        /// Host.
        host: String,
        /// Redirects followed.
        redirects: u32,
        /// Path of the next target.
        path: String,
    },
    /// An answer without the expected form.
    #[error("{host} does not answer as a {forge} API: {why}")]
    Malformed {
        /// Host.
        host: String,
        /// Kind of the forge.
        forge: &'static str,
        /// Reason.
        why: String,
    },
}

impl ForgeError {
    /// Whether the same request may succeed a little later.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Server { .. } | Self::Unreachable { .. })
    }

    /// Returns what the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound { missing_token: Some(variables), .. } => {
                Some(format!("check the name; for a private repository, set {variables}"))
            }
            Self::NotFound { .. } => {
                Some("check the name, and whether the token may read the repository".to_owned())
            }
            Self::Unauthorized { variables, had_token: true, .. } => {
                Some(format!("the token is invalid or expired; renew {variables}"))
            }
            // GitLab shows the members of a public project to its users only.
            Self::Unauthorized { variables, tracker, .. } if tracker.starts_with("gitlab:") => {
                Some(format!("set {variables}, or choose issues by `--label LABEL`"))
            }
            Self::Unauthorized { variables, .. } => Some(format!("set {variables}")),
            Self::Refused { status: 400 | 422, .. } => {
                Some("check the name and the options that choose issues".to_owned())
            }
            Self::Refused { .. } => {
                Some("check whether the token may read issues of the repository".to_owned())
            }
            Self::RateLimited { had_token: false, .. } => {
                Some("set a token for a higher limit, or try again then".to_owned())
            }
            Self::RateLimited { .. } | Self::Server { .. } => {
                Some("try again later; nothing was changed".to_owned())
            }
            Self::Unreachable { .. } => {
                Some("check the network and the host; nothing was changed".to_owned())
            }
            Self::OtherHost { target, .. } => {
                Some(format!("if {target} is right, name it as the host"))
            }
            Self::RedirectLoop { .. } => {
                Some("check the name of the repository and the API address".to_owned())
            }
            Self::Malformed { .. } => {
                Some("check the kind of forge, the host and its API address".to_owned())
            }
            Self::Setup(_) => None,
        }
    }
}
