//! The branch to merge a run into, and the reasons to refuse a branch.

use std::path::Path;

use super::interrupted_move::Recovery;
use super::locked_checkout::LockedCheckout;
use super::refusal::{Answer, refuse, reject};
use super::worktrees::Worktree;
use crate::git::error::Result;
use crate::phase::words::{find_similar, first_few, quoted};
use crate::workspace::repo::Repo;

/// Branches named in a message; the rest are counted.
const NAMED: usize = 8;
const HEADS: &str = "refs/heads/";

/// Branch to merge a run into.
pub struct MergeTarget {
    /// Full name of the branch.
    pub branch: String,
    /// Commit of the branch; `None` for a branch without commits.
    pub commit: Option<String>,
    /// What became of a merge into this branch that was interrupted earlier.
    pub recovery: Option<Recovery>,
    /// Worktree with the branch checked out.
    pub(super) checkout: Option<LockedCheckout>,
}

impl MergeTarget {
    /// Returns the name without `refs/heads/`.
    pub fn short(&self) -> &str {
        self.branch.strip_prefix(HEADS).unwrap_or(&self.branch)
    }

    /// Returns the worktree with the branch checked out.
    pub fn worktree(&self) -> Option<&Path> {
        self.checkout.as_ref().map(|checkout| checkout.path.as_path())
    }
}

impl Repo {
    /// Chooses the branch to merge into: the named branch, else the branch checked out here.
    ///
    /// # Errors
    /// If git fails.
    pub async fn merge_target(&self, into: Option<&str>) -> Result<Answer<MergeTarget>> {
        let branch = match into {
            Some(name) => {
                let branch = format!("{HEADS}{}", name.strip_prefix(HEADS).unwrap_or(name));
                let check = self.git.call("check the name", ["check-ref-format", &branch]);
                if !check.answer().await?.ok() {
                    return reject(
                        format!("{name:?} is no name of a branch"),
                        "name a branch with --into BRANCH",
                    );
                }
                self.real_branch(branch).await?
            }
            None => match self.current_branch().await? {
                Some(branch) => branch,
                None => {
                    return reject(
                        "no branch is checked out here (detached HEAD)",
                        "name the branch to merge into with --into BRANCH",
                    );
                }
            },
        };
        let short = branch.strip_prefix(HEADS).unwrap_or(&branch);
        if self.is_run_branch(short).await? {
            let remedy = match into {
                Some(_) => "name a branch of yours with --into BRANCH",
                None => "switch to the branch to merge into, or name it with --into BRANCH",
            };
            return reject(format!("{short} is the branch of a run"), remedy);
        }
        let worktrees = self.worktrees().await?;
        let holders: Vec<&Worktree> =
            worktrees.iter().filter(|w| w.branch.as_deref() == Some(&branch)).collect();
        let commit = self.resolve(&branch).await?;
        if commit.is_none() && holders.is_empty() {
            return self.reject_unknown(short).await;
        }
        for worktree in &worktrees {
            let holds = worktree.branch.as_deref() == Some(&branch);
            if let Some(operation) = worktree.pending_operation()
                && (holds || worktree.operates_on(&branch))
            {
                return refuse(
                    format!("a {} is under way in {}", operation.name, worktree.path.display()),
                    format!("end it first: {}", operation.end),
                );
            }
        }
        let mut target =
            MergeTarget { branch: branch.clone(), commit, recovery: None, checkout: None };
        match holders.as_slice() {
            [] => Ok(Ok(target)),
            [Worktree { path, git_dir: Some(git_dir), .. }] => {
                let (mut checkout, interrupted) = match LockedCheckout::lock(self, path, git_dir)? {
                    Ok(locked) => locked,
                    Err(refusal) => return Ok(Err(refusal)),
                };
                if let Some(interrupted) = interrupted {
                    target.recovery = match self.recover_move(&checkout, &interrupted).await? {
                        Ok(recovery) => recovery,
                        Err(refusal) => return Ok(Err(refusal)),
                    };
                    checkout.end_move()?;
                    target.commit = self.resolve(&branch).await?;
                }
                target.checkout = Some(checkout);
                Ok(Ok(target))
            }
            [absent] => refuse(
                format!(
                    "{short} is checked out in {}, and this worktree is not there",
                    absent.path.display()
                ),
                "bring it back, or forget it with `git worktree prune`",
            ),
            [one, other, ..] => refuse(
                format!(
                    "{short} is checked out twice: in {} and {}",
                    one.path.display(),
                    other.path.display()
                ),
                "switch one of them to another branch",
            ),
        }
    }

    /// Returns the branch that a symbolic branch stands for, such as `master` for `main` after a rename.
    async fn real_branch(&self, branch: String) -> Result<String> {
        let call = self.git.call("read the branch", ["symbolic-ref", "--quiet", &branch]);
        let answer = call.answer().await?;
        if answer.ok() { answer.text() } else { Ok(branch) }
    }

    /// Whether autopack created this branch for a run.
    pub(super) async fn is_run_branch(&self, short: &str) -> Result<bool> {
        let Some(run) = short.strip_prefix("autopack/") else { return Ok(false) };
        Ok(self.resolve(&format!("refs/autopack/bases/{run}")).await?.is_some())
    }

    /// Lists the user's branches, without the branches of runs.
    ///
    /// # Errors
    /// If git fails.
    pub async fn users_branches(&self) -> Result<Vec<String>> {
        let args = ["for-each-ref", "--format=%(refname:lstrip=2)", HEADS];
        let listed = self.git.call("list the branches", args).text().await?;
        let users = listed.lines().filter(|name| !name.starts_with("autopack/"));
        Ok(users.map(str::to_owned).collect())
    }

    async fn reject_unknown<T>(&self, short: &str) -> Result<Answer<T>> {
        let branches = self.users_branches().await?;
        let known: Vec<&str> = branches.iter().map(String::as_str).collect();
        let remedy = match (find_similar(short, &known), known.as_slice()) {
            (Some(similar), _) => format!("did you mean {similar}?"),
            (None, []) => format!("create it: git branch {} COMMIT", quoted(short)),
            (None, known) => format!(
                "branches: {}; create another with `git branch {}`",
                first_few(known, NAMED),
                quoted(short)
            ),
        };
        reject(format!("no branch is called {short}"), remedy)
    }
}
