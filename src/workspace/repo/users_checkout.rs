//! Detects changes made by an attempt in the user's own checkout, through an absolute path.
//!
//! They cannot be prevented here. They may also be the user's own changes, so they are only
//! reported.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::Repo;
use crate::file_stamp::FileStamp;
use crate::git::command::fields;
use crate::git::error::Result;
use crate::git::path_bytes::{from_bytes, to_text};
use crate::git::refs::{refs_of_remotes, users_refs};
use crate::workspace::dependencies::{self, dependencies_around};

/// Maximum number of ignored files to watch.
const IGNORED: usize = 200;
/// Maximum number of ignored paths examined for dependency directories.
const EXAMINED: usize = 1000;

/// Snapshot of the user's checkout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckoutState {
    files: BTreeMap<String, (Vec<u8>, Option<FileStamp>)>,
    refs: BTreeMap<String, String>,
}

impl Repo {
    /// Takes a snapshot of the user's checkout: differences from its commit, git's configuration and hooks, branches
    /// and tags.
    ///
    /// # Errors
    /// If git fails.
    pub async fn checkout_state(&self) -> Result<CheckoutState> {
        let args = [
            "status",
            "--porcelain=v2",
            "--branch",
            "-z",
            "--untracked-files=all",
            "--ignored=matching",
            "--no-renames",
        ];
        let listed = self.git.call("read the state of the checkout", args).bytes().await?;
        let mut state = BTreeMap::new();
        let (mut ignored, mut examined) = (0, 0);
        for line in fields(&listed) {
            if let Some(path) = line.strip_prefix(b"! ") {
                examined += 1;
                if examined <= EXAMINED {
                    self.add_dependencies(&mut state, path);
                }
                if ignored < IGNORED && is_configuration(path) {
                    ignored += 1;
                    state.insert(
                        to_text(path),
                        (Vec::new(), FileStamp::of(&self.root.join(from_bytes(path)))),
                    );
                }
                continue;
            }
            let Some((path, is_file)) = path_of(line) else { continue };
            let stamp =
                if is_file { FileStamp::of(&self.root.join(from_bytes(path))) } else { None };
            state.insert(to_text(path), (line.to_vec(), stamp));
        }
        for (name, file) in self.configuration_files() {
            state.insert(name, (Vec::new(), FileStamp::of(&file)));
        }
        let mut refs = users_refs(&self.common_dir);
        refs.extend(refs_of_remotes(&self.common_dir, &self.root));
        Ok(CheckoutState { files: state, refs })
    }

    /// Returns the paths changed since a snapshot, relative to the checkout's top: `HEAD` for another commit or
    /// branch; changed branches, tags and remote-tracking branches by their full names; refs of a remote on this
    /// machine after the remote's name.
    ///
    /// # Errors
    /// If git fails.
    pub async fn changed_since(&self, before: &CheckoutState) -> Result<Vec<String>> {
        let now = self.checkout_state().await?;
        let mut changed = differing_keys(&now.files, &before.files);
        changed.extend(differing_keys(&now.refs, &before.refs));
        Ok(changed.into_iter().collect())
    }

    /// Whether a changed path is a dependency directory.
    pub fn is_dependencies(&self, changed: &str) -> bool {
        changed.ends_with('/') && dependencies_around(&self.root, changed).is_some()
    }

    /// Adds the stamp of the dependency directory around an ignored path. Its name ends with a slash.
    fn add_dependencies(
        &self,
        state: &mut BTreeMap<String, (Vec<u8>, Option<FileStamp>)>,
        ignored: &[u8],
    ) {
        let Some(dir) = dependencies_around(&self.root, &String::from_utf8_lossy(ignored)) else {
            return;
        };
        let stamp = || (dependencies::stamp(&self.root, &dir).into_bytes(), None);
        state.entry(format!("{dir}/")).or_insert_with(stamp);
    }

    /// Returns configuration and hooks: writing them can make the user's git run programs.
    fn configuration_files(&self) -> Vec<(String, std::path::PathBuf)> {
        let mut files = vec![(".git/config".to_owned(), self.common_dir.join("config"))];
        let hooks = fs::read_dir(self.common_dir.join("hooks")).into_iter().flatten().flatten();
        files.extend(hooks.map(|hook| {
            (format!(".git/hooks/{}", hook.file_name().to_string_lossy()), hook.path())
        }));
        files
    }
}

/// Whether an ignored file holds settings or secrets of programs. Other ignored files are caches and logs, changing
/// all the time.
fn is_configuration(path: &[u8]) -> bool {
    const ENDINGS: [&str; 15] = [
        ".env",
        ".local",
        ".yaml",
        ".yml",
        ".toml",
        ".ini",
        ".cfg",
        ".conf",
        ".json",
        ".properties",
        ".pem",
        ".key",
        ".tfvars",
        ".npmrc",
        ".pypirc",
    ];
    let path = String::from_utf8_lossy(path).to_ascii_lowercase();
    // An ignored directory is listed as a whole.
    let name = path.rsplit('/').next().unwrap_or_default();
    let begins = [".env", "local_settings", "secrets", "credentials"]
        .iter()
        .any(|start| name.starts_with(start));
    let inside = name.contains(".local.") || name.contains(".env.");
    begins || inside || ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Returns the keys with different values in two maps.
fn differing_keys<V: PartialEq>(
    a: &BTreeMap<String, V>,
    b: &BTreeMap<String, V>,
) -> BTreeSet<String> {
    let all = a.keys().chain(b.keys());
    all.filter(|key| a.get(*key) != b.get(*key)).cloned().collect()
}

/// Returns the path of a `--porcelain=v2 -z` line, and whether the line is about a file.
fn path_of(line: &[u8]) -> Option<(&[u8], bool)> {
    let columns = match line.first()? {
        b'#' if line.starts_with(b"# branch.oid") || line.starts_with(b"# branch.head") => {
            return Some((b"HEAD".as_slice(), false));
        }
        b'1' => 8,
        b'u' => 10,
        b'?' => 1,
        _ => return None,
    };
    line.splitn(columns + 1, |b| *b == b' ').nth(columns).map(|path| (path, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_and_caches_are_distinguished() {
        for path in [
            ".env",
            ".env.local",
            "web/.env.production",
            "config/local.yaml",
            "app.local.js",
            "id.pem",
        ] {
            assert!(is_configuration(path.as_bytes()), "{path}");
        }
        for path in ["dev.log", "node_modules/", "a.pyc", ".eslintcache", ".autopack/", "tags"] {
            assert!(!is_configuration(path.as_bytes()), "{path}");
        }
    }
}
