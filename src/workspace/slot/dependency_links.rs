//! Dependency directories of the user's checkout in a copy: brought once, and again when they change.
//!
//! What they are, whether they changed and how a copy stops naming the user's checkout is `dependencies`' to know.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::Slot;
use super::checkout::{Checkout, blocking};
use super::linked_paths::Mirror;
use crate::config::WorkspaceSettings;
use crate::git::error::{Context, Result};
use crate::git::trees::Tree;
use crate::process::PathReplacement;
use crate::workspace::dependencies::{dependency_directories, relocate, stamp};
use crate::workspace::repo::Repo;

/// Which directories this process brought, and as what they were then: by checkout, then by path.
#[derive(Clone, Default)]
pub(crate) struct Brought(Arc<Mutex<BTreeMap<PathBuf, BTreeMap<String, String>>>>);

impl Brought {
    fn is_as_it_was(&self, checkout: &Checkout, path: &str, stamp: &str) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&checkout.dir).and_then(|paths| paths.get(path)).is_some_and(|s| s == stamp)
    }

    fn note(&self, checkout: &Checkout, path: &str, stamp: String) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(checkout.dir.clone()).or_default().insert(path.to_owned(), stamp);
    }
}

impl Repo {
    /// The directories that a copy of this commit gets by itself: none where setup makes them.
    pub(crate) fn automatic_links(&self, tree: &Tree, settings: &WorkspaceSettings) -> Vec<String> {
        if settings.setup.is_some() {
            return Vec::new();
        }
        let named: BTreeSet<&str> =
            settings.link.iter().map(|path| path.trim_end_matches('/')).collect();
        let mut found = dependency_directories(tree, &self.root).found;
        found.retain(|path| !named.contains(path.as_str()));
        found
    }

    /// Makes a copied path name its own checkout instead of the user's.
    pub(crate) fn replacement(&self, checkout: &Checkout) -> PathReplacement {
        let real = self.root.canonicalize().unwrap_or_else(|_| self.root.clone());
        PathReplacement::new(&[self.root.clone(), real], &checkout.dir)
    }
}

impl Slot {
    /// Brings those that changed since they were brought, or that are not there.
    pub(crate) async fn bring_dependencies(
        &self,
        checkout: &Checkout,
        paths: &[String],
    ) -> Result<()> {
        for path in paths {
            let now = stamp(&self.repo.root, path);
            let to = checkout.dir.join(path);
            let there = to.symlink_metadata().is_ok();
            if there && self.repo.brought.is_as_it_was(checkout, path, &now) {
                continue;
            }
            let (root, slot, own) = (self.repo.root.clone(), checkout.dir.clone(), path.clone());
            let replacement = self.repo.replacement(checkout);
            blocking(move || {
                let mirror = Mirror { root: &root, slot: &slot };
                mirror.bring(&own).doing("copy into the slot", &root.join(&own))?;
                relocate(&slot.join(&own), &replacement).doing("relocate", &slot.join(&own))?;
                Ok(())
            })
            .await?;
            self.repo.brought.note(checkout, path, now);
        }
        Ok(())
    }
}
