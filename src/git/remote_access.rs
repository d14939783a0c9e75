//! Remotes of the user's repository: their branches, and pushes.
//!
//! Git runs here as the user's own git would: with the user's ssh agent, proxies and credential helpers, but without
//! hooks and questions. Where these do not suffice, git gets a login from a credential helper that exists for one call
//! only: the secret is in the environment of git alone, never in an argument, a file or the configuration.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::command::{Git, GitAnswer};
use super::error::Result;
use super::remote_failure::RemoteFailure;
use crate::config::Env;

/// ssh without questions. A silent connection ends after three quarters of a minute.
const SSH: &str = "ssh -oBatchMode=yes -oConnectTimeout=30 -oServerAliveInterval=15";

/// Time limit for questions to a remote.
pub(super) const QUESTION: Duration = Duration::from_secs(120);

/// Variables for git's access to remotes, which other calls do not get. Helpers such as `gh auth git-credential` read
/// tokens from the environment.
const INHERITED: &[&str] = &[
    "ALL_PROXY",
    "CURL_CA_BUNDLE",
    "DBUS_SESSION_BUS_ADDRESS",
    "GH_CONFIG_DIR",
    "GH_ENTERPRISE_TOKEN",
    "GH_HOST",
    "GH_TOKEN",
    "GITHUB_ENTERPRISE_TOKEN",
    "GITHUB_TOKEN",
    "GITLAB_TOKEN",
    "GIT_PROXY_COMMAND",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSH_VARIANT",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "GIT_SSL_CERT",
    "GIT_SSL_KEY",
    "GNUPGHOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "SSH_AGENT_PID",
    "SSH_AUTH_SOCK",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// Variables with the login of a call.
const USER: &str = "AUTOPACK_REMOTE_USER";
const PASSWORD: &str = "AUTOPACK_REMOTE_PASSWORD";
/// The helper of a login, run by git with `sh`.
const HELPER: &str = "!f() { test \"$1\" = get && printf 'username=%s\\npassword=%s\\n' \
                      \"$AUTOPACK_REMOTE_USER\" \"$AUTOPACK_REMOTE_PASSWORD\"; }; f";

/// User name and password for a remote. `Debug` shows neither.
#[derive(Clone)]
pub struct RemoteLogin {
    user: String,
    password: String,
}

impl RemoteLogin {
    /// Makes a login of a name and a secret without line breaks.
    pub fn new(user: &str, password: &str) -> Self {
        Self { user: user.to_owned(), password: password.to_owned() }
    }
}

impl fmt::Debug for RemoteLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RemoteLogin")
    }
}

/// Branches of a remote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteBranches {
    /// The default branch, if the remote says so.
    pub default: Option<String>,
    /// Commit of each branch, by its name without `refs/heads/`.
    pub commits: BTreeMap<String, String>,
}

/// A branch to push, moved only if it is where the caller saw it.
#[derive(Clone, Copy, Debug)]
pub struct BranchPush<'a> {
    /// Name at the remote, without `refs/heads/`.
    pub branch: &'a str,
    /// Commit to push.
    pub commit: &'a str,
    /// Commit of the branch at the remote; `None` creates the branch.
    pub expected: Option<&'a str>,
}

/// Result of a call that a remote may refuse.
pub type RemoteAnswer<T> = std::result::Result<T, RemoteFailure>;

/// A named remote of a repository.
#[derive(Clone)]
pub struct RemoteAccess {
    git: Git,
    name: String,
    /// The remote as git knows it.
    place: String,
    /// A login for a server, and whether it is used, by all copies: only after the user's own was refused.
    login: Option<(String, RemoteLogin)>,
    is_login_used: Arc<AtomicBool>,
}

impl RemoteAccess {
    /// Opens a remote, which git knows as `place`. `login` is for the server with this address, used if the user's own does not suffice.
    ///
    /// # Errors
    /// If git cannot read the configuration.
    pub(crate) async fn open(
        git: &Git,
        name: &str,
        place: &str,
        login: Option<(String, RemoteLogin)>,
    ) -> Result<Self> {
        let git = with_users_access(git).await?;
        let (name, place) = (name.to_owned(), place.to_owned());
        Ok(Self { git, name, place, login, is_login_used: Arc::default() })
    }

    /// Returns the name of the remote.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the remote as git knows it.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Returns the branches of the remote.
    ///
    /// # Errors
    /// If git cannot be run.
    pub async fn branches(&mut self) -> Result<RemoteAnswer<RemoteBranches>> {
        let args = ["ls-remote", "--symref", "--", &self.place, "HEAD", "refs/heads/*"];
        let args = args.map(str::to_owned);
        let answer = self.ask("read the branches of the remote", &args, Some(QUESTION)).await?;
        Ok(answer.map(|answer| parse_branches(&String::from_utf8_lossy(&answer.output.stdout))))
    }

    /// Brings the commits of a branch into the repository, without a ref.
    ///
    /// # Errors
    /// If git cannot be run.
    pub async fn fetch(&mut self, branch: &str) -> Result<RemoteAnswer<()>> {
        let args = [
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--no-recurse-submodules",
            "--refmap=",
            "--",
            &self.place,
            &format!("refs/heads/{branch}"),
        ];
        let args = args.map(str::to_owned);
        Ok(self.ask("read a branch of the remote", &args, None).await?.map(drop))
    }

