//! The remote `origin` for `git fetch` in CI and in `workspace.setup`, as in a clone: the user's URL without a
//! password or token, and no way to push.
//!
//! CI's checkout always has the remote; the agent's checkout only while setup runs.

use std::fs;
use std::path::Path;

use super::{Side, Slot};
use crate::git::error::{Context, Result};
use crate::git::user_config::config_text;
use crate::workspace::repo::Repo;

/// Push URL of the remote: no repository can be there.
const NO_PUSH: &str = "/dev/null/autopack-does-not-push";

impl Repo {
    /// Returns the remote's section of a configuration file; empty without a remote in the user's repository.
    pub(super) fn origin_config(&self) -> String {
        let Some(url) = &self.config.origin else { return String::new() };
        let url = fetch_url(url, &self.root);
        config_text([
            ("remote.origin.url", url.as_str()),
            ("remote.origin.pushurl", NO_PUSH),
            ("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"),
        ])
    }
}

impl Slot {
    /// Adds the remote to a checkout in which setup starts. CI's checkout already has the remote.
    ///
    /// # Errors
    /// If the configuration file cannot be written.
    pub fn lend_remote(&self, side: Side) -> Result<()> {
        self.edit_config(side, |config, origin| config + origin)
    }

    /// Removes the remote again after setup: an agent has none.
    ///
    /// # Errors
    /// If the configuration file cannot be written.
    pub fn withdraw_remote(&self, side: Side) -> Result<()> {
        self.edit_config(side, |config, origin| config.replace(origin, ""))
    }

    fn edit_config(&self, side: Side, edit: impl Fn(String, &str) -> String) -> Result<()> {
        let origin = self.repo.origin_config();
        if side == Side::Ci || origin.is_empty() {
            return Ok(());
        }
        let file = self.path_of(side).join(".git/config");
        // Setup may have removed the repository.
        let Ok(config) = fs::read_to_string(&file) else { return Ok(()) };
        fs::write(&file, edit(config, &origin)).doing("write", &file)
    }
}

/// Returns the URL without credentials; a path is made absolute.
fn fetch_url(url: &str, root: &Path) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        let host = url.split('/').next().unwrap_or_default();
        return match host.contains(':') || url.starts_with('~') {
            true => url.to_owned(),
            false => root.join(url).to_string_lossy().into_owned(),
        };
    };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let Some((user, host)) = host.rsplit_once('@') else { return url.to_owned() };
    // In a web URL, a token may take the place of the user.
    let user = match scheme {
        "http" | "https" => String::new(),
        _ => format!("{}@", user.split(':').next().unwrap_or_default()),
    };
    format!("{scheme}://{user}{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_loses_its_credentials_and_a_path_becomes_absolute() {
        for (url, expected) in [
            ("https://github.com/a/b.git", "https://github.com/a/b.git"),
            ("https://ghp_x@github.com/a/b@c", "https://github.com/a/b@c"),
            ("https://u:p@h:8443/a", "https://h:8443/a"),
            ("ssh://git:p@h/a", "ssh://git@h/a"),
            ("git@github.com:a/b.git", "git@github.com:a/b.git"),
            ("../b.git", "/h/app/../b.git"),
            ("/srv/b.git", "/srv/b.git"),
            ("file:///srv/b.git", "file:///srv/b.git"),
        ] {
            assert_eq!(fetch_url(url, Path::new("/h/app")), expected, "{url}");
        }
    }
}
