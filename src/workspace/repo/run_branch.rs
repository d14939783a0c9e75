//! The branch of a run: creation, lookup, and landing while the user has the branch checked out.
//!
//! In addition to `refs/heads/autopack/<run>`, autopack keeps two refs. `refs/autopack/bases/<run>`
//! records the branch as created by autopack, with its base commit. `refs/autopack/runs/<run>`
//! receives the landings while the branch is checked out somewhere; the branch catches up when it
//! is free.

use std::collections::HashSet;
use std::path::PathBuf;

use super::Repo;
use super::run_refs::{Refs, RunRefNames};
use crate::git::error::{Result, WorkspaceError};
use crate::phase::{PhaseId, RunId};
use crate::workspace::slot::message_text::trailer;

/// Record of a run's branch in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunBranch {
    /// Name, without `refs/heads/`.
    pub branch: String,
    /// Commit the branch was created at.
    pub base_commit: String,
}

/// The latest commit of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Id of the commit.
    pub commit: String,
    /// The ref with this commit; the next landing may use another ref.
    pub on: String,
    /// The worktree with the branch checked out: meanwhile, landings go to `refs/autopack/runs/<run>`.
    pub held_by: Option<PathBuf>,
    /// Whether the user committed to the branch while landings went to the other ref; only the user can merge the
    /// two.
    pub diverged: bool,
    /// Whether a tag has the same name as the branch; git prefers the tag when given the short name.
    pub shadowed: bool,
}

/// Result of updating the branch to the run's tip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BranchUpdate {
    /// The branch was already at the tip.
    UpToDate,
    /// The branch was moved to the tip.
    Moved,
    /// The branch is still checked out in this worktree.
    Held(PathBuf),
    /// The branch has commits of its own and was not moved.
    Diverged,
    /// The branch was not made by autopack in this clone, and was not moved to the tip at the remote.
    NotOurs,
}

impl RunBranch {
    /// Returns the name of a run's branch.
    pub fn name_of(run: &RunId) -> String {
        RunRefNames::of(run).short()
    }
}

impl Repo {
    /// Chooses the base of a run without a branch. Creates no ref: the caller records the result first, so that a
    /// crash leaves no unknown branch ([`make_branch`](Self::make_branch)).
    ///
    /// # Errors
    /// If the base is no commit, or the branch name is taken.
    pub async fn plan_branch(&self, run: &RunId, base: Option<&str>) -> Result<RunBranch> {
        let names = RunRefNames::of(run);
        if self.run_refs(&names).await?.branch.is_some() {
            return Err(WorkspaceError::BranchNotOurs { branch: names.short() });
        }
        let base_commit = match (self.resolve(base.unwrap_or("HEAD")).await?, base) {
            (Some(commit), _) => commit,
            (None, Some(base)) => {
                return Err(WorkspaceError::UnknownBase { base: base.to_owned() });
            }
            (None, None) => self.empty_root().await?,
        };
        Ok(RunBranch { branch: names.short(), base_commit })
    }

    /// Creates the branch of a recorded run, unless it was created before. Returns the run's tip.
    ///
    /// # Errors
    /// If the branch is gone, blocked, or not this run's.
    pub async fn make_branch(&self, run: &RunId, recorded: &RunBranch) -> Result<Tip> {
        let names = RunRefNames::of(run);
        let refs = self.run_refs(&names).await?;
        match (&refs.branch, &refs.base) {
            (Some(_), _) => return self.tip_of(&names, &refs).await,
            // Landings in the other ref continue without the branch.
            (None, Some(_)) if refs.beside.is_some() => return self.tip_of(&names, &refs).await,
            (None, Some(_)) => {
                return Err(WorkspaceError::BranchGone {
                    branch: names.short(),
                    base_commit: recorded.base_commit.clone(),
                    last_landed: None,
                });
            }
            (None, None) => {}
        }
        let new = &recorded.base_commit;
        let orders = format!("create {} {new}\ncreate {} {new}\n", names.branch, names.base);
        let answer = self.transact("create the run's branch", &orders).await?;
        let refs = self.run_refs(&names).await?;
        if answer.ok() || refs.branch.is_some() {
            return self.tip_of(&names, &refs).await;
        }
        match self.find_blocking_branch(&names).await? {
            Some(blocked_by) => {
                Err(WorkspaceError::BranchBlocked { branch: names.short(), blocked_by })
            }
            None => Err(answer.error()),
        }
    }

