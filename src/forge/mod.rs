//! Forges: GitHub, GitLab, and Gitea with Forgejo, behind two traits: [`Forge`] for issues, [`PullRequests`] for what is
//! written.
//!
//! `rest_client` sends requests for all of them: token, pages, ETags, redirects, retries and rate limits. `github`,
//! `gitlab` and `gitea` know addresses and answers, in a file for each trait. docs/adr/0018-forge-clients.md says why no client library is used.

mod answer_fields;
mod forge_error;
mod gitea;
mod gitea_pulls;
mod github;
mod github_pulls;
mod gitlab;
mod gitlab_merges;
mod issue;
mod issue_answers;
mod kept_pages;
mod pull_request;
mod rate_limit;
mod remote_address;
mod rest_client;
mod rest_writes;
mod token;
mod tracker_name;

use std::collections::HashSet;
use std::path::PathBuf;

use futures_util::future::BoxFuture;
use reqwest::Url;

use crate::config::Env;
use crate::git::remote_access::RemoteLogin;
use kept_pages::KeptPages;
use rest_client::RestClient;

pub use forge_error::ForgeError;
pub use issue::{ForgeIssue, IssueFilter, IssueState};
pub use pull_request::{
    CheckResults, IssueComment, NewPullRequest, PullRequest, PullRequestChange, PullRequestState,
    PullRequests,
};
pub use remote_address::RemoteAddress;
pub use token::ForgeToken;
pub use tracker_name::{BadTrackerName, ForgeKind, TrackerName};

/// A repository on a forge.
pub trait Forge: PullRequests {
    /// Returns the open issues of a choice, without pull requests.
    ///
    /// # Errors
    /// Any error of a request.
    fn open_issues<'a>(
        &'a self,
        filter: &'a IssueFilter,
    ) -> BoxFuture<'a, Result<Vec<ForgeIssue>, ForgeError>>;

    /// Returns an issue, open or closed; `None` if there is none of this number.
    ///
    /// # Errors
    /// Any error of a request.
    fn issue(&self, number: u64) -> BoxFuture<'_, Result<Option<ForgeIssue>, ForgeError>>;

    /// Returns a mark that differs after any change of an issue, for a single request; `None` if the forge has none.
    ///
    /// # Errors
    /// Any error of a request.
    fn latest_change(&self) -> BoxFuture<'_, Result<Option<String>, ForgeError>>;

    /// Returns the logins of owners, members and collaborators, for issues that do not say it themselves.
    ///
    /// # Errors
    /// Any error of a request.
    fn members(&self) -> BoxFuture<'_, Result<HashSet<String>, ForgeError>>;

    /// Returns the numbers of issues of the repository that must be done before an issue.
    ///
    /// # Errors
    /// Any error of a request.
    fn blockers<'a>(&'a self, issue: &'a ForgeIssue)
    -> BoxFuture<'a, Result<Vec<u64>, ForgeError>>;

    /// Returns the present name of a renamed repository; `None` without a rename, and before any other request.
    ///
    /// # Errors
    /// Any error of a request.
    fn present_name(&self) -> BoxFuture<'_, Result<Option<String>, ForgeError>>;

    /// Keeps the pages that were read, so that unchanged ones need not be sent again. Call this when their content is used.
    fn keep_pages(&self);
}

/// Opens a repository. `kept_pages` is the directory of pages for ETags.
///
/// # Errors
/// The address of the API in the environment is invalid, or TLS cannot be configured.
pub fn open(
    tracker: &TrackerName,
    env: &Env,
    token: Option<ForgeToken>,
    kept_pages: PathBuf,
) -> Result<Box<dyn Forge>, ForgeError> {
    let base = api_address(tracker, env)?;
    let client = RestClient::new(tracker.clone(), base, token, KeptPages::new(kept_pages))?;
    Ok(match tracker.kind {
        ForgeKind::GitHub => Box::new(github::GitHub(client)),
        ForgeKind::GitLab => Box::new(gitlab::GitLab(client)),
        ForgeKind::Gitea => Box::new(gitea::Gitea(client)),
    })
}

/// Returns the variables that may hold the token of a repository.
pub fn token_variables(tracker: &TrackerName) -> String {
    token::variables(tracker).join(" or ")
}

/// Whether requests and pushes for a repository go to the same server, so that both may have its token.
pub fn is_server_of(tracker: &TrackerName, env: &Env, remote: &RemoteAddress) -> bool {
    let api = api_address(tracker, env).ok();
    let api = api.and_then(|url| RemoteAddress::parse(&format!("{url}/path")));
    remote.is_at(tracker) || api.is_some_and(|api| api.login_scope() == remote.login_scope())
}

