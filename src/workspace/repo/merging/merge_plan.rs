//! The result of a merge, computed before anything is touched: the new commit of the target branch.
//!
//! A squash has one parent, so git does not know later that the run is in it. The trailer `Autopack-Squashed` names the
//! run's tip; a later merge takes this tip as its base. So a second squash adds only later landings, and an undone
//! landing is taken out again.

use std::collections::HashSet;

use super::refusal::{Answer, refuse};
use super::target::MergeTarget;
use crate::git::error::{Result, WorkspaceError};
use crate::git::merge_trees::{MergedTree, merge_commits, merge_with_base};
use crate::phase::RunId;
use crate::phase::words::first_few;
use crate::workspace::repo::Repo;
use crate::workspace::slot::message_text::trailer;

/// Trailer of a squash: the run's tip that was merged.
pub(super) const SQUASHED: &str = "Autopack-Squashed";
/// Conflicting files named in a message; the rest are counted.
const NAMED: usize = 8;

/// How the target branch gets the run's landings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeKind {
    /// The branch moves to the run's tip.
    FastForward,
    /// A commit with two parents.
    MergeCommit,
    /// One commit with all changes, and one parent.
    Squash,
}

/// A squash of a run in a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Squash {
    /// Commit of the squash.
    pub commit: String,
    /// Tip of the run at that time.
    pub tip: String,
}

/// A merge of a run's tip into a branch.
#[derive(Clone, Debug)]
pub struct MergePlan {
    /// How the target gets the landings.
    pub kind: MergeKind,
    /// Tip of the run.
    pub tip: String,
    /// Commits already in the target: their history is not merged again.
    pub(super) known: Vec<String>,
    /// Merged tree; `None` for a fast-forward.
    tree: Option<String>,
}

impl MergeKind {
    /// Returns the name for scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FastForward => "fast_forward",
            Self::MergeCommit => "merge_commit",
            Self::Squash => "squash",
        }
    }
}

impl Repo {
    /// Plans the merge of a run's tip. Returns `None` if the target has the tip already. `base` is the commit the run
    /// started at. Writes objects at most.
    ///
    /// # Errors
    /// If git fails.
    pub async fn plan_merge(
        &self,
        run: &RunId,
        base: &str,
        tip: &str,
        target: &MergeTarget,
        is_squash: bool,
    ) -> Result<Answer<Option<MergePlan>>> {
        let tip = tip.to_owned();
        let Some(old) = &target.commit else {
            // A branch without commits: nothing to merge with.
            let kind = MergeKind::FastForward;
            return Ok(Ok(Some(MergePlan { kind, tip, known: Vec::new(), tree: None })));
        };
        let squash = self.find_squash(run, base, old, &tip).await?;
        let squashed = squash.as_ref().map(|squash| squash.tip.clone());
        let has_all = match &squashed {
            Some(squashed) => self.contains(squashed, &tip).await?,
            None => false,
        };
        if has_all || self.contains(old, &tip).await? {
            return Ok(Ok(None));
        }
        let known: Vec<String> = std::iter::once(old.clone()).chain(squashed.clone()).collect();
        if !is_squash && self.contains(&tip, old).await? {
            let kind = MergeKind::FastForward;
            return Ok(Ok(Some(MergePlan { kind, tip, known, tree: None })));
        }
        if squashed.is_none() && !self.has_common_commit(old, &tip).await? {
            return refuse(
                format!("{} and run {run} have no commit in common", target.short()),
                "name a branch with the base of the run: --into BRANCH".to_owned(),
            );
        }
        // After an update, the tip's history has the squash itself.
        let merged = match &squash {
            Some(squash) if !self.contains(&tip, &squash.commit).await? => {
                merge_with_base(&self.git, &squash.tip, old, &tip).await?
            }
            _ => merge_commits(&self.git, old, &tip).await?,
        };
        let tree = match merged {
            MergedTree::Clean(tree) => tree,
            MergedTree::Conflict { paths, .. } => {
                let branch = &self.tip(run).await?.on;
                let branch = branch.strip_prefix("refs/heads/").unwrap_or(branch);
                return refuse(
                    format!(
                        "{} and run {run} both changed {}",
                        target.short(),
                        first_few(&paths, NAMED)
                    ),
                    format!(
                        "merge by hand: git switch {}, git merge {branch}, edit the files, \
                         git commit",
                        target.short()
                    ),
                );
            }
        };
        let kind = if is_squash { MergeKind::Squash } else { MergeKind::MergeCommit };
        Ok(Ok(Some(MergePlan { kind, tip, known, tree: Some(tree) })))
    }

