//! Slots of versions before this one, which lay in the checkout: `.autopack/slots/N`, `N.git` and `N.stuck.*`.
//!
//! They are removed once nobody works in them, and what an attempt left there is kept as a patch first. None of their own
//! configuration is read: our git is pointed at their files and objects from a git folder of its own.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::binary_files::without_binaries;
use super::checkout::{Checkout, blocking};
use super::outside_diff::Outside;
use super::untracked_removal::nested_git;
use crate::config::WorkspaceSettings;
use crate::git::diff::{DIFF, Diff, through};
use crate::git::error::{Context, Result};
use crate::git::removal::remove_any;
use crate::process::FileLock;
use crate::workspace::repo::Repo;

/// A slot of an older version in which nobody works, held until this is dropped.
pub struct OldSlot {
    pub number: u32,
    lock: FileLock,
    paths: Vec<PathBuf>,
}

/// What was left in one: a change that did not land.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldWork {
    /// For `git apply`, without the content of binary files.
    pub patch: Vec<u8>,
    /// The commit that it was made on.
    pub base: String,
}

impl Repo {
    /// The slots of older versions in which nobody works. Those that are held stay for the next drain.
    pub fn old_slots(&self) -> Result<Vec<OldSlot>> {
        let dir = self.locks_dir();
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.doing("list", &dir)?,
        };
        let mut paths: Vec<(u32, PathBuf)> = Vec::new();
        for entry in entries {
            let entry = entry.doing("list", &dir)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.ends_with(".lock") {
                let number = name.split('.').next().and_then(|number| number.parse().ok());
                // What was set aside without a number belongs to the first.
                paths.push((number.unwrap_or_default(), entry.path()));
            }
        }
        let numbers: BTreeSet<u32> = paths.iter().map(|(number, _)| *number).collect();
        let mut old = Vec::new();
        for number in numbers {
            let file = self.slot_lock(&number.to_string());
            let Some(lock) = FileLock::try_lock(&file).doing("lock the slot", &file)? else {
                continue;
            };
            let own = paths.iter().filter(|(of, _)| *of == number).map(|(_, path)| path.clone());
            old.push(OldSlot { number, lock, paths: own.collect() });
        }
        Ok(old)
    }

    /// What is in an old slot and not in the commit that it was reset to.
    pub async fn work_in(
        &self,
        old: &OldSlot,
        settings: &WorkspaceSettings,
    ) -> Result<Option<OldWork>> {
        let dir = self.locks_dir().join(old.number.to_string());
        let objects = self.locks_dir().join(format!("{}.git/objects", old.number));
        if !fs::symlink_metadata(&dir).is_ok_and(|found| found.is_dir()) {
            return Ok(None);
        }
        let hold = old.lock.fd().doing("hand on", old.lock.path())?;
        let git_dir = self.locks_dir().join(format!("{}.reading", old.number));
        let outside = Outside::new(settings)?;
        let checkout = Checkout::new(self, dir.clone(), git_dir.clone(), &self.common_dir, &hold);
        let more = [objects].into_iter().filter(|objects| objects.is_dir());
        let work = self.read_work(&checkout.borrowing(more), &dir, outside).await;
        remove_any(&git_dir).doing("remove", &git_dir)?;
        work
    }

    async fn read_work(
        &self,
        checkout: &Checkout,
        dir: &Path,
        outside: Outside,
    ) -> Result<Option<OldWork>> {
        checkout.write_private(self)?;
        // A commit for CI is there until it lands; what it was made on is its parent.
        let named = fs::read_to_string(dir.join(".git/refs/heads/work")).unwrap_or_default();
        let Some(mut base) = self.commit_in(checkout, named.trim()).await? else {
            return Ok(None);
        };
        if self.resolve(&base).await?.is_none() {
            let Some(parent) = self.commit_in(checkout, &format!("{base}^")).await? else {
                return Ok(None);
            };
            base = parent;
        }
        let tree = self.tree_by(&checkout.store, &base).await?;
        checkout.write_exclude(self, &outside.exclude_lines(&tree))?;
        let top = dir.to_owned();
        blocking(move || {
            for git in nested_git(&top, &outside, &tree).doing("look through", &top)? {
                let git = top.join(crate::git::path_bytes::from_bytes(&git));
                remove_any(&git).doing("remove", &git)?;
            }
            Ok(())
        })
        .await?;
        let git = &checkout.git;
        git.call("list what the slot held", ["read-tree", &base]).bytes().await?;
        git.call("take in what is left", ["add", "-A", "--ignore-errors"]).answer().await?;
        let left = git.call("write the tree", ["write-tree"]).text().await?;
        let call = git.call("compare what is left", DIFF);
        let said = through(&checkout.git_dir.join("diff"), call, [&base, &left]).await?;
        let diff = Diff::parse(left, &said);
        let patch = without_binaries(&diff.patch);
        Ok((!diff.changes.is_empty()).then_some(OldWork { patch, base }))
    }

    /// The commit of this name, where there is one.
    async fn commit_in(&self, checkout: &Checkout, name: &str) -> Result<Option<String>> {
        let id = name.trim_end_matches('^');
        if id.is_empty() || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let args = ["rev-parse", "--verify", "--quiet", "--end-of-options"];
        let call = checkout.store.call("look up what the slot held", args);
        let answer = call.arg(format!("{name}^{{commit}}")).answer().await?;
        if answer.ok() { answer.text().map(Some) } else { Ok(None) }
    }

    /// Removes an old slot. What cannot be removed is said in the log and stays.
    pub fn remove_old(&self, old: OldSlot) {
        for path in &old.paths {
            if let Err(error) = remove_any(path) {
                tracing::warn!("cannot remove {}: {error}", path.display());
            }
        }
        drop(old.lock);
    }
}
