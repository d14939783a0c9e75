//! Paths of a commit, as listed by git; those of recent commits are kept.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::command::{Git, fields};
use super::diff::RawChange;
use super::error::Result;
use crate::phase::dependency_inputs::is_input;

/// Kind of entry at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A file or a symbolic link.
    Leaf,
    /// A commit of another repository.
    Submodule,
}

/// Paths of a commit, with their directories.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    leaves: BTreeMap<Vec<u8>, Entry>,
    directories: HashSet<Vec<u8>>,
    submodules: BTreeMap<Vec<u8>, String>,
    /// Symbolic links among the leaves.
    links: BTreeSet<Vec<u8>>,
    /// Manifests and lock files among the leaves.
    inputs: BTreeSet<String>,
}

impl Tree {
    pub(crate) async fn list(git: &Git, commit: &str) -> Result<Self> {
        let args = ["ls-tree", "-r", "-z", "--full-tree", commit];
        let listed = git.call(format!("list the files of {commit}"), args).bytes().await?;
        Ok(Self::parse(&listed))
    }

    /// Parses `mode type id<tab>path`, each ended by NUL.
    pub(crate) fn parse(listed: &[u8]) -> Self {
        let mut tree = Self::default();
        for field in fields(listed) {
            let Some(tab) = field.iter().position(|b| *b == b'\t') else { continue };
            let (facts, path) = (String::from_utf8_lossy(&field[..tab]), field[tab + 1..].to_vec());
            tree.add_directories(&path);
            tree.inputs.extend(as_input(&path));
            if facts.starts_with("120000 ") {
                tree.links.insert(path.clone());
            }
            if let Some(id) = facts.strip_prefix("160000 commit ") {
                tree.submodules.insert(path.clone(), id.to_owned());
                tree.leaves.insert(path, Entry::Submodule);
            } else {
                tree.leaves.insert(path, Entry::Leaf);
            }
        }
        tree
    }

    fn add_directories(&mut self, path: &[u8]) {
        for (at, _) in path.iter().enumerate().rev().filter(|(_, b)| **b == b'/') {
            // Its parents were added at the same time.
            if !self.directories.insert(path[..at].to_vec()) {
                return;
            }
        }
    }

    /// Applies changes to the tree; `None` if only git knows the result.
    pub(crate) fn changed(&self, changes: &[RawChange]) -> Option<Self> {
        if changes.iter().any(RawChange::is_about_a_submodule) {
            return None;
        }
        let mut tree = self.clone();
        for change in changes {
            let input = as_input(&change.path);
            tree.links.remove(&change.path);
            if change.is_about_a_link() && !change.is_deletion() {
                tree.links.insert(change.path.clone());
            }
            match change.is_deletion() {
                true => {
                    tree.leaves.remove(&change.path);
                    input.map(|path| tree.inputs.remove(&path));
                }
                false => {
                    tree.leaves.insert(change.path.clone(), Entry::Leaf);
                    tree.inputs.extend(input);
                }
            }
        }
        if changes.iter().any(RawChange::is_deletion) {
            tree.directories.clear();
        }
        let paths: Vec<Vec<u8>> = match tree.directories.is_empty() {
            true => tree.leaves.keys().cloned().collect(),
            false => changes.iter().map(|change| change.path.clone()).collect(),
        };
        paths.iter().for_each(|path| tree.add_directories(path));
        Some(tree)
    }

    /// Whether the commit has a file, a symbolic link or a submodule at this path.
    pub fn has_file(&self, path: &str) -> bool {
        self.leaves.contains_key(path.as_bytes())
    }

    /// Whether the commit has files in this directory.
    pub fn has_directory(&self, path: &str) -> bool {
        self.directories.contains(path.trim_end_matches('/').as_bytes())
    }

    /// Returns every path of valid UTF-8, in git's order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.leaves.keys().filter_map(|path| std::str::from_utf8(path).ok())
    }

    /// Returns the symbolic links of valid UTF-8, in order.
    pub fn links(&self) -> impl Iterator<Item = &str> {
        self.links.iter().filter_map(|path| std::str::from_utf8(path).ok())
    }

    /// Returns the manifests and lock files, in order.
    pub fn inputs(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().map(String::as_str)
    }

    pub(crate) fn at(&self, path: &[u8]) -> Option<Entry> {
        self.leaves.get(path).copied()
    }

    /// Returns every path with its entry, in git's order.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = (&[u8], Entry)> {
        self.leaves.iter().map(|(path, entry)| (path.as_slice(), *entry))
    }

    pub(crate) fn is_directory(&self, path: &[u8]) -> bool {
        self.directories.contains(path)
    }

    pub(crate) fn directories(&self) -> impl Iterator<Item = &[u8]> {
        self.directories.iter().map(Vec::as_slice)
    }

    /// Returns path and commit of each submodule.
    pub(crate) fn submodules(&self) -> impl Iterator<Item = (&[u8], &str)> {
        self.submodules.iter().map(|(path, commit)| (path.as_slice(), commit.as_str()))
    }
}

fn as_input(path: &[u8]) -> Option<String> {
    let path = std::str::from_utf8(path).ok()?;
    is_input(path).then(|| path.to_owned())
}

/// Trees of recent base commits, the latest last.
#[derive(Clone, Default)]
pub(crate) struct Trees(Arc<Mutex<Vec<CommitTree>>>);

/// A commit and its tree.
type CommitTree = (String, Arc<Tree>);

impl Trees {
    /// Number of trees to keep. A tree of 20,000 files takes about 2 MiB.
    const KEPT: usize = 4;

    fn get(&self, commit: &str) -> Option<Arc<Tree>> {
        let trees = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        trees.iter().find(|(known, _)| known == commit).map(|(_, tree)| tree.clone())
    }

    pub fn keep(&self, commit: &str, tree: Arc<Tree>) {
        let mut trees = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        trees.retain(|(known, _)| known != commit);
        if trees.len() == Self::KEPT {
            trees.remove(0);
        }
        trees.push((commit.to_owned(), tree));
    }

    /// Returns the paths of a commit, listed by `git` if unknown.
    pub async fn list(&self, git: &Git, commit: &str) -> Result<Arc<Tree>> {
        if let Some(tree) = self.get(commit) {
            return Ok(tree);
        }
        let tree = Arc::new(Tree::list(git, commit).await?);
        self.keep(commit, tree.clone());
        Ok(tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_files_directories_and_submodules() {
        let tree = Tree::parse(
            b"100644 blob 1\ta/b/c.py\x00100755 blob 2\ta/d\n\xff\x00160000 commit 3\tlib/x\x00",
        );
        assert!(tree.has_file("a/b/c.py") && !tree.has_file("a/b"));
        assert!(tree.has_directory("a/b/") && tree.has_directory("a") && tree.has_directory("lib"));
        assert_eq!(tree.at(b"a/d\n\xff"), Some(Entry::Leaf));
        assert_eq!(tree.submodules().collect::<Vec<_>>(), [(&b"lib/x"[..], "3")]);
        assert_eq!(tree.paths().collect::<Vec<_>>(), ["a/b/c.py", "lib/x"]);
    }
}
