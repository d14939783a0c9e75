//! New objects of a slot's last measurement: landing copies only these, and the next attempt need
//! not list the tree of its base commit again.

use std::sync::{Arc, Mutex, PoisonError};

use super::Slot;
use crate::git::diff::{Diff, RawChange};
use crate::git::error::{Context, Result};
use crate::git::loose_objects::CompressedObject;
use crate::workspace::blocking_work::blocking;

/// Number of objects from which a pack is faster, as in git's `transfer.unpackLimit`.
pub(crate) const MANY: usize = 100;

/// The tree of a measurement, and its new objects.
pub(crate) struct MeasuredTree {
    base: String,
    tree: String,
    changes: Vec<RawChange>,
    /// Ids of directories and files not at the same place in the base.
    objects: Vec<String>,
    /// The commit of the tree on top of the base, once created.
    commit: Option<String>,
}

impl MeasuredTree {
    pub fn of(base: &str, diff: Diff) -> Self {
        let Diff { tree, changes, mut directories, .. } = diff;
        directories.push(tree.clone());
        let files = changes.iter().filter_map(RawChange::new_object).map(str::to_owned);
        let objects = directories.into_iter().chain(files).collect();
        Self { base: base.to_owned(), tree, changes, objects, commit: None }
    }
}

/// The last measurement of a slot; empty before the first.
#[derive(Default)]
pub(crate) struct LastMeasuredTree {
    measured: Mutex<Option<MeasuredTree>>,
    /// The last commit completely copied into the user's repository.
    handed_over: Mutex<Option<String>>,
}

impl Slot {
    pub(crate) fn remember(&self, made: MeasuredTree) {
        *self.made.measured.lock().unwrap_or_else(PoisonError::into_inner) = Some(made);
    }

    /// Records the commit of the measured tree: the slot's tree with the measured changes.
    pub(crate) fn remember_commit(&self, tree: &str, parent: &str, commit: &str) {
        let mut made = self.made.measured.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(made) = made.as_mut().filter(|made| made.tree == tree && made.base == parent)
        else {
            return;
        };
        made.commit = Some(commit.to_owned());
        let held = self.contents.as_ref().filter(|contents| contents.placed.commit == parent);
        if let Some(tree) = held.and_then(|contents| contents.placed.tree.changed(&made.changes)) {
            self.repo.trees.keep(commit, Arc::new(tree));
        }
    }

    /// Returns the measured tree, if `commit` is its commit.
    pub(crate) fn measured_tree_of(&self, commit: &str) -> Option<String> {
        let made = self.made.measured.lock().unwrap_or_else(PoisonError::into_inner);
        let made = made.as_ref().filter(|made| made.commit.as_deref() == Some(commit))?;
        Some(made.tree.clone())
    }

    pub(crate) fn is_handed_over(&self, commit: &str) -> bool {
        let last = self.made.handed_over.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_deref() == Some(commit)
    }

    pub(crate) fn remember_handing_over(&self, commit: &str) {
        let mut last = self.made.handed_over.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(commit.to_owned());
    }

    /// Forgets the copied commit: without a ref, its objects may have been removed again.
    pub(crate) fn forget_handing_over(&self) {
        *self.made.handed_over.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Copies the new objects of a commit into the user's repository, file by file. Returns false if git has to do
    /// the copying.
    pub(crate) async fn copy_new_objects(&self, commit: &str, known: &str) -> Result<bool> {
        let Some(users) = self.repo.users_objects() else { return Ok(false) };
        let Some(objects) = self.new_objects(commit, known) else { return Ok(false) };
        let ours = self.top.objects(&self.repo);
        let carried = blocking(move || {
            let packed = objects.iter().map(|id| ours.loose().take(id));
            let packed: std::io::Result<Option<Vec<CompressedObject>>> = packed.collect();
            let Some(packed) = packed.doing("read an object in", &ours.dir)? else {
                return Ok(false);
            };
            users.loose().put(&packed).doing("write an object to", &users.dir)?;
            Ok(true)
        });
        // Git reports the problem better.
        Ok(carried.await.unwrap_or_else(|error| {
            tracing::debug!("leaving the copy to git: {error}");
            false
        }))
    }

    /// Returns the new objects, with the commit last, so that the objects it refers to are present first.
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
