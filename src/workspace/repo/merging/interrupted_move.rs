//! Continues a killed move of branch and files: completes the move if all files were updated, else restores the files
//! of the old commit. Content that only the user has is never overwritten. A file is restored only if the file is gone,
//! or has the new commit's content or the beginning of this content.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::locked_checkout::{BranchMove, LockedCheckout};
use super::obstructing_files::PathChange;
use super::refusal::{Answer, refuse};
use crate::git::command::fields;
use crate::git::error::{Context, Result};
use crate::git::path_bytes::{from_bytes, to_bytes};
use crate::phase::words::{first_few, short_commit};
use crate::workspace::repo::Repo;

/// Files named in a message; the rest are counted.
const NAMED: usize = 8;

/// Result of recovering an interrupted merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// The merge was completed: the branch moved.
    Completed,
    /// The files are those of the branch again, as before the merge.
    RolledBack,
}

impl Repo {
    /// Continues an interrupted move. Returns `None` if there was nothing to do.
    pub(super) async fn recover_move(
        &self,
        checkout: &LockedCheckout,
        interrupted: &BranchMove,
    ) -> Result<Answer<Option<Recovery>>> {
        let now = self.resolve(&interrupted.branch).await?.unwrap_or_else(|| self.zero());
        let here = checkout.git.call("read HEAD", ["symbolic-ref", "--quiet", "HEAD"]);
        let here = here.answer().await?;
        let is_here = here.ok() && here.text()? == interrupted.branch;
        // The branch moved: by us, or by the user with a commit of the updated files.
        if now != interrupted.old || !is_here {
            return Ok(Ok(None));
        }
        if let Some(lock) = checkout.index_lock() {
            return refuse(
                format!(
                    "a merge of {} was interrupted in {}, and git left {}",
                    short_commit(&interrupted.new),
                    checkout.path.display(),
                    lock.display()
                ),
                "if no git is running, remove this file, then merge again",
            );
        }
        if self.has_index_of(checkout, &interrupted.new).await? {
            let moved = self.swap_branch(&checkout.git, interrupted, "autopack merge: completed");
            return Ok(Ok(moved.await?.then_some(Recovery::Completed)));
        }
        let undone = self.undo_move(checkout, interrupted).await?;
        Ok(undone.map(|()| Some(Recovery::RolledBack)))
    }

    /// Restores the files of the old commit, if the index is still the old or already the new commit's.
    pub(super) async fn undo_move(
        &self,
        checkout: &LockedCheckout,
        interrupted: &BranchMove,
    ) -> Result<Answer<()>> {
        let BranchMove { branch, new, .. } = interrupted;
        let now = self.resolve(branch).await?.unwrap_or_else(|| self.zero());
        if now != interrupted.old {
            // The user's own commit of the updated files, or another merge.
            return Ok(Ok(()));
        }
        let old = self.tree_before(interrupted).await?;
        checkout.refresh_index().await?;
        if self.has_index_of(checkout, new).await? {
            let args = ["read-tree", "-m", "-u", new, &old];
            checkout.git.call("restore the files", args).bytes().await?;
            return Ok(Ok(()));
        }
        if !self.has_index_of(checkout, &old).await? {
            // The user staged something since. The files are theirs to judge; git shows all of them as changed.
            return Ok(Ok(()));
        }
        let changes = checkout.path_changes(&old, new).await?;
        let touched = checkout.find_touched(&changes).await?;
        let mut unknown = Vec::new();
        for change in &touched {
            if !checkout.is_of_commit(new, change).await? {
                unknown.push(change.path.display().to_string());
            }
        }
        if !unknown.is_empty() {
            return refuse(
                format!(
                    "a merge of {} was interrupted in {}, and these files were changed since: {}",
                    short_commit(new),
                    checkout.path.display(),
                    first_few(&unknown, NAMED)
                ),
                "move your changes elsewhere and run `git checkout -- FILE` for each, then merge again",
            );
        }
        checkout.restore(&touched).await?;
        Ok(Ok(()))
    }

