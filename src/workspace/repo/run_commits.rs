//! Commits of a run's branch for `publish`: the landings in a tip, the commits missing elsewhere, and the reverts.

use std::collections::{HashMap, HashSet};

use super::Repo;
use super::run_branch::phases_of;
use crate::git::error::Result;
use crate::phase::{PhaseId, RunId};
use crate::workspace::slot::message_text::trailer;

/// Line of a revert, before the id of the reverted commit. git writes the same.
const REVERTS: &str = "This reverts commit ";
/// Trailer of a merge of the moved base.
const UPDATE: &str = "Autopack-Update: ";

/// A commit on the first-parent line of a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchCommit {
    /// Id.
    pub id: String,
    /// Whether the commit merges the moved base into the branch, and no more.
    pub is_update: bool,
    /// Commits reverted by this commit.
    pub reverted: Vec<String>,
}

impl Repo {
    /// Returns the commits of a branch after `base`, oldest first, along the first parents.
    ///
    /// # Errors
    /// If git fails.
    pub async fn branch_commits(&self, base: &str, tip: &str) -> Result<Vec<BranchCommit>> {
        let args = ["rev-list", "--first-parent", "--reverse", "--encoding=UTF-8"];
        let call = self.git.call("list the commits of the branch", args);
        let call = call.args(["--format=%P%n%B%x00", tip, &format!("^{base}")]);
        let text = String::from_utf8_lossy(&call.bytes().await?).into_owned();
        Ok(text.split('\0').filter_map(parse_commit).collect())
    }

    /// Returns the commits up to `tip` missing in all of the others. Others may be unknown here.
    ///
    /// # Errors
    /// If git fails.
    pub async fn commits_outside<'a>(
        &self,
        tip: &str,
        others: impl IntoIterator<Item = &'a str>,
    ) -> Result<HashSet<String>> {
        let args = ["rev-list", "--ignore-missing", "--stdin"];
        let others = others.into_iter().map(|other| format!("^{other}\n"));
        let lines = format!("{tip}\n{}", others.collect::<String>());
        let listed = self.git.call("list the new commits", args).stdin(lines).text().await?;
        Ok(listed.lines().map(str::to_owned).collect())
    }

    /// Returns the commit of each landing in a tip: the original commit or, after a rebase or a squash, a commit naming
    /// the phase. Landings missing in the tip are left out.
    ///
    /// # Errors
    /// If git fails.
    pub async fn landing_commits(
        &self,
        run: &RunId,
        base: &str,
        tip: &str,
        landings: Vec<(PhaseId, String)>,
    ) -> Result<HashMap<PhaseId, String>> {
        let there = self.commits_outside(tip, [base]).await?;
        let is_there = |(_, commit): &(PhaseId, String)| there.contains(commit);
        let (found, moved): (Vec<_>, Vec<_>) = landings.into_iter().partition(is_there);
        let mut found: HashMap<PhaseId, String> = found.into_iter().collect();
        if moved.is_empty() {
            return Ok(found);
        }
        let args = ["rev-list", "--encoding=UTF-8", "--format=%B%x00", tip, &format!("^{base}")];
        let messages = self.git.call("find the rebased commits", args).bytes().await?;
        let messages = String::from_utf8_lossy(&messages).into_owned();
        let mut named: HashMap<String, String> = HashMap::new();
        for message in messages.split('\0') {
            let Some(id) = message.trim_start().strip_prefix("commit ") else { continue };
            let id = id.lines().next().unwrap_or_default();
            for phase in phases_of(run, message) {
                named.entry(phase).or_insert_with(|| id.to_owned());
            }
        }
        for (phase, _) in moved {
            if let Some(commit) = named.get(&trailer(phase.as_str())) {
                found.insert(phase, commit.clone());
            }
        }
        Ok(found)
    }
}

/// Parses a commit, with the parents in the first line.
fn parse_commit(text: &str) -> Option<BranchCommit> {
    let mut lines = text.trim_start().lines();
    let id = lines.next()?.strip_prefix("commit ")?.to_owned();
    let is_merge = lines.next().is_some_and(|parents| parents.contains(' '));
    let is_update = is_merge && lines.clone().any(|line| line.starts_with(UPDATE));
    let reverted = lines.filter_map(|line| line.strip_prefix(REVERTS));
    let reverted = reverted.map(|rest| rest.chars().take_while(char::is_ascii_hexdigit).collect());
    Some(BranchCommit { id, is_update, reverted: reverted.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_and_reverts_are_told_from_other_commits() {
        let commit = |id: &str, is_update, reverted: &[&str]| BranchCommit {
            id: id.to_owned(),
            is_update,
            reverted: reverted.iter().map(|id| (*id).to_owned()).collect(),
        };
        let parsed = |text| parse_commit(text).unwrap();
        assert_eq!(parsed("commit a1\nb2\nland\n"), commit("a1", false, &[]));
        assert_eq!(parsed("\ncommit a1\nb2 c3\nMerge x\n"), commit("a1", false, &[]));
        let update = "\ncommit a1\nb2 c3\nMerge main\n\nAutopack-Update: c3\n";
        assert_eq!(parsed(update), commit("a1", true, &[]));
        let undo = "\ncommit a1\nb2\nUndo x\n\nThis reverts commit c3.\nThis reverts commit d4.\n";
        assert_eq!(parsed(undo), commit("a1", false, &["c3", "d4"]));
        assert_eq!(parse_commit("\n"), None);
    }
}
