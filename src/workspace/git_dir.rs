//! Making git folders by plain file writes: one that only we use, and one that an agent may do
//! anything to.
//!
//! Both borrow the user's objects and have no remote. Ours is never looked into by an agent's git;
//! the agent's is never looked into by ours.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{Context, Result};
use super::exact::Exact;
use super::removal::remove_any;
use super::repo::Repo;
use super::user_config::config_text;

/// The branch that an agent finds itself on.
const AGENT_BRANCH: &str = "refs/heads/work";

/// What steers git in the user's folder and holds in ours too, where it is there.
const CARRIED: [&str; 2] = ["info/attributes", "shallow"];

/// A git folder to write.
pub(super) struct GitDir<'a> {
    pub repo: &'a Repo,
    pub path: &'a Path,
    /// Object folders of others.
    pub borrows: Vec<PathBuf>,
    /// The git folder of the user's that this one stands for: its ignore patterns hold here too.
    pub stands_for: &'a Path,
}

impl GitDir<'_> {
    /// Ours: what git put there stays, what steers git is written anew.
    pub fn write_private(&self) -> Result<()> {
        let write = || -> io::Result<()> {
            self.write_common()?;
            fs::write(self.path.join("config"), self.private_config())?;
            fs::write(self.path.join("HEAD"), "ref: refs/heads/none\n")?;
            // Of a git that was killed; the slot's lock says that none is running.
            for name in ["index.lock", "HEAD.lock", "config.lock", "shallow.lock"] {
                remove_any(&self.path.join(name))?;
            }
            Ok(())
        };
        write().doing("write the git folder", self.path)
    }

    /// The agent's: as if new, at `commit`, with the index of `private`.
    pub fn write_for_agent(&self, private: &Path, commit: &str, exclude: &[u8]) -> Result<()> {
        let write = || -> io::Result<()> {
            let mut exact = Exact::default();
            exact.folder("hooks").file("objects/info/alternates", self.alternates());
            exact.file("config", self.agent_config()).file("info/exclude", exclude);
            exact.file("HEAD", format!("ref: {AGENT_BRANCH}\n"));
            exact.file(AGENT_BRANCH, format!("{commit}\n"));
            let copied = CARRIED.map(|name| (name, self.stands_for.join(name)));
            for (name, from) in copied.into_iter().chain([("index", private.join("index"))]) {
                if let Some(content) = read_if_there(&from)? {
                    exact.file(name, content);
                }
            }
            exact.make(self.path)
        };
        write().doing("write the agent's git folder", self.path)
    }

    /// What both have.
    fn write_common(&self) -> io::Result<()> {
        for folder in ["objects/info", "refs", "info"] {
            fs::create_dir_all(self.path.join(folder))?;
        }
        fs::write(self.path.join("objects/info/alternates"), self.alternates())?;
        for name in CARRIED {
            let file = self.path.join(name);
            match read_if_there(&self.stands_for.join(name))? {
                Some(content) => fs::write(file, content)?,
                None => remove_any(&file)?,
            }
        }
        Ok(())
    }

    fn alternates(&self) -> Vec<u8> {
        let mut alternates = Vec::new();
        for folder in &self.borrows {
            alternates.extend_from_slice(super::paths::to_bytes(folder));
            alternates.push(b'\n');
        }
        alternates
    }

    /// Adds `lines` to the ignore patterns that the user has for this repository alone.
    pub fn write_exclude(&self, lines: &[u8]) -> Result<Vec<u8>> {
        let users = self.stands_for.join("info/exclude");
        let mut all = read_if_there(&users).doing("read", &users)?.unwrap_or_default();
        all.push(b'\n');
        all.extend_from_slice(lines);
        let file = self.path.join("info/exclude");
        fs::write(&file, &all).doing("write", &file)?;
        Ok(all)
    }

    fn private_config(&self) -> String {
        let mut entries = self.format();
        entries.extend(self.repo.config.carried.iter().map(|(k, v)| (k.clone(), v.clone())));
        if !self.repo.config.lfs.is_empty() {
            entries.extend(self.repo.config.lfs.iter().cloned());
            let storage = self.repo.config.lfs_storage(&self.repo.common_dir);
            entries.push(("lfs.storage".to_owned(), storage.to_string_lossy().into_owned()));
            // An object that is nowhere stays a pointer; nothing is fetched while nobody watches.
            entries.push(("lfs.skipdownloaderrors".to_owned(), "true".to_owned()));
        }
        config_text(entries.iter().map(|(k, v)| (k.as_str(), v.as_str())))
    }

    fn agent_config(&self) -> String {
        let mut entries = self.format();
        entries.extend(self.repo.config.carried.iter().cloned());
        let (name, email) = &self.repo.config.identity.author;
        let hooks = self.path.join("hooks").to_string_lossy().into_owned();
        // What the user has for all repositories: hooks, a monitor and keys are not for an agent.
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

fn read_if_there(file: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(file) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