    /// Whether the index of a worktree has exactly the files of a commit or tree.
    async fn has_index_of(&self, checkout: &LockedCheckout, commit: &str) -> Result<bool> {
        let args = ["diff-index", "--cached", "--quiet", "--no-ext-diff", commit, "--"];
        let answer = checkout.git.call("compare the index", args).answer().await?;
        match answer.output.code {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(answer.error()),
        }
    }
}

impl LockedCheckout {
    /// Returns the changes with a file different from the index. The index has the old commit.
    async fn find_touched<'a>(&self, changes: &'a [PathChange]) -> Result<Vec<&'a PathChange>> {
        let args = ["diff-files", "-z", "--name-only", "--ignore-submodules=dirty"];
        let listed = self.git.call("find the changed files", args).bytes().await?;
        let differing: BTreeSet<&Path> = fields(&listed).map(from_bytes).collect();
        let is_touched = |change: &&PathChange| match change.is_in_old {
            true => differing.contains(change.path.as_path()),
            false => {
                !change.is_submodule && self.path.join(&change.path).symlink_metadata().is_ok()
            }
        };
        Ok(changes.iter().filter(is_touched).collect())
    }

    /// Whether a file can be replaced without loss: the file is gone, or has the commit's content or the beginning of
    /// this content.
    async fn is_of_commit(&self, commit: &str, change: &PathChange) -> Result<bool> {
        let path = self.path.join(&change.path);
        let there = match path.symlink_metadata() {
            Ok(there) => there,
            Err(error) if is_absent(&error) => return Ok(true),
            Err(error) => return Err(error).doing("examine", &path),
        };
        if there.is_dir() {
            // In place of an old file, git has made a directory for the new files.
            return Ok(change.is_submodule || !change.is_in_new);
        }
        if !change.is_in_new || !(there.is_file() || there.is_symlink()) {
            return Ok(false);
        }
        let on_disk = match there.is_symlink() {
            true => to_bytes(&fs::read_link(&path).doing("read", &path)?).to_vec(),
            false => fs::read(&path).doing("read", &path)?,
        };
        let mut name = format!("{commit}:").into_bytes();
        name.extend_from_slice(to_bytes(&change.path));
        let kind = if there.is_symlink() { "blob" } else { "--filters" };
        let args = ["cat-file".as_ref(), kind.as_ref(), from_bytes(&name).as_os_str()];
        let answer = self.git.call("read the new file", args).answer().await?;
        Ok(answer.ok() && answer.output.stdout.starts_with(&on_disk))
    }

    /// Writes the files of the index again, and removes files missing in the index.
    async fn restore(&self, touched: &[&PathChange]) -> Result<()> {
        for change in touched.iter().filter(|change| !change.is_in_old) {
            let path = self.path.join(&change.path);
            if let Err(error) = fs::remove_file(&path)
                && !is_absent(&error)
            {
                return Err(error).doing("remove", &path);
            }
            remove_empty_parents(&self.path, &change.path);
        }
        for change in touched.iter().filter(|change| change.is_in_old) {
            // Git would remove a directory in place of a file, with all files in it.
            let path = self.path.join(&change.path);
            if path.symlink_metadata().is_ok_and(|there| there.is_dir()) && !change.is_submodule {
                fs::remove_dir(&path).doing("remove the directory", &path)?;
            }
        }
        let mut names = Vec::new();
        for change in touched.iter().filter(|change| change.is_in_old && !change.is_submodule) {
            names.extend_from_slice(to_bytes(&change.path));
            names.push(0);
        }
        if names.is_empty() {
            return Ok(());
        }
        let args = ["checkout-index", "-f", "-u", "-z", "--stdin"];
        self.git.call("restore the files", args).stdin(names).bytes().await.map(drop)
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Removes the directories of a removed file, as git does, as far as they are empty.
fn remove_empty_parents(top: &Path, removed: &Path) {
    let above: Vec<PathBuf> = removed
        .ancestors()
        .skip(1)
        .filter(|p| !p.as_os_str().is_empty())
        .map(|p| top.join(p))
        .collect();
    for directory in above {
        if fs::remove_dir(&directory).is_err() {
            return;
        }
    }
}
