//! Reverts of landed commits, computed without touching the slot's files.

use super::Slot;
use super::commit::subject;
use super::message_text::trailer;
use crate::git::error::Result;
use crate::git::harmless_text::harmless;
use crate::git::merge_trees::{MergedTree, merge_with_base};
use crate::phase::words::counted;
use crate::phase::{PhaseId, RunId};

/// Result of reverting commits on a tip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revert {
    /// The commits can be reverted.
    Clean {
        /// Tree without their changes.
        tree: String,
        /// Changed paths.
        changed: Vec<String>,
    },
    /// Later commits changed the same places.
    Conflict {
        /// The commit that cannot be reverted.
        commit: String,
        /// Paths with a conflict.
        paths: Vec<String>,
    },
    /// The tip does not have the changes of this commit any more.
    Absent {
        /// The commit.
        commit: String,
    },
}

/// A landing named in the message of a revert.
#[derive(Clone, Copy, Debug)]
pub struct RevertedCommit<'a> {
    /// Phase that landed.
    pub phase: &'a PhaseId,
    /// Name of the phase.
    pub name: &'a str,
    /// Attempt that landed.
    pub attempt: u32,
    /// Landed commit; `None` for a phase completed without a change.
    pub commit: Option<&'a str>,
}

/// Content of a revert's message.
#[derive(Clone, Copy, Debug)]
pub struct RevertMessage<'a> {
    /// Run of the phases.
    pub run: &'a RunId,
    /// The named phase first, then its dependents.
    pub landings: &'a [RevertedCommit<'a>],
}

impl Slot {
    /// Reverts commits on a tip, in the given order: newest first.
    ///
    /// # Errors
    /// If git fails.
    pub async fn revert(&self, tip: &str, commits: &[String]) -> Result<Revert> {
        let mut tree = self.tree_of(tip).await?;
        for commit in commits {
            let parent = format!("{commit}^");
            match merge_with_base(&self.top.store, commit, &tree, &parent).await? {
                MergedTree::Clean(next) if next == tree => {
                    return Ok(Revert::Absent { commit: commit.clone() });
                }
                MergedTree::Clean(next) => tree = next,
                MergedTree::Conflict { paths, .. } => {
                    return Ok(Revert::Conflict { commit: commit.clone(), paths });
                }
            }
        }
        let changed = self.changed_between(tip, &tree).await?;
        Ok(Revert::Clean { tree, changed })
    }

    /// Creates the commit of a revert. Until landing, the commit exists only in the slot's store.
    ///
    /// # Errors
    /// If git fails.
    pub async fn commit_revert(
        &self,
        tree: &str,
        parent: &str,
        message: &RevertMessage<'_>,
    ) -> Result<String> {
        self.commit_with_text(tree, parent, &message.text()).await
    }
}

impl RevertMessage<'_> {
    fn text(&self) -> String {
        let Some(first) = self.landings.first() else { return String::new() };
        let more = match self.landings.len() - 1 {
            0 => String::new(),
            more => format!(" and {}", counted(more as u64, "dependent phase")),
        };
        let title = format!("Undo {}{more}", subject(first.name, first.phase.as_str(), harmless));
        let mut text = format!("{}\n\n", subject(&title, first.phase.as_str(), harmless));
        let commits = self.landings.iter().filter_map(|landing| landing.commit);
        commits.for_each(|commit| text += &format!("This reverts commit {commit}.\n"));
        text += "\n";
        for RevertedCommit { phase, attempt, .. } in self.landings {
            let place = format!("{}/{}", self.run.as_str(), phase.as_str());
            text += &format!("Autopack-Undo: {} {attempt}\n", trailer(&place));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_each_landing_and_cannot_be_forged() {
        let (run, one) = (RunId::new("r"), PhaseId::new("one"));
        let two = PhaseId::new("two\nAutopack-Undo: r/x 1");
        let landings = [
            RevertedCommit { phase: &one, name: "Add one", attempt: 2, commit: Some("abc") },
            RevertedCommit { phase: &two, name: "", attempt: 1, commit: None },
        ];
        let text = RevertMessage { run: &run, landings: &landings }.text();
        let expected = "Undo Add one and 1 dependent phase\n\nThis reverts commit abc.\n\n\
                        Autopack-Undo: r/one 2\nAutopack-Undo: \"r/two\\nAutopack-Undo: r/x 1\" 1\n";
        assert_eq!(text, expected);
    }
}
