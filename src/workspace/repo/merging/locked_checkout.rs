//! A worktree locked for a merge, with the log of the move under way.
//!
//! The log is a file in the worktree's git directory, beside git's own `MERGE_HEAD`. It is also the lock of the merge:
//! the git processes started here inherit the lock, so nobody continues while one of them still works.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::refusal::{Answer, refuse};
use crate::git::command::Git;
use crate::git::error::{Context, Result};
use crate::process::FileLock;
use crate::workspace::repo::Repo;

const MOVE_LOG: &str = "AUTOPACK_MERGE";

/// A move of a branch and of the files of its worktree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BranchMove {
    /// Full name of the branch.
    pub branch: String,
    /// Commit before; all zeros for a branch without commits.
    pub old: String,
    /// Commit after.
    pub new: String,
}

/// A worktree with files to update together with its branch, locked for this merge.
pub(super) struct LockedCheckout {
    /// Top of the worktree.
    pub path: PathBuf,
    /// Git directory of this worktree.
    pub git_dir: PathBuf,
    /// Git for this worktree.
    pub git: Git,
    lock: FileLock,
    /// Whether the log has a move; the file is kept then.
    is_move_pending: bool,
}

impl Drop for LockedCheckout {
    fn drop(&mut self) {
        if !self.is_move_pending {
            // A leftover empty file is harmless.
            let _ = fs::remove_file(self.lock.path());
        }
    }
}

impl LockedCheckout {
    /// Locks a worktree. Also returns the interrupted move, if the log has one.
    pub fn lock(
        repo: &Repo,
        path: &Path,
        git_dir: &Path,
    ) -> Result<Answer<(Self, Option<BranchMove>)>> {
        let file = git_dir.join(MOVE_LOG);
        let Some(mut lock) = FileLock::try_lock(&file).doing("lock", &file)? else {
            return refuse(
                format!("another autopack merge works in {}", path.display()),
                "wait for its end, then merge again",
            );
        };
        let text = lock.read().doing("read", &file)?;
        let held = lock.fd().doing("pass on the lock", &file)?;
        let mut git = Git::at(path, &repo.env).pinned(git_dir, path).durable().holding(held);
        repo.config.identity.set(&mut git);
        // A log that cannot be read was killed while it was written: nothing had changed then.
        let interrupted: Option<BranchMove> = serde_json::from_str(&text).ok();
        let is_move_pending = interrupted.is_some();
        let (path, git_dir) = (path.to_owned(), git_dir.to_owned());
        Ok(Ok((Self { path, git_dir, git, lock, is_move_pending }, interrupted)))
    }

    /// Records a move durably, before the first change.
    pub fn begin_move(&mut self, begun: &BranchMove) -> Result<()> {
        self.is_move_pending = true;
        self.write_log(&serde_json::json!(begun).to_string()).doing("write", self.lock.path())
    }

    /// Records that no move is pending.
    pub fn end_move(&mut self) -> Result<()> {
        let file = self.lock.path().to_owned();
        self.lock.write("").doing("empty", &file)?;
        self.is_move_pending = false;
        Ok(())
    }

    fn write_log(&mut self, text: &str) -> io::Result<()> {
        self.lock.write(text)?;
        File::open(self.lock.path())?.sync_all()?;
        File::open(&self.git_dir)?.sync_all()
    }

    /// Returns git's lock of the index, if it exists: git works in the worktree, or was killed there.
    pub fn index_lock(&self) -> Option<PathBuf> {
        Some(self.git_dir.join("index.lock")).filter(|lock| lock.exists())
    }

    /// Reads the times of the files into the index, so that unchanged files count as unchanged.
    pub async fn refresh_index(&self) -> Result<()> {
        let args = ["update-index", "-q", "--refresh", "--ignore-submodules"];
        // The exit code tells of changed files; they are looked for elsewhere.
        self.git.call("refresh the index", args).answer().await.map(drop)
    }
}

impl Repo {
    /// Moves the branch by compare-and-swap. Returns `false` if the branch is at a third commit.
    pub(super) async fn swap_branch(
        &self,
        git: &Git,
        wanted: &BranchMove,
        reason: &str,
    ) -> Result<bool> {
        let BranchMove { branch, old, new } = wanted;
        let args = ["update-ref", "--no-deref", "-m", reason, branch, new, old];
        let answer = git.call("move the branch", args).answer().await?;
        let now = match answer.ok() {
            true => return Ok(true),
            false => self.resolve(branch).await?.unwrap_or_else(|| self.zero()),
        };
        match now {
            now if now == *new => Ok(true),
            now if now == *old => Err(crate::git::refs::ref_error(answer)),
            _ => Ok(false),
        }
    }

    /// Returns the tree of the files before a move.
    pub(super) async fn tree_before(&self, of: &BranchMove) -> Result<String> {
        match of.old == self.zero() {
            true => self.empty_tree().await,
            false => Ok(of.old.clone()),
        }
    }
}