/// Returns the server of a git remote, and a login with the token in the environment for its forge; `None` without such a
/// token, or where it must not go. `push_url` is where git pushes, `url` the URL as written.
pub fn given_login(push_url: &str, url: &str, env: &Env) -> Option<(String, RemoteLogin)> {
    let address = RemoteAddress::parse(push_url)?;
    let name = address.forge(None).or_else(|| RemoteAddress::parse(url)?.forge(None))?;
    let token = ForgeToken::given(&name, env).filter(|_| is_server_of(&name, env, &address))?;
    Some((address.login_scope()?, token.login(name.kind)))
}

/// Returns the address of the API: from a variable, else made of the host. A host on this machine is asked without TLS.
fn api_address(tracker: &TrackerName, env: &Env) -> Result<Url, ForgeError> {
    // The first is for all hosts, the others are set where the forge runs its own CI.
    let variables: &[&str] = match tracker.kind {
        ForgeKind::GitHub => &["AUTOPACK_GITHUB_API_URL", "GITHUB_API_URL"],
        ForgeKind::GitLab => &["AUTOPACK_GITLAB_API_URL", "GITLAB_API_URL", "CI_API_V4_URL"],
        ForgeKind::Gitea => &["AUTOPACK_GITEA_API_URL"],
    };
    let counting = if tracker.host.is_some() { &variables[..1] } else { variables };
    if let Some((name, text)) = counting.iter().find_map(|name| Some((name, env.key(name)?))) {
        return parse_address(&text).map_err(|why| ForgeError::Setup(format!("{name}: {why}")));
    }
    let host = tracker.host_name();
    let path = match (tracker.kind, &tracker.host) {
        (ForgeKind::GitHub, None) => "https://api.github.com".to_owned(),
        (ForgeKind::GitHub, Some(_)) => format!("https://{host}/api/v3"),
        (ForgeKind::GitLab, _) => format!("https://{host}/api/v4"),
        (ForgeKind::Gitea, _) => format!("https://{host}/api/v1"),
    };
    let url = parse_address(&path).map_err(ForgeError::Setup)?;
    match crate::http::HttpAccess::of(&url) {
        crate::http::HttpAccess::Machine => {
            parse_address(&path.replacen("https:", "http:", 1)).map_err(ForgeError::Setup)
        }
        crate::http::HttpAccess::Anywhere => Ok(url),
    }
}

fn parse_address(text: &str) -> Result<Url, String> {
    match Url::parse(text.trim()) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") || !url.has_host() => {
            Err("expected an http or https address".to_owned())
        }
        Ok(url) if !url.username().is_empty() || url.query().is_some() => {
            Err("expected an address without user and parameters".to_owned())
        }
        Ok(url) => Ok(url),
        Err(error) => Err(format!("the address is invalid: {error}")),
    }
}

/// Turns the error of a missing object into `None`. Deleted issues are answered with 404 or 410.
fn gone_as_none<T>(result: Result<T, ForgeError>) -> Result<Option<T>, ForgeError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(ForgeError::NotFound { .. } | ForgeError::Refused { status: 410, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(name: &str, env: &[(&str, &str)]) -> String {
        let name = TrackerName::parse(name).unwrap().unwrap();
        let env = Env::new(env.iter().copied());
        api_address(&name, &env).map_or_else(|error| error.to_string(), Into::into)
    }

    #[test]
    fn the_address_comes_from_the_host_or_a_variable() {
        assert_eq!(address("github:o/r", &[]), "https://api.github.com/");
        assert_eq!(address("github:git.corp.com/o/r", &[]), "https://git.corp.com/api/v3");
        assert_eq!(address("gitlab:g/p", &[]), "https://gitlab.com/api/v4");
        assert_eq!(address("gitea:codeberg.org/o/r", &[]), "https://codeberg.org/api/v1");
        assert_eq!(address("gitea:localhost:3000/o/r", &[]), "http://localhost:3000/api/v1");
        let own = [("GITHUB_API_URL", "https://git.corp.com/api/v3")];
        assert_eq!(address("github:o/r", &own), "https://git.corp.com/api/v3");
        assert_eq!(address("github:other.com/o/r", &own), "https://other.com/api/v3");
        let wrong = address("github:o/r", &[("GITHUB_API_URL", "ftp://x")]);
        assert_eq!(wrong, "GITHUB_API_URL: expected an http or https address");
    }
}