    /// Returns the run's tip, the base of its next attempt.
    ///
    /// # Errors
    /// If the branch is gone, or git fails.
    pub async fn tip(&self, run: &RunId) -> Result<Tip> {
        let names = RunRefNames::of(run);
        let refs = self.run_refs(&names).await?;
        match self.remote_tip(run).await? {
            Some(commit) => Ok(self.tip_at_remote(run, &names, &refs, commit)),
            None => self.tip_of(&names, &refs).await,
        }
    }

    /// Returns the run's base commit in this repository, from the ref created with its branch.
    ///
    /// # Errors
    /// If git fails.
    pub async fn base_of(&self, run: &RunId) -> Result<Option<String>> {
        Ok(self.run_refs(&RunRefNames::of(run)).await?.base)
    }

    /// Whether a commit has landed, i.e. can be reached from the run's branch.
    ///
    /// # Errors
    /// If git fails.
    pub async fn has_landed(&self, run: &RunId, commit: &str) -> Result<bool> {
        let refs = self.run_refs(&RunRefNames::of(run)).await?;
        let tips = match self.remote_tip(run).await? {
            Some(tip) => [Some(tip), None],
            None => [refs.branch, refs.beside],
        };
        for tip in tips.into_iter().flatten() {
            if self.contains(&tip, commit).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether `commit` is `tip` or an ancestor of `tip`. False for an unknown commit.
    ///
    /// # Errors
    /// If git fails.
    pub async fn contains(&self, tip: &str, commit: &str) -> Result<bool> {
        let mut again = true;
        loop {
            let args = ["merge-base", "--is-ancestor", commit, tip];
            let answer = self.git.call("find a commit", args).answer().await?;
            match answer.output.code {
                Some(0) => return Ok(true),
                Some(1) => return Ok(false),
                _ if self.resolve(commit).await?.is_none() => return Ok(false),
                // A git process left by a dead drain may have written the commit just now.
                _ if again => again = false,
                _ => return Err(answer.error()),
            }
        }
    }

    /// Returns the commits of `landed` missing in the run's tip, because the branch was moved. Rebased or squashed
    /// commits are found by the trailers of their phase. Empty if there is no tip.
    ///
    /// # Errors
    /// If git fails.
    pub async fn missing<'a>(
        &self,
        run: &RunId,
        base: &str,
        landed: &'a [(PhaseId, String)],
    ) -> Result<Vec<&'a (PhaseId, String)>> {
        let refs = self.run_refs(&RunRefNames::of(run)).await?;
        let at_remote = self.remote_tip(run).await?;
        let tips: Vec<&String> = match &at_remote {
            Some(tip) => vec![tip],
            None => refs.branch.iter().chain(&refs.beside).collect(),
        };
        if landed.is_empty() || tips.is_empty() {
            return Ok(Vec::new());
        }
        let call = self.git.call("list the landed commits", ["rev-list"]).args(&tips);
        let listed = call.arg(format!("^{base}")).text().await?;
        let there: HashSet<&str> = listed.lines().collect();
        let gone = landed.iter().filter(|(_, commit)| !there.contains(commit.as_str()));
        let mut gone: Vec<_> = gone.collect();
        if !gone.is_empty() {
            let args = ["rev-list", "--encoding=UTF-8", "--format=%B%x00"];
            let call = self.git.call("find the rebased commits", args).args(&tips);
            let messages = call.arg(format!("^{base}")).bytes().await?;
            let there = phases_of(run, &String::from_utf8_lossy(&messages));
            gone.retain(|(phase, _)| !there.contains(&trailer(phase.as_str())));
        }
        Ok(gone)
    }

    /// Returns the last of these commits present in the repository, i.e. without any of the others as a descendant.
    ///
    /// # Errors
    /// If git fails.
    pub async fn find_last(&self, base: &str, commits: &[String]) -> Result<Option<String>> {
        let args = ["rev-list", "--topo-order", "--max-count=1", "--ignore-missing", "--stdin"];
        let mut lines = commits.join("\n");
        lines.push_str(&format!("\n^{base}\n"));
        let found = self.git.call("find the last landed commit", args).stdin(lines).text().await?;
        Ok((!found.is_empty()).then_some(found))
    }

