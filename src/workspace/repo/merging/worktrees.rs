//! The user's worktrees: the branch checked out in each, and operations of git under way there.

use std::fs;
use std::path::{Path, PathBuf};

use crate::git::command::Git;
use crate::git::error::Result;
use crate::git::path_bytes::from_bytes;
use crate::workspace::repo::Repo;

/// Files and directories in a git directory during an operation, with the operation's name and the commands to end it.
const OPERATIONS: [(&str, &str, &str); 7] = [
    ("rebase-merge", "rebase", "git rebase --continue or --abort"),
    ("rebase-apply", "rebase", "git rebase --continue or --abort"),
    ("MERGE_HEAD", "merge", "git merge --continue or --abort"),
    ("CHERRY_PICK_HEAD", "cherry-pick", "git cherry-pick --continue or --abort"),
    ("REVERT_HEAD", "revert", "git revert --continue or --abort"),
    ("sequencer", "cherry-pick or revert", "git cherry-pick --continue or --abort"),
    ("BISECT_LOG", "bisect", "git bisect reset"),
];
/// Files naming the branches to be moved at the end of an operation.
const BRANCHES_OF_OPERATIONS: [&str; 4] = [
    "rebase-merge/head-name",
    "rebase-merge/update-refs",
    "rebase-apply/head-name",
    "BISECT_START",
];

/// An operation of git waiting for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PendingOperation {
    /// Name, as in `git rebase`.
    pub name: &'static str,
    /// Commands to end the operation.
    pub end: &'static str,
}

/// A worktree of the user's repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Worktree {
    /// Top of the worktree.
    pub path: PathBuf,
    /// Git directory of this worktree; `None` if the worktree is not there, as on a medium not present.
    pub git_dir: Option<PathBuf>,
    /// Full name of the branch checked out; `None` for a detached HEAD.
    pub branch: Option<String>,
}

impl Worktree {
    /// Returns the operation under way.
    pub fn pending_operation(&self) -> Option<PendingOperation> {
        let git_dir = self.git_dir.as_ref()?;
        let there = OPERATIONS.iter().find(|(file, ..)| git_dir.join(file).exists());
        there.map(|(_, name, end)| PendingOperation { name, end })
    }

    /// Whether an operation under way will move this branch, or return to it.
    pub fn operates_on(&self, branch: &str) -> bool {
        let Some(git_dir) = &self.git_dir else { return false };
        let short = branch.trim_start_matches("refs/heads/");
        BRANCHES_OF_OPERATIONS.iter().any(|file| {
            let text = fs::read_to_string(git_dir.join(file)).unwrap_or_default();
            text.lines().any(|line| line == branch || line == short)
        })
    }
}

impl Repo {
    /// Lists the worktrees of the repository.
    ///
    /// # Errors
    /// If git fails.
    pub(super) async fn worktrees(&self) -> Result<Vec<Worktree>> {
        let args = ["worktree", "list", "--porcelain", "-z"];
        let listed = self.git.call("list the worktrees", args).bytes().await?;
        let mut all = parse(&listed);
        for worktree in &mut all {
            worktree.git_dir = self.git_dir_of(&worktree.path).await?;
            // For a submodule or a separate git directory, git lists the git directory as the path.
            if worktree.git_dir.as_ref() == Some(&self.git_dir) {
                worktree.path.clone_from(&self.root);
            }
        }
        Ok(all)
    }

    async fn git_dir_of(&self, path: &Path) -> Result<Option<PathBuf>> {
        if path == self.root {
            return Ok(Some(self.git_dir.clone()));
        }
        if !path.is_dir() {
            return Ok(None);
        }
        let ask = async |argument: &'static str| {
            let call = Git::at(path, &self.env).call("find the worktree", ["rev-parse", argument]);
            let answer = call.answer().await?;
            Ok(if answer.ok() { Some(PathBuf::from(answer.text()?)) } else { None })
        };
        let git_dir: Option<PathBuf> = ask("--absolute-git-dir").await?;
        let is_ours = git_dir.as_ref() == Some(&self.git_dir);
        // In a git directory, git has no worktree.
        let has_files = is_ours || ask("--show-toplevel").await?.is_some();
        Ok(git_dir.filter(|_| has_files))
    }

    /// Returns the full name of the branch checked out here; `None` for a detached HEAD. The branch may have no commit
    /// yet.
    ///
    /// # Errors
    /// If git fails.
    pub(in crate::workspace) async fn current_branch(&self) -> Result<Option<String>> {
        let call = self.git.call("read HEAD", ["symbolic-ref", "--quiet", "HEAD"]);
        let answer = call.answer().await?;
        match answer.output.code {
            Some(0) => answer.text().map(Some),
            Some(1) => Ok(None),
            _ => Err(answer.error()),
        }
    }
}

/// Parses `git worktree list --porcelain -z`: a field for each attribute, and an empty field after each worktree.
fn parse(listed: &[u8]) -> Vec<Worktree> {
    let mut all: Vec<Worktree> = Vec::new();
    for field in listed.split(|b| *b == 0) {
        if let Some(path) = field.strip_prefix(b"worktree ") {
            let path = from_bytes(path).to_owned();
            all.push(Worktree { path, git_dir: None, branch: None });
        } else if let (Some(branch), Some(last)) = (field.strip_prefix(b"branch "), all.last_mut())
        {
            last.branch = Some(String::from_utf8_lossy(branch).into_owned());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worktrees_have_a_path_and_at_most_a_branch() {
        let listed =
            b"worktree /a b\0HEAD 1\0branch refs/heads/main\0\0worktree /c\0HEAD 2\0detached\0\0";
        let all = parse(listed);
        let shown: Vec<_> =
            all.iter().map(|w| (w.path.to_str().unwrap(), w.branch.as_deref())).collect();
        assert_eq!(shown, [("/a b", Some("refs/heads/main")), ("/c", None)]);
    }

    #[test]
    fn a_rebase_moves_its_branch_and_a_bisect_returns_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let worktree =
            Worktree { path: PathBuf::new(), git_dir: Some(dir.path().to_owned()), branch: None };
        assert_eq!(worktree.pending_operation(), None);
        fs::create_dir(dir.path().join("rebase-merge")).unwrap();
        fs::write(dir.path().join("rebase-merge/head-name"), "refs/heads/main\n").unwrap();
        assert!(worktree.operates_on("refs/heads/main") && !worktree.operates_on("refs/heads/m"));
        assert_eq!(worktree.pending_operation().unwrap().name, "rebase");
        fs::write(dir.path().join("BISECT_START"), "other\n").unwrap();
        assert!(worktree.operates_on("refs/heads/other"));
    }
}
