//! What the last measurement of a slot made, in objects: a landing carries just these over, and the next attempt need
//! not list the tree that it begins with.

use std::sync::{Arc, Mutex, PoisonError};

use super::Slot;
use super::checkout::blocking;
use crate::git::diff::{Diff, RawChange};
use crate::git::error::{Context, Result};
use crate::git::loose_objects::Packed;
use crate::git::trees::Tree;
use crate::workspace::repo::Repo;

/// As git's own `transfer.unpackLimit` has it: from here on a pack is better.
pub(crate) const MANY: usize = 100;

/// The tree of a measurement, and what is new in it.
pub(crate) struct Made {
    base: String,
    tree: String,
    changes: Vec<RawChange>,
    /// Ids of folders and files that the base does not have at their place.
    objects: Vec<String>,
    /// The commit of the tree onto the base, once there is one.
    commit: Option<String>,
}

impl Made {
    pub fn of(base: &str, diff: Diff) -> Self {
        let Diff { tree, changes, mut folders, .. } = diff;
        folders.push(tree.clone());
        let files = changes.iter().filter_map(RawChange::new_object).map(str::to_owned);
        let objects = folders.into_iter().chain(files).collect();
        Self { base: base.to_owned(), tree, changes, objects, commit: None }
    }
}

/// Of a slot: nothing, until something was measured.
#[derive(Default)]
pub(crate) struct LastMade {
    measured: Mutex<Option<Made>>,
    /// The last commit that the user's repository has all of.
    handed_over: Mutex<Option<String>>,
}

impl Slot {
    pub(crate) fn remember(&self, made: Made) {
        *self.made.measured.lock().unwrap_or_else(PoisonError::into_inner) = Some(made);
    }

    /// The measured tree has become a commit: the tree of the slot with the measured changes.
    pub(crate) fn remember_commit(&self, tree: &str, parent: &str, commit: &str) {
        let mut made = self.made.measured.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(made) = made.as_mut().filter(|made| made.tree == tree && made.base == parent)
        else {
            return;
        };
        made.commit = Some(commit.to_owned());
        let held = self.holding.as_ref().filter(|holding| holding.placed.commit == parent);
        if let Some(tree) = held.and_then(|holding| holding.placed.tree.changed(&made.changes)) {
            self.repo.trees.keep(commit, Arc::new(tree));
        }
    }

    pub(crate) fn is_handed_over(&self, commit: &str) -> bool {
        let last = self.made.handed_over.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_deref() == Some(commit)
    }

    pub(crate) fn remember_handing_over(&self, commit: &str) {
        let mut last = self.made.handed_over.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(commit.to_owned());
    }

    /// What was written may be gone again: no ref names it yet.
    pub(crate) fn forget_handing_over(&self) {
        *self.made.handed_over.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Copies what is new in a commit into the user's repository, file by file. `false`: it is not as simple as that,
    /// and git has to do it.
    pub(crate) async fn carry_over(&self, commit: &str, known: &str) -> Result<bool> {
        let Some(users) = self.repo.users_objects() else { return Ok(false) };
        let Some(objects) = self.new_objects(commit, known) else { return Ok(false) };
        let ours = self.top.objects(&self.repo);
        let carried = blocking(move || {
            let packed = objects.iter().map(|id| ours.loose().take(id));
            let packed: std::io::Result<Option<Vec<Packed>>> = packed.collect();
            let Some(packed) = packed.doing("read an object in", &ours.dir)? else {
                return Ok(false);
            };
            users.loose().put(&packed).doing("write an object to", &users.dir)?;
            Ok(true)
        });
        // What is wrong git says better.
        Ok(carried.await.unwrap_or_else(|error| {
            tracing::debug!("leaving it to git: {error}");
            false
        }))
    }

    /// The commit last, so that what it leads to is there before it.
    fn new_objects(&self, commit: &str, known: &str) -> Option<Vec<String>> {
        let made = self.made.measured.lock().unwrap_or_else(PoisonError::into_inner);
        let made = made.as_ref().filter(|made| {
            made.commit.as_deref() == Some(commit)
                && made.base == known
                && made.objects.len() < MANY
        })?;
        let commit = std::iter::once(commit.to_owned());
        Some(made.objects.iter().cloned().chain(commit).collect())
    }
}

/// Trees of commits, the latest last: of those that attempts begin with.
#[derive(Clone, Default)]
pub(crate) struct Trees(Arc<Mutex<Vec<Known>>>);

/// A commit and its tree.
type Known = (String, Arc<Tree>);

impl Trees {
    /// A tree of twenty thousand files takes about 2 MiB.
    const KEPT: usize = 4;

    pub fn get(&self, commit: &str) -> Option<Arc<Tree>> {
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
}

impl Repo {
    /// The paths of a commit, listed by `git` where they are not known.
    pub(crate) async fn tree_by(
        &self,
        git: &crate::git::command::Git,
        commit: &str,
    ) -> Result<Arc<Tree>> {
        if let Some(tree) = self.trees.get(commit) {
            return Ok(tree);
        }
        let tree = Arc::new(Tree::list(git, commit).await?);
        self.trees.keep(commit, tree.clone());
        Ok(tree)
    }
}
