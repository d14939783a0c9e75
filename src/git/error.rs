//! What can be wrong with the repository, with git or with a slot.
//!
//! All of it is our trouble, except [`WorkspaceError::Unmeasurable`]: that one is about what an
//! attempt left behind, and belongs into its verdict.

use std::io;
use std::path::{Path, PathBuf};

use super::command::OLDEST_GIT;
use crate::process::ToolError;

#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    #[error("git is not installed, or not on PATH; autopack needs git {}.{} or later", OLDEST_GIT.0, OLDEST_GIT.1)]
    GitMissing,
    #[error("cannot run git to {doing}: {source}")]
    GitUnusable { doing: String, source: ToolError },
    #[error("cannot {doing}: git says: {said}")]
    Git { doing: String, code: Option<i32>, said: String },
    #[error("cannot {doing}: autopack is shutting down")]
    ShuttingDown { doing: String },
    #[error("cannot {doing}: git answered something unexpected: {answer}")]
    OddAnswer { doing: String, answer: String },

    #[error("{dir} is in no git repository", dir = .0.display())]
    NotARepository(PathBuf),
    #[error("{dir} is a bare git repository, without a checkout", dir = .0.display())]
    Bare(PathBuf),
    #[error("{dir} lies inside a .git folder", dir = .0.display())]
    InsideGitDir(PathBuf),
    #[error(
        "git refuses to work in {dir}, since somebody else owns it; if you trust it: \
         git config --global --add safe.directory {dir}", dir = dir.display()
    )]
    NotTrusted { dir: PathBuf },
    #[error(
        "the path {dir:?} has a line break in it, which git's alternates cannot hold; move the repository"
    )]
    OddPath { dir: PathBuf },

    #[error(
        "cannot start the run's branch at {base:?}: no such commit here; name another with --base"
    )]
    UnknownBase { base: String },
    #[error(
        "a branch {branch} is there already, and it is not this run's; rename it \
         (git branch -m {branch} OTHER) or import the plan under another --run-id"
    )]
    BranchNotOurs { branch: String },
    /// `last_landed` is the store's to know.
    #[error(
        "the run's branch {branch} is gone; bring it back ({cure}), or remove the run",
        cure = bring_back(branch, base_commit, last_landed.as_deref())
    )]
    BranchGone { branch: String, base_commit: String, last_landed: Option<String> },
    #[error(
        "cannot make the branch {branch}, since a branch {blocked_by} is there and git keeps both \
         in one tree of names; rename that one (git branch -m {blocked_by} OTHER)"
    )]
    BranchBlocked { branch: String, blocked_by: String },
    #[error(
        "cannot {doing}: another git holds {lock}, or one died and left it; if no git is running, remove it",
        lock = lock.display()
    )]
    RefLocked { doing: String, lock: PathBuf },

    #[error(
        "there is no place for the copies that agents and CI work in: {why}; name one outside of every git work tree \
         with workspace.slots_dir"
    )]
    NoPlaceForSlots { why: String },
    #[error("{key}: {pattern:?} {why}")]
    BadSetting { key: &'static str, pattern: String, why: String },
    #[error("cannot {doing} {path}: {source}", path = path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    /// All of it: not an agent's doing, as a rule, but that of whoever tidies up.
    #[error("the slot {dir} was removed while an attempt worked in it; what it did is lost", dir = dir.display())]
    SlotGone { dir: PathBuf },
    #[error("slot {0} was not reset before it was used")]
    NotReset(u32),

    #[error(
        "cannot fill the slot: this is a partial clone, and files of {commit} are not here ({said}); \
         fetch them once: git -C {root} archive {commit} >/dev/null", root = root.display()
    )]
    PartialClone { root: PathBuf, commit: String, said: String },
    /// What an attempt left cannot be read; says why. A failure of the attempt, not of ours.
    #[error("what the attempt left behind cannot be read: {why}")]
    Unmeasurable { why: String },
}

/// Whoever begins it where the run began loses what has landed.
fn bring_back(branch: &str, base: &str, last_landed: Option<&str>) -> String {
    match last_landed {
        Some(commit) => format!("git branch {branch} {commit}, which landed last"),
        None => format!("git branch {branch} COMMIT; the run began at {base}"),
    }
}

pub type Result<T> = std::result::Result<T, WorkspaceError>;

/// Names what was being done, and on what, in an I/O error.
pub(crate) trait Context<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| WorkspaceError::Io { doing, path: path.to_owned(), source })
    }
}

impl WorkspaceError {
    /// What to do about it, where the text does not say so.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotARepository(_) => {
                Some("run it inside one, or name it with --workspace; `git init` makes one")
            }
            Self::Bare(_) => Some("clone it, and name the clone with --workspace"),
            Self::InsideGitDir(_) => Some("name the checkout with --workspace"),
            _ => None,
        }
    }

    /// Whether it tells something about the attempt rather than about us.
    pub fn is_about_the_attempt(&self) -> bool {
        matches!(self, Self::Unmeasurable { .. }) && !self.is_about_space()
    }

    /// Git met a full disk, or a full quota: it ends a line with the words of the C library. Within a line they may be
    /// a file's name.
    pub fn is_about_space(&self) -> bool {
        let (Self::Git { said, .. } | Self::Unmeasurable { why: said }) = self else {
            return false;
        };
        let words = ["No space left on device", "Disk quota exceeded"];
        said.split("; ").any(|line| words.iter().any(|words| line.ends_with(words)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_no_fault_of_the_attempt() {
        let why = |why: &str| WorkspaceError::Unmeasurable { why: why.to_owned() };
        let full = why(
            "error: unable to write loose object file: No space left on device; error: a.txt: failed to insert into \
             database; fatal: adding files failed",
        );
        assert!(full.is_about_space() && !full.is_about_the_attempt());
        let named = why("error: open(\"No space left on device\"): Permission denied");
        assert!(!named.is_about_space() && named.is_about_the_attempt());
    }
}
