//! Merges of a base into a run's branch, computed without touching the slot's files.

use super::Slot;
use super::message_text::trailer;
use crate::git::error::Result;
use crate::git::merge_trees::{MergedTree, merge_commits, merge_with_base};
use crate::phase::RunId;
use crate::workspace::repo::merging::update_base::UpdateBase;

/// Result of merging a base into a tip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// The base can be merged.
    Clean {
        /// Merged tree.
        tree: String,
        /// Paths changed against the tip.
        changed: Vec<String>,
    },
    /// Both sides changed the same places.
    Conflict {
        /// Paths with a conflict.
        paths: Vec<String>,
    },
}

impl Slot {
    /// Merges a base into a tip. With `squashed`, a tip of the run that the base has as a squash, only the changes since
    /// then count.
    ///
    /// # Errors
    /// If git fails.
    pub async fn merge_base(
        &self,
        tip: &str,
        base: &UpdateBase,
        squashed: Option<&str>,
    ) -> Result<Update> {
        let git = &self.top.store;
        let merged = match squashed {
            Some(squashed) => merge_with_base(git, squashed, tip, &base.commit).await?,
            None => merge_commits(git, tip, &base.commit).await?,
        };
        Ok(match merged {
            MergedTree::Conflict { paths, .. } => Update::Conflict { paths },
            MergedTree::Clean(tree) => {
                Update::Clean { changed: self.changed_between(tip, &tree).await?, tree }
            }
        })
    }

    /// Creates the merge commit, with the tip as its first parent. Until landing, the commit exists only in the slot's
    /// store.
    ///
    /// # Errors
    /// If git fails.
    pub async fn commit_update(
        &self,
        tree: &str,
        tip: &str,
        base: &UpdateBase,
        run: &RunId,
        branch: &str,
    ) -> Result<String> {
        let message = format!(
            "Merge {} into {branch}\n\nAutopack-Run: {}\nAutopack-Update: {}\n",
            base.shown(),
            trailer(run.as_str()),
            base.commit
        );
        let args = ["commit-tree", tree, "-p", tip, "-p", &base.commit, "-F", "-"];
        self.top.store.call("create the merge", args).stdin(message).text().await
    }
}
