//! Tokens for forges: from the environment, else from the forge's own program. A token is kept in memory only.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use reqwest::header::HeaderValue;

use super::tracker_name::{ForgeKind, TrackerName};
use crate::config::Env;
use crate::git::remote_access::RemoteLogin;
use crate::process::{self, Tool};

/// Time limit of `gh auth token` and `glab config get token`.
const LIMIT: Duration = Duration::from_secs(10);

/// An access token. Neither `Debug` nor `Display` shows it.
#[derive(Clone)]
pub struct ForgeToken(String);

impl fmt::Debug for ForgeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForgeToken")
    }
}

impl ForgeToken {
    /// Wraps a text; `None` if it cannot be a token.
    fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let is_token = !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic());
        is_token.then(|| Self(text.to_owned()))
    }

    /// Finds the token for a tracker: in the environment, else with `gh` or `glab`. `directory` is where the program
    /// runs.
    pub async fn find(tracker: &TrackerName, env: &Env, directory: &Path) -> Option<Self> {
        match Self::given(tracker, env) {
            Some(token) => Some(token),
            None => ask_program(tracker, directory).await,
        }
    }

    /// Finds the token for a tracker in the environment.
    pub(super) fn given(tracker: &TrackerName, env: &Env) -> Option<Self> {
        variables(tracker).iter().find_map(|name| Self::new(&env.key(name)?))
    }

    /// Removes the token from a text of the server.
    pub(super) fn hidden_in(&self, text: &str) -> String {
        text.replace(&self.0, "[token]")
    }

    /// Returns the user name and password with which git sends the token. The name counts for tokens of apps only.
    pub fn login(&self, kind: ForgeKind) -> RemoteLogin {
        let user = match kind {
            ForgeKind::GitHub => "x-access-token",
            ForgeKind::GitLab | ForgeKind::Gitea => "oauth2",
        };
        RemoteLogin::new(user, &self.0)
    }

    /// Returns the value of the `Authorization` header, which no log shows.
    pub(super) fn header(&self, kind: ForgeKind) -> Option<HeaderValue> {
        let scheme = match kind {
            ForgeKind::GitHub | ForgeKind::GitLab => "Bearer",
            ForgeKind::Gitea => "token",
        };
        let mut value = HeaderValue::from_str(&format!("{scheme} {}", self.0)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// Returns the variables with a token. As with `gh`, a token for github.com goes to no other host.
pub(super) fn variables(tracker: &TrackerName) -> &'static [&'static str] {
    match (tracker.kind, &tracker.host) {
        (ForgeKind::GitHub, None) => &["GH_TOKEN", "GITHUB_TOKEN"],
        (ForgeKind::GitHub, Some(_)) => &["GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"],
        (ForgeKind::GitLab, _) => &["GITLAB_TOKEN"],
        (ForgeKind::Gitea, _) => &["GITEA_TOKEN", "FORGEJO_TOKEN"],
    }
}

async fn ask_program(tracker: &TrackerName, directory: &Path) -> Option<ForgeToken> {
    let host = tracker.host_name();
    let tool = match tracker.kind {
        ForgeKind::GitHub => {
            Tool::new("gh", directory, LIMIT).args(["auth", "token", "--hostname", host])
        }
        ForgeKind::GitLab => {
            Tool::new("glab", directory, LIMIT).args(["config", "get", "token", "--host", host])
        }
        ForgeKind::Gitea => return None,
    };
    // Without the program, or without a login, requests go without a token.
    let output = process::output(tool).await.ok().filter(process::Output::success)?;
    ForgeToken::new(&String::from_utf8_lossy(&output.stdout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_shown() {
        let token = ForgeToken::new(" ghp_secret\n").unwrap();
        assert!(!format!("{token:?}").contains("ghp"));
        let header = token.header(ForgeKind::GitHub).unwrap();
        assert!(!format!("{header:?}").contains("ghp"));
        assert_eq!(header.as_bytes(), b"Bearer ghp_secret");
        assert!(ForgeToken::new("two words").is_none());
        assert!(ForgeToken::new("").is_none());
    }

    #[tokio::test]
    async fn a_token_for_github_goes_to_no_other_host() {
        let env = Env::new([("GITHUB_TOKEN", "ghp_secret")]);
        let name = |text| TrackerName::parse(text).unwrap().unwrap();
        let at = Path::new("/");
        assert!(ForgeToken::find(&name("github:o/r"), &env, at).await.is_some());
        let given = variables(&name("github:git.corp.com/o/r"));
        assert!(!given.contains(&"GITHUB_TOKEN"), "{given:?}");
    }
}
