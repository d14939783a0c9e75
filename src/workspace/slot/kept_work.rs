//! Kept work brought into a checkout again: a patch onto a commit, or the files onto a newer commit.

use std::path::Path;

use super::{Side, Slot};
use crate::git::command::fields;
use crate::git::error::{Result, WorkspaceError};
use crate::git::merge_trees::{MergedTree, merge_with_base};
use crate::git::path_bytes::to_text;

/// Line that git prints before the reason.
const FALLBACK: &str = "Falling back to direct application";

/// Result of applying a patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppliedPatch {
    /// The change is in the files.
    Clean,
    /// These paths are in conflict: text has conflict markers, other files are as in the commit.
    Conflicts(Vec<String>),
    /// Nothing was applied, for this reason.
    Refused(String),
}

/// Work on top of another commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedWork {
    /// Paths in conflict: text has conflict markers, other files are as in the work.
    pub conflicts: Vec<String>,
}

impl Slot {
    /// Applies a patch to a checkout right after its reset. Only our own git directory is used: programs may have written
    /// to the checkout's.
    ///
    /// # Errors
    /// If git cannot be started.
    pub async fn apply_patch(&self, side: Side, patch: &Path) -> Result<AppliedPatch> {
        let git = &self.checkout(side).git;
        let args = ["apply", "--3way", "--whitespace=nowarn"];
        let applied = git.call("apply the kept work", args).arg(patch).answer().await?;
        if applied.ok() {
            return Ok(AppliedPatch::Clean);
        }
        let args = ["diff", "--name-only", "--diff-filter=U", "-z", "--no-ext-diff"];
        let unmerged = git.call("find conflicts", args).bytes().await?;
        let paths: Vec<String> = fields(&unmerged).map(to_text).collect();
        if !paths.is_empty() {
            return Ok(AppliedPatch::Conflicts(paths));
        }
        let words = String::from_utf8_lossy(&applied.output.stderr);
        let words: Vec<&str> = words.lines().filter(|line| !line.starts_with(FALLBACK)).collect();
        Ok(AppliedPatch::Refused(words.join("; ")))
    }

    /// Moves the work in the agent's checkout, measured as `tree` on top of `base`, onto another commit, in place: files that
    /// git ignores stay. The checkout's own git directory is made anew.
    ///
    /// # Errors
    /// If git fails; the files are then between both states.
    pub async fn move_work(&mut self, tree: &str, base: &str, onto: &str) -> Result<MovedWork> {
        let merged = merge_with_base(&self.top.store, base, tree, onto).await?;
        let (merged, conflicts) = match merged {
            MergedTree::Clean(tree) => (tree, Vec::new()),
            MergedTree::Conflict { tree, paths } => (tree, paths),
        };
        let args = ["read-tree", "--reset", "-u", &merged];
        self.top.git.call("bring the work onto the tip", args).bytes().await?;
        self.top.record_index(&self.repo);
        let listed = self.repo.trees.list(&self.top.store, onto).await?;
        let number = self.number();
        let contents = self.contents.as_mut().ok_or(WorkspaceError::NotReset(number))?;
        contents.placed.commit = onto.to_owned();
        contents.placed.tree = listed;
        self.renew_agents_git(onto)?;
        Ok(MovedWork { conflicts })
    }
}