    /// Updates the branch to landings in the other ref.
    ///
    /// # Errors
    /// If git fails.
    pub async fn update_branch(&self, run: &RunId) -> Result<BranchUpdate> {
        let names = RunRefNames::of(run);
        let refs = self.run_refs(&names).await?;
        let (Some(branch), Some(beside)) = (&refs.branch, &refs.beside) else {
            return Ok(BranchUpdate::UpToDate);
        };
        let tip = self.tip_of(&names, &refs).await?;
        if tip.diverged {
            return Ok(BranchUpdate::Diverged);
        }
        if let (Some(path), true) = (&refs.held_by, branch != &tip.commit) {
            return Ok(BranchUpdate::Held(path.clone()));
        }
        let mut orders = format!("delete {} {beside}\n", names.beside);
        if branch != &tip.commit {
            orders.push_str(&format!("update {} {} {branch}\n", names.branch, tip.commit));
        }
        let answer = self.transact("move the branch to the run's tip", &orders).await?;
        if !answer.ok() {
            return Err(answer.error());
        }
        Ok(if branch == &tip.commit { BranchUpdate::UpToDate } else { BranchUpdate::Moved })
    }

    pub(crate) async fn tip_of(&self, names: &RunRefNames, refs: &Refs) -> Result<Tip> {
        let tip = |commit: &String, on: &String, diverged| Tip {
            commit: commit.clone(),
            on: on.clone(),
            held_by: refs.held_by.clone(),
            diverged,
            shadowed: refs.tag.is_some(),
        };
        match (&refs.branch, &refs.beside) {
            (Some(branch), None) => Ok(tip(branch, &names.branch, false)),
            (None, Some(beside)) => Ok(tip(beside, &names.beside, false)),
            (Some(branch), Some(beside)) if self.contains(branch, beside).await? => {
                Ok(tip(branch, &names.branch, false))
            }
            (Some(branch), Some(beside)) => {
                Ok(tip(beside, &names.beside, !self.contains(beside, branch).await?))
            }
            (None, None) => Err(WorkspaceError::BranchGone {
                branch: names.short(),
                base_commit: refs.base.clone().unwrap_or_else(|| "an unknown commit".to_owned()),
                last_landed: None,
            }),
        }
    }

    /// Runs a transaction of `git update-ref --stdin`: all orders or none.
    pub(crate) async fn transact(
        &self,
        doing: &str,
        orders: &str,
    ) -> Result<crate::git::command::GitAnswer> {
        let text = format!("start\n{orders}prepare\ncommit\n");
        let args = ["update-ref", "-m", "autopack", "--stdin"];
        self.git.call(doing, args).stdin(text).answer().await
    }

    /// Finds a branch whose name is a parent or child path of the run's branch.
    async fn find_blocking_branch(&self, names: &RunRefNames) -> Result<Option<String>> {
        let args = ["for-each-ref", "--format=%(refname)", "--count=1", "refs/heads/autopack"];
        let call = self.git.call("find the branch in the way", args);
        let listed = call.text().await?;
        let prefix = format!("{}/", names.branch);
        if listed == "refs/heads/autopack" {
            return Ok(Some("autopack".to_owned()));
        }
        let args = ["for-each-ref", "--format=%(refname)", "--count=1", &prefix];
        let listed = self.git.call("find the branch in the way", args).text().await?;
        Ok(listed.strip_prefix("refs/heads/").map(str::to_owned))
    }

    /// Creates a first commit for a repository without commits: no files, on no branch.
    async fn empty_root(&self) -> Result<String> {
        let tree = self.empty_tree().await?;
        let args = ["commit-tree", &tree, "-m", "Begin with nothing"];
        self.git.call("create the first commit", args).text().await
    }

    /// Writes the tree without files, and returns its id.
    pub(in crate::workspace) async fn empty_tree(&self) -> Result<String> {
        let args = ["hash-object", "-t", "tree", "-w", "--stdin"];
        self.git.call("write the empty tree", args).stdin("").text().await
    }
}

/// Returns the phases of the run named by trailers in commit messages. A squash indents trailers, and has several.
pub(super) fn phases_of(run: &RunId, messages: &str) -> HashSet<String> {
    let of_run = format!("Autopack-Run: {}", trailer(run.as_str()));
    let messages = messages.split('\0').map(|message| message.lines().map(str::trim));
    let ours = messages.filter(|lines| lines.clone().any(|line| line == of_run));
    let phases = ours.flatten().filter_map(|line| line.strip_prefix("Autopack-Phase: "));
    phases.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rebased_and_squashed_commits_name_their_phases() {
        let message = |run, phases: &[&str]| {
            let lines = phases.iter().map(|phase| format!("    Autopack-Phase: {phase}\n"));
            format!("commit 1\nx\n\nAutopack-Run: {run}\n{}\0", lines.collect::<String>())
        };
        let messages = message("r", &["a", "\"b\\n\""])
            + &message("other", &["c"])
            + "commit 2\nAutopack-Phase: d\n\0";
        let phases = phases_of(&RunId::new("r"), &messages);
        assert_eq!(phases, HashSet::from(["a".to_owned(), trailer("b\n")]));
    }
}