    /// Pushes a branch.
    ///
    /// # Errors
    /// If git cannot be run.
    pub async fn push(&mut self, push: BranchPush<'_>) -> Result<RemoteAnswer<()>> {
        let target = format!("refs/heads/{}", push.branch);
        let expected = push.expected.unwrap_or_default();
        let mut args: Vec<String> = [
            "push",
            "--porcelain",
            "--no-verify",
            "--no-follow-tags",
            "--no-signed",
            "--recurse-submodules=no",
        ]
        .map(str::to_owned)
        .into();
        args.push(format!("--force-with-lease={target}:{expected}"));
        args.extend(["--".to_owned(), self.place.clone(), format!("{}:{target}", push.commit)]);
        let answer = self.ask(format!("push {}", push.branch), &args, None).await?;
        Ok(answer.map(drop))
    }

    /// Runs a call, again with the login if the user's own access is refused.
    pub(super) async fn ask(
        &mut self,
        doing: impl Into<String>,
        args: &[String],
        limit: Option<Duration>,
    ) -> Result<RemoteAnswer<GitAnswer>> {
        self.ask_with(doing, args, limit, None).await
    }

    /// As [`Self::ask`], with input.
    pub(super) async fn ask_with(
        &mut self,
        doing: impl Into<String>,
        args: &[String],
        limit: Option<Duration>,
        input: Option<&str>,
    ) -> Result<RemoteAnswer<GitAnswer>> {
        let doing = doing.into();
        loop {
            let call = self.call(&doing, args, limit);
            let call = match input {
                Some(input) => call.stdin(input),
                None => call,
            };
            let answer = call.answer().await;
            let failure = match answer {
                Ok(answer) if answer.ok() => return Ok(Ok(answer)),
                Ok(answer) => RemoteFailure::of(&self.name, &answer),
                Err(error) => match RemoteFailure::of_time_limit(&self.name, &error) {
                    Some(failure) => failure,
                    None => return Err(error),
                },
            };
            if !failure.is_access() || self.login.is_none() {
                return Ok(Err(failure));
            }
            if self.is_login_used.swap(true, Ordering::Relaxed) {
                return Ok(Err(failure));
            }
        }
    }

    fn call(
        &self,
        doing: &str,
        args: &[String],
        limit: Option<Duration>,
    ) -> super::command::GitCall {
        let mut git = self.git.clone();
        if let Some((server, login)) =
            self.login.as_ref().filter(|_| self.is_login_used.load(Ordering::Relaxed))
        {
            // The user's helpers would store what git got from ours.
            git.configure("credential.helper=");
            git.configure(&format!("credential.{server}.helper={HELPER}"));
            git.set(USER, &login.user);
            git.set(PASSWORD, &login.password);
        }
        git.configure(&format!("remote.{}.mirror=false", self.place));
        let call = git.call(doing, args);
        match limit {
            Some(limit) => call.within(limit),
            None => call,
        }
    }
}

/// Returns git with the user's own ways to a remote, which never ask a question.
async fn with_users_access(git: &Git) -> Result<Git> {
    let mut git = git.clone().with_users_credentials();
    let ssh = git.call("read core.sshCommand", ["config", "--get", "core.sshCommand"]);
    let has_ssh_command = ssh.answer().await?.ok();
    let process = Env::of_process();
    let value = |name: &str| process.all().get(OsStr::new(name)).cloned();
    for name in INHERITED {
        if let Some(value) = value(name) {
            git.set(name, value);
        }
    }
    let empty = OsString::new();
    git.set("GIT_ASKPASS", empty.clone());
    git.set("SSH_ASKPASS", empty);
    git.set("SSH_ASKPASS_REQUIRE", "never");
    git.set("GCM_INTERACTIVE", "never");
    // ssh would ask on the terminal.
    if !has_ssh_command && value("GIT_SSH_COMMAND").is_none() && value("GIT_SSH").is_none() {
        git.set("GIT_SSH_COMMAND", SSH);
    }
    // A silent connection ends after a minute.
    git.configure("http.lowSpeedLimit=1");
    git.configure("http.lowSpeedTime=60");
    Ok(git)
}

/// Parses `git ls-remote --symref`.
fn parse_branches(text: &str) -> RemoteBranches {
    let mut found = RemoteBranches::default();
    for (value, name) in text.lines().filter_map(|line| line.split_once('\t')) {
        match (value.strip_prefix("ref: refs/heads/"), name.strip_prefix("refs/heads/")) {
            (Some(default), _) if name == "HEAD" => found.default = Some(default.to_owned()),
            (None, Some(branch)) => drop(found.commits.insert(branch.to_owned(), value.to_owned())),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_and_the_default_are_read() {
        let text = "ref: refs/heads/main\tHEAD\n1\tHEAD\n1\trefs/heads/main\n2\trefs/heads/a/b\n";
        let found = parse_branches(text);
        assert_eq!(found.default.as_deref(), Some("main"));
        let commits: Vec<_> =
            found.commits.iter().map(|(name, id)| format!("{name} {id}")).collect();
        assert_eq!(commits, ["a/b 2", "main 1"]);
        assert_eq!(parse_branches(""), RemoteBranches::default());
    }

    #[test]
    fn a_login_is_not_shown() {
        assert_eq!(format!("{:?}", RemoteLogin::new("u", "secret")), "RemoteLogin");
    }
}