    /// Returns the branch checked out here, if the run's tip was merged or squashed into it. `base` is the commit the run
    /// started at. Best effort: only for people.
    pub async fn merged_into(&self, run: &RunId, base: &str) -> Option<String> {
        let merged = async {
            let (Some(branch), Some(head)) =
                (self.current_branch().await?, self.resolve("HEAD").await?)
            else {
                return Ok(None);
            };
            let tip = self.tip(run).await?.commit;
            let is_merged = self.contains(&head, &tip).await?
                || match self.find_squash(run, base, &head, &tip).await? {
                    Some(squash) => self.contains(&squash.tip, &tip).await?,
                    None => false,
                };
            Ok::<_, WorkspaceError>(is_merged.then_some(branch))
        };
        let branch = merged.await.unwrap_or_else(|error| {
            tracing::debug!("cannot tell whether run {run} is merged: {error}");
            None
        })?;
        Some(branch.strip_prefix("refs/heads/").unwrap_or(&branch).to_owned())
    }

    /// Returns the last tip of the run that a commit has as a squash; `None` without one. `base` is the commit the run
    /// started at.
    ///
    /// # Errors
    /// If git fails.
    pub async fn squashed_tip(
        &self,
        run: &RunId,
        base: &str,
        target: &str,
        tip: &str,
    ) -> Result<Option<String>> {
        Ok(self.find_squash(run, base, target, tip).await?.map(|squash| squash.tip))
    }

    /// Returns the last squash of the run in the target, if its history of the run still exists.
    pub(super) async fn find_squash(
        &self,
        run: &RunId,
        base: &str,
        target: &str,
        tip: &str,
    ) -> Result<Option<Squash>> {
        let args = ["rev-list", "--encoding=UTF-8", "--format=%B%x00", target];
        let mut call = self.git.call("find earlier squashes of the run", args);
        if self.resolve(base).await?.is_some() {
            call = call.arg(format!("^{base}"));
        }
        let messages = String::from_utf8_lossy(&call.bytes().await?).into_owned();
        for squash in squashes_of(run, &messages) {
            let squashed = &squash.tip;
            // Of a run with the same id in another clone.
            if self.resolve(squashed).await?.is_none() {
                continue;
            }
            if self.contains(tip, squashed).await? || self.contains(squashed, tip).await? {
                return Ok(Some(squash));
            }
        }
        Ok(None)
    }

    /// Returns the commits of the plan not yet in the target.
    ///
    /// # Errors
    /// If git fails.
    pub async fn commits_to_merge(&self, plan: &MergePlan) -> Result<HashSet<String>> {
        let call = self.git.call("list the commits to merge", ["rev-list", &plan.tip]);
        let known = plan.known.iter().map(|commit| format!("^{commit}"));
        Ok(call.args(known).text().await?.lines().map(str::to_owned).collect())
    }

    /// Creates the commit of the plan, without moving a branch. The commit bears the user's identity.
    ///
    /// # Errors
    /// If git fails.
    pub async fn write_merge(
        &self,
        plan: &MergePlan,
        target: &MergeTarget,
        message: &str,
    ) -> Result<String> {
        let (Some(tree), Some(old)) = (&plan.tree, &target.commit) else {
            return Ok(plan.tip.clone());
        };
        let mut call = self.git.call("create the merge", ["commit-tree", tree, "-p", old]);
        if plan.kind == MergeKind::MergeCommit {
            call = call.args(["-p", &plan.tip]);
        }
        call.args(["-F", "-"]).stdin(message).text().await
    }
}

/// Returns the squashes of a run, in the order of the messages.
fn squashes_of(run: &RunId, messages: &str) -> Vec<Squash> {
    let of_run = format!("Autopack-Run: {}", trailer(run.as_str()));
    let named = messages.split('\0').filter_map(|message| {
        let is_of_run = message.lines().any(|line| line == of_run);
        let tip =
            message.lines().rev().find_map(|line| line.strip_prefix(SQUASHED)?.strip_prefix(": "));
        let tip = tip.filter(|tip| is_of_run && tip.bytes().all(|b| b.is_ascii_hexdigit()))?;
        let commit = message.lines().find_map(|line| line.strip_prefix("commit "))?;
        Some(Squash { commit: commit.to_owned(), tip: tip.to_owned() })
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squashes_are_found_by_run_and_latest_first() {
        let message = |run: &str, tip: &str| {
            format!("commit 1{tip}\nx\n\nAutopack-Run: {run}\nAutopack-Squashed: {tip}\n\0")
        };
        let messages = message("r", "b2")
            + &message("other", "c3")
            + &message("r", "a1")
            + "commit 2\nAutopack-Run: r\n\0"
            + &message("r", "--exec");
        let squash = |tip: &str| Squash { commit: format!("1{tip}"), tip: tip.to_owned() };
        assert_eq!(squashes_of(&RunId::new("r"), &messages), [squash("b2"), squash("a1")]);
    }
}
