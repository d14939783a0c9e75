//! The remotes of the user's repository, and commits of others on their branches.

use super::Repo;
use crate::git::command::fields;
use crate::git::error::Result;
use crate::git::remote_access::{RemoteAccess, RemoteLogin};
use crate::phase::words::short_commit;

/// Most commits of others that a message names.
const NAMED: usize = 3;

/// Name of a remote that exists for single calls: the place where another remote pushes.
const PUSHED_TO: &str = "autopack-push";
/// Its settings, from the other remote.
const KEPT: [&str; 6] =
    ["proxy", "proxyauthmethod", "receivepack", "serveroption", "uploadpack", "vcs"];

/// A remote in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedRemote {
    /// Name.
    pub name: String,
    /// URLs for pushes, as git resolves them: at least one.
    pub push_urls: Vec<String>,
    /// URL for reads, as git resolves it.
    pub read_url: String,
    /// URL as written.
    pub url: String,
}

impl NamedRemote {
    /// Returns the URL of the first place that gets pushes.
    pub fn push_url(&self) -> &str {
        self.push_urls.first().map_or(&self.url, String::as_str)
    }
}

/// Commits of a branch that another branch lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignCommits {
    /// Number of commits.
    pub count: u64,
    /// The latest ones: id, author and subject.
    pub latest: Vec<String>,
}

impl Repo {
    /// Returns the remotes, in the order of the configuration.
    ///
    /// # Errors
    /// If git cannot read the configuration.
    pub async fn remotes(&self) -> Result<Vec<NamedRemote>> {
        let args = ["config", "-z", "--get-regexp", r"^remote\..*\.url$"];
        let answer = self.git.call("read the remotes", args).answer().await?;
        // Exit code 1: there are none.
        let listed = if answer.output.code == Some(1) { Vec::new() } else { answer.bytes()? };
        let mut remotes: Vec<NamedRemote> = Vec::new();
        for field in fields(&listed) {
            let text = String::from_utf8_lossy(field).into_owned();
            let Some((key, url)) = text.split_once('\n') else { continue };
            let name = key.strip_prefix("remote.").and_then(|rest| rest.strip_suffix(".url"));
            let Some(name) = name.filter(|name| !remotes.iter().any(|known| known.name == *name))
            else {
                continue;
            };
            let read = async |options: &[&str]| {
                let call = self.git.call("read the URL of a remote", ["remote", "get-url"]);
                call.args(options).args(["--", name]).text().await
            };
            remotes.push(NamedRemote {
                name: name.to_owned(),
                push_urls: read(&["--push", "--all"]).await?.lines().map(str::to_owned).collect(),
                read_url: read(&[]).await?,
                url: url.to_owned(),
            });
        }
        Ok(remotes)
    }

    /// Opens a remote. `login` is for the server with this address, used if the user's own does not suffice.
    ///
    /// # Errors
    /// If git cannot read the configuration.
    pub async fn remote_access(
        &self,
        remote: &NamedRemote,
        login: Option<(String, RemoteLogin)>,
    ) -> Result<RemoteAccess> {
        if remote.push_url() == remote.read_url {
            return RemoteAccess::open(&self.git, &remote.name, &remote.name, login).await;
        }
        self.separate_access(remote, login).await
    }

    /// Opens the place where a remote pushes, for reads and pushes that move no remote-tracking branch.
    ///
    /// # Errors
    /// If git cannot read the configuration.
    pub(in crate::workspace) async fn separate_access(
        &self,
        remote: &NamedRemote,
        login: Option<(String, RemoteLogin)>,
    ) -> Result<RemoteAccess> {
        // Branches are read where they are pushed. The URL may hold a password, so it is in no argument.
        let url = remote.push_url();
        let key = |name: &str| format!("remote.{PUSHED_TO}.{name}");
        let mut settings = vec![(key("url"), url.to_owned())];
        // The URL is rewritten already.
        settings.push((format!("url.{url}.insteadOf"), url.to_owned()));
        settings.push((format!("url.{url}.pushInsteadOf"), url.to_owned()));
        let own = self.settings_of(&remote.name).await?;
        settings.extend(own.into_iter().map(|(name, value)| (key(&name), value)));
        let mut git = self.git.clone();
        git.set("GIT_CONFIG_COUNT", settings.len().to_string());
        for (number, (key, value)) in settings.into_iter().enumerate() {
            git.set(&format!("GIT_CONFIG_KEY_{number}"), key);
            git.set(&format!("GIT_CONFIG_VALUE_{number}"), value);
        }
        RemoteAccess::open(&git, &remote.name, PUSHED_TO, login).await
    }

    /// Returns the settings of a remote about the way to it.
    async fn settings_of(&self, remote: &str) -> Result<Vec<(String, String)>> {
        let args = ["config", "-z", "--get-regexp", r"^remote\."];
        let listed = self.git.call("read the settings of the remote", args).bytes().await?;
        let prefix = format!("remote.{remote}.");
        let of_remote = |field: &[u8]| {
            let text = String::from_utf8_lossy(field).into_owned();
            let (name, value) = text.strip_prefix(&prefix)?.split_once('\n')?;
            KEPT.contains(&name).then(|| (name.to_owned(), value.to_owned()))
        };
        Ok(fields(&listed).filter_map(of_remote).collect())
    }

    /// Returns the commits up to `theirs` that are not part of `ours`.
    ///
    /// # Errors
    /// If git lacks one of the commits.
    pub async fn foreign_commits(&self, ours: &str, theirs: &str) -> Result<ForeignCommits> {
        let args = ["log", "-z", "--format=%H %an: %s", theirs, &format!("^{ours}")];
        let listed = self.git.call("list the commits of others", args).bytes().await?;
        let lines: Vec<String> =
            fields(&listed).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        let shown = |line: &String| {
            let (commit, rest) = line.split_once(' ').unwrap_or((line, ""));
            format!("{} by {rest}", short_commit(commit))
        };
        let latest = lines.iter().take(NAMED).map(shown).collect();
        Ok(ForeignCommits { count: lines.len() as u64, latest })
    }

    /// Returns the name of the branch checked out here; `None` for a detached HEAD.
    ///
    /// # Errors
    /// If git fails.
    pub async fn checked_out_branch(&self) -> Result<Option<String>> {
        let branch = self.current_branch().await?;
        Ok(branch.and_then(|name| name.strip_prefix("refs/heads/").map(str::to_owned)))
    }
}
