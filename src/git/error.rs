//! Errors of the repository, of git or of a slot.
//!
//! All of them are attempt errors of ours, except [`WorkspaceError::Unmeasurable`], which concerns
//! the files left by an attempt and goes into its verdict.

use std::io;
use std::path::{Path, PathBuf};

use super::OLDEST_GIT;
use crate::process::ToolError;

/// Error of the repository, of git or of a slot.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// Git is not installed.
    #[error("git is not installed, or not on PATH; autopack needs git {}.{} or later", OLDEST_GIT.0, OLDEST_GIT.1)]
    GitMissing,
    /// Git could not be started, or was stopped.
    #[error("cannot run git to {doing}: {source}")]
    GitUnusable {
        /// The operation; completes "cannot ...".
        doing: String,
        /// The error of the process.
        source: ToolError,
    },
    /// Git failed.
    #[error("cannot {doing}: git says: {stderr}")]
    Git {
        /// The operation; completes "cannot ...".
        doing: String,
        /// Exit code; `None` after a signal.
        code: Option<i32>,
        /// Message from git.
        stderr: String,
    },
    /// The program is shutting down.
    #[error("cannot {doing}: autopack is shutting down")]
    ShuttingDown {
        /// The operation; completes "cannot ...".
        doing: String,
    },
    /// Git succeeded with output of an unknown form.
    #[error("cannot {doing}: unexpected answer from git: {answer}")]
    OddAnswer {
        /// The operation; completes "cannot ...".
        doing: String,
        /// Output from git.
        answer: String,
    },

    /// The directory is in no repository.
    #[error("{dir} is not in a git repository", dir = .0.display())]
    NotARepository(PathBuf),
    /// The repository has no checkout.
    #[error("{dir} is a bare git repository, without a checkout", dir = .0.display())]
    Bare(PathBuf),
    /// The directory is inside a git directory.
    #[error("{dir} is inside a .git directory", dir = .0.display())]
    InsideGitDir(PathBuf),
    /// Git does not trust the owner of the repository.
    #[error(
        "git refuses to work in {dir}, because another user owns it; if you trust it, run: \
         git config --global --add safe.directory {dir}", dir = dir.display()
    )]
    NotTrusted {
        /// Path of the directory.
        dir: PathBuf,
    },
    /// The repository's path cannot be used.
    #[error(
        "the path {dir:?} contains a line break, and git's alternates do not support it; move the repository"
    )]
    OddPath {
        /// Path of the directory.
        dir: PathBuf,
    },

    /// The base of a new run is no commit of the repository.
    #[error(
        "cannot start the run's branch at {base:?}: the repository has no such commit; name another with --base"
    )]
    UnknownBase {
        /// The requested revision.
        base: String,
    },
    /// The user has a branch with the name of the run's branch.
    #[error(
        "branch {branch} already exists and does not belong to this run; rename it \
         (git branch -m {branch} OTHER) or import the plan under another --run-id"
    )]
    BranchNotOurs {
        /// Name of the run's branch.
        branch: String,
    },
    /// The run's branch was deleted.
    #[error(
        "the run's branch {branch} is gone; restore it ({remedy}), or remove the run",
        remedy = restore_command(branch, base_commit, last_landed.as_deref())
    )]
    BranchGone {
        /// Name of the run's branch.
        branch: String,
        /// Commit the run started at.
        base_commit: String,
        /// The last landed commit, from the store.
        last_landed: Option<String>,
    },
    /// Another branch makes the name of the run's branch impossible.
    #[error(
        "cannot create the branch {branch}, because a branch {blocked_by} exists and git does not allow both names; \
         rename {blocked_by} (git branch -m {blocked_by} OTHER)"
    )]
    BranchBlocked {
        /// Name of the run's branch.
        branch: String,
        /// The other branch.
        blocked_by: String,
    },
    /// `workspace.remote` names no remote of the repository.
    #[error(
        "workspace.remote names {remote:?}, which is no remote of this repository; `git remote -v` lists them"
    )]
    UnknownRemote {
        /// The configured name.
        remote: String,
    },
    /// The run's branch was deleted at the remote.
    #[error(
        "the run's branch {branch} is gone at {remote}; restore it (git push {remote} COMMIT:refs/heads/{branch}, with the \
         last landed commit), or remove the run"
    )]
    RemoteBranchGone {
        /// Name of the remote.
        remote: String,
        /// Name of the run's branch.
        branch: String,
    },
    /// Somebody else has a branch with the name of the run's branch at the remote.
    #[error(
        "branch {branch} already exists at {remote} and does not belong to this run; delete it there \
         (git push {remote} --delete {branch}) or import the plan under another --run-id"
    )]
    RemoteBranchNotOurs {
        /// Name of the remote.
        remote: String,
        /// Name of the run's branch.
        branch: String,
    },
    /// The remote cannot be the place of runs.
    #[error(
        "{remote} cannot hold runs: {why}; use another remote, or leave workspace.remote empty and drain in one clone"
    )]
    UnfitRemote {
        /// Name of the remote.
        remote: String,
        /// What the server lacks.
        why: String,
    },
    /// A ref is locked by a file.
    #[error(
        "cannot {doing}: another git process holds {lock}, or left it when it died; if no git is running, remove the file",
        lock = lock.display()
    )]
    RefLocked {
        /// The operation; completes "cannot ...".
        doing: String,
        /// Path of the lock file.
        lock: PathBuf,
    },

    /// Every place for slots was refused.
    #[error(
        "no directory is usable for the checkouts of agents and CI: {why}; set workspace.slots_dir to a directory \
         outside of every git work tree"
    )]
    NoPlaceForSlots {
        /// The reason.
        why: String,
    },
    /// A setting of `workspace` has an invalid pattern or path.
    #[error("{key}: {pattern:?} {why}")]
    BadSetting {
        /// Name of the setting.
        key: &'static str,
        /// The rejected value.
        pattern: String,
        /// The reason.
        why: String,
    },
    /// A file operation failed.
    #[error("cannot {doing} {path}: {source}", path = path.display())]
    Io {
        /// The operation; completes "cannot ...".
        doing: &'static str,
        /// Path of the file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The slot directory was deleted as a whole; usually by a cleanup, not by an agent.
    #[error("the slot {dir} was removed while an attempt worked in it; the work is lost", dir = dir.display())]
    SlotGone {
        /// Path of the directory.
        dir: PathBuf,
    },
    /// A dependency directory of the user's checkout changed after an agent started, and no copy of the earlier state
    /// is left.
    #[error(
        "{path} in your checkout changed after an agent started, and there is no earlier copy for CI; check the \
         directory, then start the drain again"
    )]
    DependenciesChanged {
        /// Path of the directory, relative to the checkout's top.
        path: String,
    },
    /// The slot with this number has not been reset yet.
    #[error("slot {0} was not reset before it was used")]
    NotReset(u32),

    /// Objects of the commit are missing, because the repository is a partial clone.
    #[error(
        "cannot fill the slot: this is a partial clone without all files of {commit} ({stderr}); \
         fetch them once: git -C {root} archive {commit} >/dev/null", root = root.display()
    )]
    PartialClone {
        /// Top of the user's checkout.
        root: PathBuf,
        /// The incomplete commit.
        commit: String,
        /// Message from git.
        stderr: String,
    },
    /// The files left by an attempt cannot be read; `why` has the reason. This is a failure of the attempt, not of
    /// autopack.
    #[error("cannot read the files left by the attempt: {why}")]
    Unmeasurable {
        /// The reason.
        why: String,
    },
}

