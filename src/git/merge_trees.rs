//! Three-way merges in object space: no index and no file changes.

use super::command::{Git, GitAnswer, fields};
use super::error::Result;
use super::path_bytes::to_text;

/// Options of `git merge-tree`: the id of the tree, or of the tree with conflict markers and the conflicting paths.
const MERGE_TREE: [&str; 5] = ["merge-tree", "--write-tree", "-z", "--name-only", "--no-messages"];

/// Result of a three-way merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MergedTree {
    /// Id of the merged tree.
    Clean(String),
    /// Both sides changed the same places.
    Conflict {
        /// Id of the tree with conflict markers; files without lines are as in ours.
        tree: String,
        /// Paths with a conflict.
        paths: Vec<String>,
    },
}

/// Merges two commits with the base chosen by git from their histories.
pub(crate) async fn merge_commits(git: &Git, ours: &str, theirs: &str) -> Result<MergedTree> {
    let doing = format!("merge {theirs} into {ours}");
    result_of(git.call(doing, MERGE_TREE).args([ours, theirs]).answer().await?)
}

/// Merges two commits or trees with a given base, regardless of their histories: the three trees are wrapped in commits
/// without history.
pub(crate) async fn merge_with_base(
    git: &Git,
    base: &str,
    ours: &str,
    theirs: &str,
) -> Result<MergedTree> {
    let doing = format!("merge the changes from {base} to {theirs} into {ours}");
    let base = bare_commit(git, base, None).await?;
    let ours = bare_commit(git, ours, Some(&base)).await?;
    let theirs = bare_commit(git, theirs, Some(&base)).await?;
    result_of(git.call(doing, MERGE_TREE).args([&ours, &theirs]).answer().await?)
}

fn result_of(answer: GitAnswer) -> Result<MergedTree> {
    let mut parts = fields(&answer.output.stdout).map(to_text);
    let tree = parts.next();
    match (answer.output.code, tree) {
        (Some(0), Some(tree)) => Ok(MergedTree::Clean(tree)),
        (Some(1), Some(tree)) => {
            let mut paths: Vec<String> = parts.collect();
            paths.dedup();
            Ok(MergedTree::Conflict { tree, paths })
        }
        _ => {
            drop(parts);
            Err(answer.error())
        }
    }
}

async fn bare_commit(git: &Git, of: &str, parent: Option<&str>) -> Result<String> {
    let tree = format!("{of}^{{tree}}");
    let mut call = git.call(format!("read {of}"), ["commit-tree", &tree, "-m", "-"]);
    if let Some(parent) = parent {
        call = call.args(["-p", parent]);
    }
    call.text().await
}
