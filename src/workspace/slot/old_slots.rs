//! Slots of earlier versions, located in the checkout: `.autopack/slots/N`, `N.git` and
//! `N.stuck.*`.
//!
//! Unused old slots are removed, after saving changes in them as a patch. Their own configuration
//! is never read: our git reads their files and objects from a separate git directory.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::binary_files::strip_binaries;
use super::checkout::Checkout;
use super::outside_diff::DiffExclusions;
use super::untracked_removal::nested_git;
use crate::config::WorkspaceSettings;
use crate::git::diff::{DIFF, Diff, diff_through_file};
use crate::git::error::{Context, Result};
use crate::git::removal::remove_any;
use crate::process::FileLock;
use crate::workspace::blocking_work::blocking;
use crate::workspace::repo::Repo;

/// An unused slot of an older version, locked until dropped.
pub struct OldSlot {
    /// Number of the slot.
    pub number: u32,
    lock: FileLock,
    paths: Vec<PathBuf>,
}

/// A change in an old slot that did not land.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldWork {
    /// Patch for `git apply`, without the content of binary files.
    pub patch: Vec<u8>,
    /// The change's base commit.
    pub base: String,
}

impl Repo {
    /// Returns the unused slots of older versions. Slots in use are left to the next drain.
    ///
    /// # Errors
    /// If the directories cannot be read.
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
                // Directories set aside without a number belong to the first slot.
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

    /// Returns the difference between an old slot's files and the commit of its last reset.
    ///
    /// # Errors
    /// If git fails.
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
        let hold = old.lock.fd().doing("pass on the lock", old.lock.path())?;
        let git_dir = self.locks_dir().join(format!("{}.reading", old.number));
        let outside = DiffExclusions::new(settings)?;
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
        outside: DiffExclusions,
    ) -> Result<Option<OldWork>> {
        checkout.write_private(self)?;
        // A commit for CI stays until landing; the base is its parent.
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
        let tree = self.trees.list(&checkout.store, &base).await?;
        checkout.write_exclude(self, &outside.exclude_lines(&tree))?;
        let top = dir.to_owned();
        blocking(move || {
            for git in nested_git(&top, &outside, &tree).doing("search", &top)? {
                let git = top.join(crate::git::path_bytes::from_bytes(&git));
                remove_any(&git).doing("remove", &git)?;
            }
            Ok(())
        })
        .await?;
        let git = &checkout.git;
        git.call("list the files of the slot", ["read-tree", &base]).bytes().await?;
        git.call("add the remaining files", ["add", "-A", "--ignore-errors"]).answer().await?;
        let left = git.call("write the tree", ["write-tree"]).text().await?;
        let call = git.call("compare the remaining files", DIFF);
        let output =
            diff_through_file(&checkout.git_dir.join("diff"), call, [&base, &left]).await?;
        let diff = Diff::parse(left, &output);
        let patch = strip_binaries(&diff.patch);
        Ok((!diff.changes.is_empty()).then_some(OldWork { patch, base }))
    }

    /// Resolves a revision to a commit, if there is one.
    async fn commit_in(&self, checkout: &Checkout, name: &str) -> Result<Option<String>> {
        let id = name.trim_end_matches('^');
        if id.is_empty() || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let args = ["rev-parse", "--verify", "--quiet", "--end-of-options"];
        let call = checkout.store.call("read the commit of the slot", args);
        let answer = call.arg(format!("{name}^{{commit}}")).answer().await?;
        if answer.ok() { answer.text().map(Some) } else { Ok(None) }
    }

    /// Removes an old slot. Failures are logged and the files stay.
    pub fn remove_old(&self, old: OldSlot) {
        for path in &old.paths {
            if let Err(error) = remove_any(path) {
                tracing::warn!("cannot remove {}: {error}", path.display());
            }
        }
        drop(old.lock);
    }
}
