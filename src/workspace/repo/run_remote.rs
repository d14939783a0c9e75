//! The remote with the branches and claims of runs (`workspace.remote`), as this clone knows it.
//!
//! The branch at the remote decides; `refs/autopack/remote/<remote>/heads/<branch>` is its last known commit. The run's branch
//! in this clone follows where autopack made it and nobody has it checked out.

use std::path::Path;

use super::Repo;
use super::remotes::NamedRemote;
use super::run_branch::{BranchUpdate, Tip};
use super::run_refs::{Refs, RunRefNames};
use crate::git::error::{Result, WorkspaceError};
use crate::git::ref_files::RefFiles;
use crate::git::refs::ref_error;
use crate::git::remote_access::RemoteLogin;
use crate::phase::RunId;

/// Start of the identity of a repository known by its remote.
const IDENTITY: &str = "remote:";
/// Hosts for ssh through the port of HTTPS.
const SSH_HOSTS: [(&str, &str); 2] =
    [("ssh.github.com", "github.com"), ("altssh.gitlab.com", "gitlab.com")];
/// Ports that a URL need not name.
const DEFAULT_PORTS: [(&str, &str); 4] =
    [("https", "443"), ("http", "80"), ("ssh", "22"), ("git", "9418")];

/// The remote with the branches and claims of runs.
#[derive(Clone, Debug)]
pub(crate) struct RunRemote {
    pub remote: NamedRemote,
    /// Identity of the repository, the same in each of its clones.
    pub identity: String,
    /// A login for a server, used if the user's own does not suffice.
    pub login: Option<(String, RemoteLogin)>,
}

impl Repo {
    /// Whether an identity of a repository names a remote.
    pub fn is_identity_of_remote(identity: &str) -> bool {
        identity.starts_with(IDENTITY)
    }

    /// Keeps the branches and claims of runs at this remote; `None`: in this repository.
    ///
    /// # Errors
    /// [`WorkspaceError::UnknownRemote`], or git cannot read the configuration.
    pub async fn with_run_remote(mut self, name: Option<&str>) -> Result<Self> {
        let Some(name) = name else { return Ok(self) };
        let found = self.remotes().await?.into_iter().find(|remote| remote.name == name);
        let remote =
            found.ok_or_else(|| WorkspaceError::UnknownRemote { remote: name.to_owned() })?;
        let identity = self.identity_at(&remote);
        self.run_remote = Some(RunRemote { remote, identity, login: None }.into());
        Ok(self)
    }

    /// Returns the identity of the repository at a remote.
    pub(super) fn identity_at(&self, remote: &NamedRemote) -> String {
        format!("{IDENTITY}{}", place_of(remote.push_url(), &self.root))
    }

    /// Sets a login for the server of the remote with the runs, chosen by its URLs: where git pushes, and as written.
    #[must_use]
    pub fn with_run_login(
        mut self,
        login: impl FnOnce(&str, &str) -> Option<(String, RemoteLogin)>,
    ) -> Self {
        if let Some(run_remote) = &self.run_remote {
            let remote = &run_remote.remote;
            let login = login(remote.push_url(), &remote.url);
            self.run_remote = Some(RunRemote { login, ..RunRemote::clone(run_remote) }.into());
        }
        self
    }

    /// Returns the name of the remote with the runs.
    pub fn run_remote(&self) -> Option<&str> {
        self.run_remote.as_ref().map(|run_remote| run_remote.remote.name.as_str())
    }

    /// Returns the last known commit of the run's branch at the remote; `None` without a remote for runs.
    pub(crate) async fn remote_tip(&self, run: &RunId) -> Result<Option<String>> {
        let Some(name) = self.mirror_of(run) else { return Ok(None) };
        let files = RefFiles::open(&self.common_dir, self.sha256);
        match files.and_then(|files| files.values([name.as_str()])) {
            Some([value]) => Ok(value),
            None => self.resolve(&name).await,
        }
    }

    /// Whether the run's tip is this commit, as far as this clone knows.
    ///
    /// # Errors
    /// If git fails.
    pub async fn is_known_tip(&self, run: &RunId, commit: &str) -> Result<bool> {
        match self.run_remote {
            None => Ok(self.is_tip_in_files(run, commit)),
            Some(_) => Ok(self.remote_tip(run).await?.as_deref() == Some(commit)),
        }
    }

    /// Name of the ref with the last known commit of the run's branch at the remote.
    pub(crate) fn mirror_of(&self, run: &RunId) -> Option<String> {
        let branch = RunRefNames::of(run).branch;
        let below = branch.trim_start_matches("refs/");
        Some(format!("refs/autopack/remote/{}/{below}", self.run_remote()?))
    }

    /// Name of the ref with the commit of a member of the merge queue, fetched from the remote.
    pub(crate) fn fetched_member(&self, run: &RunId, position: i64) -> Option<String> {
        Some(format!("{}{position}", self.fetched_members(run)?))
    }

    fn fetched_members(&self, run: &RunId) -> Option<String> {
        let remote = self.run_remote()?;
        Some(format!("refs/autopack/remote/{remote}/queue/{}/", run.file_name()))
    }

    /// Deletes the fetched commits of members of a run's merge queue.
    ///
    /// # Errors
    /// If git fails.
    pub async fn forget_fetched_members(&self, run: &RunId) -> Result<()> {
        match self.fetched_members(run) {
            Some(below) => self.drop_refs(&below).await.map(drop),
            None => Ok(()),
        }
    }