/// Returns the command to restore the branch. Restoring it at the run's base commit would lose the landed commits.
fn restore_command(branch: &str, base: &str, last_landed: Option<&str>) -> String {
    match last_landed {
        Some(commit) => format!("git branch {branch} {commit}, the last landed commit"),
        None => format!("git branch {branch} COMMIT; the run started at {base}"),
    }
}

/// Result of an operation on the repository.
pub type Result<T> = std::result::Result<T, WorkspaceError>;

/// Adds the operation and the path to an I/O error.
pub(crate) trait Context<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| WorkspaceError::Io { doing, path: path.to_owned(), source })
    }
}

impl WorkspaceError {
    /// Returns a suggestion for the user, if the message has none.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotARepository(_) => Some(
                "run autopack in a repository, or name one with --workspace; `git init` creates one",
            ),
            Self::Bare(_) => Some("clone it, and name the clone with --workspace"),
            Self::InsideGitDir(_) => Some("name the checkout with --workspace"),
            _ => None,
        }
    }

    /// Whether the error concerns the attempt rather than autopack.
    pub fn is_caused_by_attempt(&self) -> bool {
        matches!(self, Self::Unmeasurable { .. }) && !self.is_disk_full()
    }

    /// Whether git met a full disk or a full quota. Git ends a line with the C library's message; elsewhere in a
    /// line, the same words can be a file name.
    pub fn is_disk_full(&self) -> bool {
        let (Self::Git { stderr, .. } | Self::Unmeasurable { why: stderr }) = self else {
            return false;
        };
        let words = ["No space left on device", "Disk quota exceeded"];
        stderr.split("; ").any(|line| words.iter().any(|words| line.ends_with(words)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_not_caused_by_the_attempt() {
        let why = |why: &str| WorkspaceError::Unmeasurable { why: why.to_owned() };
        let full = why(
            "error: unable to write loose object file: No space left on device; error: a.txt: failed to insert into \
             database; fatal: adding files failed",
        );
        assert!(full.is_disk_full() && !full.is_caused_by_attempt());
        let named = why("error: open(\"No space left on device\"): Permission denied");
        assert!(!named.is_disk_full() && named.is_caused_by_attempt());
    }
}
