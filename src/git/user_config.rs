//! Selects the settings of the user's configuration to carry over into repositories of ours: only
//! those about reading and writing files, the user's identity, and LFS. Settings with the name of a
//! program are excluded.

use std::path::{Path, PathBuf};

use super::command::{Git, fields};
use super::error::Result;

/// Keys safe to copy: none of them can make git run a program.
const CARRIED: &[&str] = &[
    "core.attributesfile",
    "core.autocrlf",
    "core.bigfilethreshold",
    "core.checkroundtripencoding",
    "core.eol",
    "core.excludesfile",
    "core.filemode",
    "core.ignorecase",
    "core.precomposeunicode",
    "core.protecthfs",
    "core.protectntfs",
    "core.symlinks",
];

/// Settings of the user's git configuration relevant to slots.
#[derive(Clone, Debug, Default)]
pub(crate) struct UserConfig {
    pub identity: Identity,
    /// Key and value, in the order of the user's files.
    pub carried: Vec<(String, String)>,
    /// Settings for LFS; empty unless git-lfs is configured and installed.
    pub lfs: Vec<(String, String)>,
    /// Names of the file filters the user's git would run and ours does not.
    pub filters: Vec<String>,
    /// Whether the repository is a partial clone, without some of the objects.
    pub partial: bool,
    /// Whether new objects need more than a plain file: other permissions, or an entry in a second index.
    pub special_objects: bool,
    /// The user's file of ignore patterns for all repositories.
    pub excludes_file: Option<PathBuf>,
    /// URL of the remote `origin`, as written.
    pub origin: Option<String>,
}

/// Author and committer of autopack's commits.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub author: (String, String),
    pub committer: (String, String),
}

impl Default for Identity {
    fn default() -> Self {
        let ours = ("autopack".to_owned(), "autopack@localhost".to_owned());
        Self { author: ours.clone(), committer: ours }
    }
}

/// Lists the configuration.
pub async fn list_config(git: &Git) -> Result<Vec<u8>> {
    git.call("read the configuration", ["config", "--list", "-z"]).bytes().await
}

impl UserConfig {
    /// Takes the settings from the answer of [`list_config`]; `git` answers further questions about some of them.
    pub async fn parse(listed: &[u8], git: &Git) -> Result<Self> {
        let all: Vec<(String, String)> = fields(listed).map(entry).collect();
        let carried = pick(&all, |key| CARRIED.contains(&key));
        let mut lfs = pick(&all, |key| key.starts_with("filter.lfs."));
        if !lfs.is_empty() && !has_lfs(git).await? {
            lfs.clear();
        }
        let mut filters: Vec<String> =
            all.iter().filter_map(|(key, _)| filter_that_cleans(key)).collect();
        filters.retain(|name| name != "lfs" || lfs.is_empty());
        if !lfs.is_empty() {
            lfs.extend(pick(&all, |key| matches!(key, "lfs.url" | "lfs.storage")));
        }
        let excludes_file = match last(&all, "core.excludesfile") {
            Some(_) => {
                let args = ["config", "--type=path", "--get", "core.excludesfile"];
                Some(git.call("read core.excludesFile", args).text().await?.into())
            }
            None => None,
        };
        // The first form is used since about git 2.24, the second form before.
        let promised = |key: &str| key.starts_with("remote.") && key.ends_with(".promisor");
        let partial = all.iter().any(|(key, _)| promised(key) || key == "extensions.partialclone");
        let special = |(key, value): &(String, String)| match key.as_str() {
            "core.sharedrepository" => !matches!(value.as_str(), "false" | "umask" | "0"),
            "extensions.compatobjectformat" => true,
            _ => false,
        };
        let special_objects = all.iter().any(special);
        let origin = all.iter().find(|(key, _)| key == "remote.origin.url");
        let origin = origin.map(|(_, url)| url.clone()).filter(|url| !url.is_empty());
        let identity = Identity::from(&all);
        Ok(Self {
            identity,
            carried,
            lfs,
            filters,
            partial,
            special_objects,
            excludes_file,
            origin,
        })
    }

    /// Returns the directory of the user's LFS objects.
    pub fn lfs_storage(&self, common_dir: &Path) -> PathBuf {
        match last(&self.lfs, "lfs.storage") {
            Some(directory) => common_dir.join(directory),
            None => common_dir.join("lfs"),
        }
    }
}

/// Returns the filter name of `filter.NAME.clean` and `.process`, the settings that change committed content.
fn filter_that_cleans(key: &str) -> Option<String> {
    let (name, what) = key.strip_prefix("filter.")?.rsplit_once('.')?;
    matches!(what, "clean" | "process").then(|| name.to_owned())
}

impl Identity {
    fn from(all: &[(String, String)]) -> Self {
        let ours = Self::default();
        let of = |role: &str| {
            let get = |what: &str| {
                let own = last(all, &format!("{role}.{what}"));
                own.or_else(|| last(all, &format!("user.{what}"))).filter(|v| !v.trim().is_empty())
            };
            match (get("name"), get("email")) {
                (Some(name), Some(email)) => Some((name.to_owned(), email.to_owned())),
                _ => None,
            }
        };
        Self {
            author: of("author").unwrap_or(ours.author),
            committer: of("committer").unwrap_or(ours.committer),
        }
    }

    pub fn set(&self, git: &mut Git) {
        git.set("GIT_AUTHOR_NAME", &self.author.0);
        git.set("GIT_AUTHOR_EMAIL", &self.author.1);
        git.set("GIT_COMMITTER_NAME", &self.committer.0);
        git.set("GIT_COMMITTER_EMAIL", &self.committer.1);
    }
}

async fn has_lfs(git: &Git) -> Result<bool> {
    Ok(git.call("look for git-lfs", ["lfs", "version"]).answer().await?.ok())
}

/// Parses `key<newline>value`; a key without a value is true.
fn entry(field: &[u8]) -> (String, String) {
    let text = String::from_utf8_lossy(field);
    match text.split_once('\n') {
        Some((key, value)) => (key.to_owned(), value.to_owned()),
        None => (text.into_owned(), "true".to_owned()),
    }
}

fn pick(all: &[(String, String)], wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    all.iter().filter(|(key, _)| wanted(key)).cloned().collect()
}

fn last<'a>(all: &'a [(String, String)], wanted: &str) -> Option<&'a str> {
    all.iter().rev().find(|(key, _)| key == wanted).map(|(_, value)| value.as_str())
}

/// Formats a configuration file with these keys and values.
pub(crate) fn config_text<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (key, value) in entries {
        let Some((section, name)) = key.rsplit_once('.') else { continue };
        let head = match section.split_once('.') {
            Some((section, sub)) => format!("[{section} \"{}\"]", escaped(sub)),
            None => format!("[{section}]"),
        };
        text.push_str(&format!("{head}\n\t{name} = \"{}\"\n", escaped(value)));
    }
    text
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_needs_name_and_email() {
        let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        let whole = Identity::from(&[pair("user.name", "A"), pair("user.email", "a@b")]);
        assert_eq!(whole.author, ("A".to_owned(), "a@b".to_owned()));
        let half = Identity::from(&[pair("user.name", "A")]);
        assert_eq!(half.author.0, "autopack");
    }

    #[test]
    fn values_are_quoted() {
        let text = config_text([("filter.lfs.clean", "git-lfs \"x\" \\ #"), ("core.eol", "lf")]);
        assert_eq!(
            text,
            "[filter \"lfs\"]\n\tclean = \"git-lfs \\\"x\\\" \\\\ #\"\n[core]\n\teol = \"lf\"\n"
        );
    }
}