    /// Describes the tip at the remote, and the ref of this clone that has it.
    pub(super) fn tip_at_remote(
        &self,
        run: &RunId,
        names: &RunRefNames,
        refs: &Refs,
        commit: String,
    ) -> Tip {
        let is_tip = |value: &Option<String>| value.as_ref() == Some(&commit);
        let on = match (is_tip(&refs.branch), is_tip(&refs.beside), self.mirror_of(run)) {
            (false, true, _) => names.beside.clone(),
            (false, false, Some(mirror)) => mirror,
            _ => names.branch.clone(),
        };
        let (held_by, shadowed) = (refs.held_by.clone(), refs.tag.is_some());
        Tip { commit, on, held_by, diverged: false, shadowed }
    }

    /// Records the tip at the remote, and moves the branch in this clone to it: made if there was none, unless it was
    /// deleted here. `parent`: an ancestor of the tip, to spare a search.
    ///
    /// # Errors
    /// If git fails.
    pub(crate) async fn follow_remote(
        &self,
        run: &RunId,
        base: Option<&str>,
        tip: &str,
        parent: Option<&str>,
    ) -> Result<BranchUpdate> {
        let Some(mirror) = self.mirror_of(run) else { return Ok(BranchUpdate::UpToDate) };
        let names = RunRefNames::of(run);
        let refs = self.run_refs(&names).await?;
        let (update, orders) = self.follow_orders(&names, &refs, base, tip, parent).await?;
        let known = format!("update {mirror} {tip}\n");
        if self.remote_tip(run).await?.as_deref() == Some(tip) && orders.is_empty() {
            return Ok(update);
        }
        let done = self.transact("follow the remote", &format!("{known}{orders}")).await?;
        if done.ok() {
            return Ok(update);
        }
        // Somebody moved the branch, or its name is impossible here; only the tip matters.
        tracing::debug!("the run's branch does not follow: {}", done.stderr_summary());
        let done = self.transact("record the tip at the remote", &known).await?;
        if done.ok() { Ok(BranchUpdate::UpToDate) } else { Err(ref_error(done)) }
    }

    async fn follow_orders(
        &self,
        names: &RunRefNames,
        refs: &Refs,
        base: Option<&str>,
        tip: &str,
        parent: Option<&str>,
    ) -> Result<(BranchUpdate, String)> {
        let RunRefNames { branch: name, beside, base: base_name, .. } = names;
        let set_beside = match &refs.beside {
            Some(old) if old == tip => String::new(),
            Some(old) => format!("update {beside} {tip} {old}\n"),
            None => format!("create {beside} {tip}\n"),
        };
        let drop_beside =
            refs.beside.as_ref().map_or(String::new(), |old| format!("delete {beside} {old}\n"));
        Ok(match (&refs.branch, &refs.base, base) {
            (None, None, Some(base)) => (
                BranchUpdate::UpToDate,
                format!("create {name} {tip}\ncreate {base_name} {base}\n{drop_beside}"),
            ),
            // The user deleted it, or it is made later.
            (None, _, _) => (BranchUpdate::UpToDate, String::new()),
            (Some(branch), _, _) if branch == tip => (BranchUpdate::UpToDate, drop_beside),
            (Some(_), None, _) => (BranchUpdate::NotOurs, String::new()),
            (Some(branch), Some(_), _) => match &refs.held_by {
                Some(path) => (BranchUpdate::Held(path.clone()), set_beside),
                None if parent == Some(branch) || self.contains(tip, branch).await? => {
                    let orders = format!("update {name} {tip} {branch}\n{drop_beside}");
                    (BranchUpdate::Moved, orders)
                }
                // Another worker has landed since the tip was read, or the user committed here.
                None if self.contains(branch, tip).await? => {
                    (BranchUpdate::UpToDate, String::new())
                }
                None => (BranchUpdate::Diverged, set_beside),
            },
        })
    }
}

/// Returns host and path of a URL, the same for each way to a server.
fn place_of(url: &str, root: &Path) -> String {
    let local = |path: &str| {
        let path = root.join(path);
        path.canonicalize().unwrap_or(path).display().to_string()
    };
    let (scheme, rest) = match url.split_once("://") {
        Some(("file", path)) => return local(path),
        Some(parts) => parts,
        None => {
            let host = url.split('/').next().unwrap_or_default();
            match host.contains(':') {
                false => return local(url),
                true => ("scp", url),
            }
        }
    };
    let (host, path) = match scheme {
        "scp" => rest.split_once(':').unwrap_or((rest, "")),
        _ => rest.split_once('/').unwrap_or((rest, "")),
    };
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host).to_lowercase();
    let port = DEFAULT_PORTS.iter().find(|(name, _)| *name == scheme).map(|(_, port)| *port);
    let host = match (host.rsplit_once(':'), port) {
        (Some((host, named)), Some(port)) if named == port => host,
        _ => &host,
    };
    let alias = host.split(':').next().unwrap_or(host);
    let host = SSH_HOSTS.iter().find(|(ssh, _)| *ssh == alias).map_or(host, |(_, host)| host);
    let path = path.trim_matches('/');
    format!("{host}/{}", path.strip_suffix(".git").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_a_server_is_the_same_place() {
        for url in [
            "https://github.com/a/b.git",
            "https://user:token@GitHub.com/a/b",
            "http://github.com:80/a/b.git/",
            "git@github.com:a/b.git",
            "ssh://git@github.com/a/b.git",
            "ssh://git@github.com:22/a/b",
            "ssh://git@ssh.github.com:443/a/b.git",
        ] {
            assert_eq!(place_of(url, Path::new("/x")), "github.com/a/b", "{url}");
        }
        assert_eq!(place_of("https://h:8443/a.git", Path::new("/x")), "h:8443/a");
        for url in ["/nowhere/b.git", "file:///nowhere/b.git", "../nowhere/b.git"] {
            let place = place_of(url, Path::new("/x"));
            assert!(place.ends_with("nowhere/b.git"), "{place}");
        }
    }
}
