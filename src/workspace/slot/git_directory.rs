//! Writes git directories as plain files: a private directory only for autopack, and the copy's own
//! directory, open to any change by an agent.
//!
//! Both borrow the user's objects; only CI's checkout has a remote, to fetch from. The agent's git never reads the private
//! directory; our git never reads the agent's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::untouched_files;
use crate::git::error::{Context, Result};
use crate::git::exact_directory::ExactDirectory;
use crate::git::user_config::config_text;
use crate::workspace::repo::Repo;
use crate::workspace::repo::copied_refs::{CopiedRefs, origin_head};

/// Branch checked out for an agent.
const AGENT_BRANCH: &str = "refs/heads/work";

/// Files of the user's git directory also used in ours, if present.
const CARRIED: [&str; 2] = ["info/attributes", "shallow"];

/// A git directory to write.
pub(crate) struct GitDir<'a> {
    pub repo: &'a Repo,
    pub path: &'a Path,
    /// Object directories of other repositories.
    pub borrows: Vec<PathBuf>,
    /// The corresponding git directory of the user's, whose ignore patterns apply here too.
    pub stands_for: &'a Path,
}

impl GitDir<'_> {
    /// Returns the content of the private directory: files from git stay, configuration is ours. `exclude` has the
    /// ignore patterns; without them, the current file stays, for calls that read no files.
    pub fn private(&self, exclude: Option<Vec<u8>>) -> Result<ExactDirectory> {
        let mut exact = ExactDirectory::default();
        exact.file("config", self.private_config()).file("HEAD", "ref: refs/heads/none\n");
        match exclude {
            Some(patterns) => exact.file("info/exclude", patterns),
            None => exact.directory("info").keep("info/exclude"),
        };
        exact.directory("refs");
        exact.open_directory("objects").file("objects/info/alternates", self.alternates());
        // Files written by git itself, and by our calls.
        let calls = [
            "diff",
            "lines",
            untouched_files::DIRECTORY,
            untouched_files::INDEX,
            untouched_files::INDEX_LOCK,
        ];
        for own in ["index", "index.lock", "modules", "lfs"].into_iter().chain(calls) {
            exact.keep(own);
        }
        self.add_carried_files(&mut exact).doing("read the git directory", self.stands_for)?;
        Ok(exact)
    }

    fn add_carried_files(&self, exact: &mut ExactDirectory) -> io::Result<()> {
        for name in CARRIED {
            if let Some(content) = read_if_exists(&self.stands_for.join(name))? {
                exact.file(name, content);
            }
        }
        Ok(())
    }

    /// Returns the content of a copy's own directory: as if new, at `commit`, with the index of `private`. `remote` is a
    /// section of the configuration.
    pub fn own(
        &self,
        private: &Path,
        commit: &str,
        exclude: &[u8],
        refs: &CopiedRefs,
        remote: &str,
    ) -> Result<ExactDirectory> {
        let mut exact = ExactDirectory::default();
        let add = |exact: &mut ExactDirectory| -> io::Result<()> {
            self.add(exact, Path::new(""), private, self.agent_config() + remote)?;
            exact.file("info/exclude", exclude);
            exact.file("HEAD", format!("ref: {AGENT_BRANCH}\n"));
            exact.file(AGENT_BRANCH, format!("{commit}\n"));
            exact.file("packed-refs", refs.packed.as_bytes());
            if let Some(to) = &refs.origin_head {
                exact.file(origin_head(), format!("ref: {to}\n"));
            }
            Ok(())
        };
        add(&mut exact).doing("read the git directory", self.stands_for)?;
        Ok(exact)
    }

    /// Adds a submodule at `below` in its parent's directory, for a working directory at `work_tree` from there.
    pub fn add_module(
        &self,
        exact: &mut ExactDirectory,
        below: &Path,
        private: &Path,
        commit: &str,
        work_tree: &Path,
    ) -> Result<()> {
        let mut config = self.agent_config();
        let work_tree = work_tree.to_string_lossy();
        config.push_str(&config_text([("core.worktree", &*work_tree)]));
        self.add(exact, below, private, config).doing("read the git directory", self.stands_for)?;
        exact.file(below.join("HEAD"), format!("{commit}\n")).directory(below.join("refs/heads"));
        Ok(())
    }

    fn add(
        &self,
        exact: &mut ExactDirectory,
        below: &Path,
        private: &Path,
        config: String,
    ) -> io::Result<()> {
        exact.directory(below.join("hooks")).directory(below.join("refs"));
        exact.file(below.join("objects/info/alternates"), self.alternates());
        exact.file(below.join("config"), config);
        let copied = CARRIED.map(|name| (name, self.stands_for.join(name)));
        for (name, from) in copied.into_iter().chain([("index", private.join("index"))]) {
            if let Some(content) = read_if_exists(&from)? {
                exact.file(below.join(name), content);
            }
        }
        Ok(())
    }

    fn alternates(&self) -> Vec<u8> {
        let mut alternates = Vec::new();
        for directory in &self.borrows {
            alternates.extend_from_slice(crate::git::path_bytes::to_bytes(directory));
            alternates.push(b'\n');
        }
        alternates
    }

    /// Returns the user's ignore patterns for this repository, and `lines`.
    pub fn exclude(&self, lines: &[u8]) -> Result<Vec<u8>> {
        let users = self.stands_for.join("info/exclude");
        let mut all = read_if_exists(&users).doing("read", &users)?.unwrap_or_default();
        all.push(b'\n');
        all.extend_from_slice(lines);
        Ok(all)
    }

    fn private_config(&self) -> String {
        let mut entries = self.format();
        entries.extend(self.repo.config.carried.iter().map(|(k, v)| (k.clone(), v.clone())));
        if !self.repo.config.lfs.is_empty() {
            entries.extend(self.repo.config.lfs.iter().cloned());
            let storage = self.repo.config.lfs_storage(&self.repo.common_dir);
            entries.push(("lfs.storage".to_owned(), storage.to_string_lossy().into_owned()));
            // A missing LFS object stays a pointer: nothing is downloaded in an unattended run.
            entries.push(("lfs.skipdownloaderrors".to_owned(), "true".to_owned()));
        }
        config_text(entries.iter().map(|(k, v)| (k.as_str(), v.as_str())))
    }

    fn agent_config(&self) -> String {
        let mut entries = self.format();
        entries.extend(self.repo.config.carried.iter().cloned());
        let (name, email) = &self.repo.config.identity.author;
        let hooks = self.path.join("hooks").to_string_lossy().into_owned();
        // Disables the user's settings for all repositories: an agent must not use hooks, a monitor or keys.
        for (key, value) in [
            ("core.logallrefupdates", "true"),
            ("gc.auto", "0"),
            ("commit.gpgsign", "false"),
            ("core.hookspath", &hooks),
            ("core.fsmonitor", "false"),
            ("user.name", name),
            ("user.email", email),
        ] {
            entries.push((key.to_owned(), value.to_owned()));
        }
        config_text(entries.iter().map(|(k, v)| (k.as_str(), v.as_str())))
    }

    fn format(&self) -> Vec<(String, String)> {
        let own = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        let version = if self.repo.sha256 { "1" } else { "0" };
        let mut entries =
            vec![own("core.repositoryformatversion", version), own("core.bare", "false")];
        if self.repo.sha256 {
            entries.push(own("extensions.objectformat", "sha256"));
        }
        entries
    }
}

fn read_if_exists(file: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(file) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
