//! Dependency directories in a copy: copied from the user's checkout, and again after changes
//! there before the first agent. If the copy's lock files ask for other dependencies, a frozen install creates the
//! directories in the copy instead.
//!
//! The `dependencies` module finds the directories, detects changes, relocates copies, and chooses
//! the install command.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::checkout::Checkout;
use super::ci_seal::{end_of_use, first_change};
use super::linked_paths::Mirror;
use super::outside_diff::DiffExclusions;
use super::overlay_links::OverlayLinks;
use super::{Side, Slot};
use crate::config::WorkspaceSettings;
use crate::file_stamp::FileStamp;
use crate::git::error::{Context, Result, WorkspaceError};
use crate::git::removal::remove_any;
use crate::git::trees::Tree;
use crate::process::PathReplacement;
use crate::workspace::blocking_work::blocking;
use crate::workspace::dependencies::{
    FrozenInstall, InstallCommand, choose_frozen_installs, find_changed_inputs,
    find_dependency_directories, hash_inputs, is_fully_stamped, relocate,
};
use crate::workspace::repo::Repo;
use crate::workspace::repo::dependency_baseline::DependencySource;
use crate::workspace::repo::linked_directories::InstalledDependencies;

/// Dependencies of a placed commit beyond those of the user's checkout.
#[derive(Default)]
pub(crate) struct WantedDependencies {
    changed: Vec<String>,
    key: String,
}

impl Repo {
    /// Returns the directories linked automatically for a commit: none if `workspace.setup` is set.
    pub(crate) fn automatic_links(&self, tree: &Tree, settings: &WorkspaceSettings) -> Vec<String> {
        if settings.setup.is_some() {
            return Vec::new();
        }
        let named: BTreeSet<&str> =
            settings.link.iter().map(|path| path.trim_end_matches('/')).collect();
        let mut found = find_dependency_directories(tree, &self.root).found;
        let is_new = |path: &str| self.dependency_baseline.is_new(&self.root, path);
        found.retain(|path| !named.contains(path.as_str()) && !is_new(path));
        found
    }
}

impl Slot {
    /// Keeps the results of installs while the files of a commit are placed.
    pub(super) fn keep_installed(&self, checkout: &Checkout, outside: &mut DiffExclusions) {
        let installed = self.repo.brought.with(&checkout.dir, |state| state.installed.clone());
        let dirs = installed.into_iter().flat_map(|installed| installed.dirs);
        let known: BTreeSet<String> = outside.dependencies.drain(..).chain(dirs).collect();
        outside.dependencies.extend(known);
    }

    /// Records the dependencies of a placed commit, and removes results of installs for other dependencies. `links`
    /// are the directories to copy.
    pub(super) async fn settle_installed(
        &self,
        checkout: &Checkout,
        tree: &Tree,
        links: Vec<String>,
        outside: &mut DiffExclusions,
        settings: &WorkspaceSettings,
    ) -> Result<WantedDependencies> {
        let wanted = match settings.setup {
            Some(_) => WantedDependencies::default(),
            None => self.wanted(checkout, tree),
        };
        let there = |path: &String| checkout.dir.join(path).symlink_metadata().is_ok();
        let gone = self.repo.brought.with(&checkout.dir, |state| {
            let holds = !state.is_stale
                && state.installed.as_ref().is_some_and(|installed| {
                    installed.key.as_ref() == Some(&wanted.key) && installed.dirs.iter().all(there)
                });
            if holds {
                return Vec::new();
            }
            let mut gone = Vec::new();
            let is_stale = std::mem::take(&mut state.is_stale);
            let installed = state.installed.take();
            // An install may have changed a copied directory, or omitted an existing directory.
            let owned = |path: &&String| installed.as_ref().is_some_and(|made| made.owns(path));
            gone.extend(links.iter().filter(|path| is_stale || owned(path)).cloned());
            let stamped = |path: &&String| is_stale && state.stamps.contains_key(*path);
            gone.extend(outside.links.iter().filter(|path| owned(path) || stamped(path)).cloned());
            gone.extend(installed.iter().flat_map(|installed| installed.dirs.iter().cloned()));
            state.stamps.retain(|path, _| !gone.contains(path));
            gone
        });
        let kept = self.repo.brought.with(&checkout.dir, |state| state.installed.clone());
        outside.dependencies = links;
        if let Some(installed) = kept {
            outside.dependencies.retain(|path| !installed.owns(path));
            outside.dependencies.extend(installed.dirs);
        }
        let dir = checkout.dir.clone();
        let gone: BTreeSet<String> = gone
            .into_iter()
            .filter(|path| !tree.has_file(path) && !tree.has_directory(path))
            .collect();
        if !gone.is_empty() {
            blocking(move || {
                gone.iter().try_for_each(|path| {
                    let path = dir.join(path);
                    remove_any(&path).doing("remove", &path)
                })
            })
            .await?;
        }
        Ok(wanted)
    }

    fn wanted(&self, checkout: &Checkout, tree: &Tree) -> WantedDependencies {
        let (users, copy) = (&self.repo.root, &checkout.dir);
        let stamps = |path: &str| [users, copy].map(|dir| FileStamp::of(&dir.join(path)));
        let changed = self.repo.brought.with(&checkout.dir, |state| {
            let known = std::mem::take(&mut state.same);
            let is_same = |path: &str| known.get(path).is_some_and(|known| *known == stamps(path));
            let mut same = BTreeMap::new();
            let changed = find_changed_inputs(tree.inputs(), users, copy, is_same, |path| {
                same.insert(path.to_owned(), stamps(path));
            });
            state.same = known;
            state.same.extend(same);
            changed
        });
        match changed.is_empty() {
            true => WantedDependencies::default(),
            false => WantedDependencies { key: hash_inputs(&changed, copy), changed },
        }
    }

    /// Returns the installs required by a checkout's commit; empty if they already ran, or if setup does the
    /// installing.
    ///
    /// # Errors
    /// If the checkout is empty.
    pub fn due_installs(
        &self,
        side: Side,
        has_program: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<FrozenInstall>> {
        let (checkout, wanted, tree) = self.wanted_of(side)?;
        let is_done = self.repo.brought.with(&checkout.dir, |state| {
            state.installed.as_ref().is_some_and(|made| made.key.as_ref() == Some(&wanted.key))
        });
        let changed: Vec<&str> = wanted.changed.iter().map(String::as_str).collect();
        let mut installs = choose_frozen_installs(tree, &checkout.dir, &changed, has_program);
        if is_done {
            installs.retain(|install| matches!(install, FrozenInstall::Missing { .. }));
        }
        Ok(installs)
    }

    /// Marks the start of installs: unless [`Self::record_installed`] is called, their results do not survive a reset.
    ///
    /// # Errors
    /// If the checkout is empty.
    pub fn begin_installs(&self, side: Side, commands: &[InstallCommand]) -> Result<()> {
        self.put_installed(side, commands, false)
    }

    /// Records successful installs: their directories now belong to this checkout.
    ///
    /// # Errors
    /// If the checkout is empty.
    pub fn record_installed(&self, side: Side, commands: &[InstallCommand]) -> Result<()> {
        self.put_installed(side, commands, true)
    }

    fn put_installed(&self, side: Side, commands: &[InstallCommand], done: bool) -> Result<()> {
        let (checkout, wanted, tree) = self.wanted_of(side)?;
        let mut dirs = find_dependency_directories(tree, &checkout.dir).found;
        dirs.retain(|path| commands.iter().any(|command| command.owns(path)));
        let key = done.then(|| wanted.key.clone());
        let installed = InstalledDependencies { key, commands: commands.to_vec(), dirs };
        self.repo.brought.with(&checkout.dir, |state| state.installed = Some(installed));
        Ok(())
    }

    /// Marks the dependencies of a checkout as possibly changed by another process: the next reset copies all of them
    /// again.
    pub fn forget_dependencies(&self, side: Side) {
        self.repo.brought.with(self.path_of(side), |state| state.is_stale = true);
    }

    fn wanted_of(&self, side: Side) -> Result<(&Checkout, &WantedDependencies, &Tree)> {
        let contents = self.contents_of(side).ok_or(WorkspaceError::NotReset(self.number()))?;
        Ok((self.checkout(side), &contents.wanted, &contents.placed.tree))
    }

    /// Copies the directories that are missing or changed since the last copy, except those with an overlay.
    pub(super) async fn bring_dependencies(
        &self,
        checkout: &Checkout,
        paths: &[String],
        overlays: &mut OverlayLinks,
    ) -> Result<()> {
        for path in paths {
            match self.overlay_link(checkout, path)? {
                Some(overlay) => overlays.push(overlay),
                None => drop(self.copy_changed(checkout, path).await?),
            }
        }
        Ok(())
    }

    /// Copies a `workspace.link` path; false if missing in the user's checkout. In CI's checkout, with no agent
    /// writing, a stamp detects changes of a dependency directory; everything else is compared file by file.
    pub(super) async fn copy_link(&self, checkout: &Checkout, path: &str) -> Result<bool> {
        if self.repo.brought.is_installed(&checkout.dir, path) {
            return Ok(true);
        }
        if !is_fully_stamped(&self.repo.root.join(path)) {
            return self.copy(checkout, path).await;
        }
        if self.is_cis(checkout) {
            return self.copy_changed(checkout, path).await;
        }
        // Recorded before the first agent starts, even if CI's checkout is filled later.
        self.repo.dependency_baseline.source(&self.repo.root, path);
        self.copy(checkout, path).await
    }

    fn is_cis(&self, checkout: &Checkout) -> bool {
        checkout.dir == self.ci.dir
    }

    /// Copies a directory that is missing or changed since the last copy; false if there is none to copy.
    async fn copy_changed(&self, checkout: &Checkout, path: &str) -> Result<bool> {
        if self.repo.brought.is_installed(&checkout.dir, path) {
            return Ok(true);
        }
        let source = self.repo.dependency_baseline.source(&self.repo.root, path);
        let (DependencySource::Current(stamp) | DependencySource::Earlier(stamp)) = &source else {
            let copy = checkout.dir.join(path);
            remove_any(&copy).doing("remove", &copy)?;
            return Ok(false);
        };
        let there = checkout.dir.join(path).symlink_metadata().is_ok();
        if there && self.repo.brought.is_as_it_was(&checkout.dir, path, stamp) {
            return Ok(true);
        }
        match &source {
            DependencySource::Earlier(stamp) => self.copy_earlier(checkout, path, stamp).await?,
            _ => drop(self.copy(checkout, path).await?),
        }
        self.repo.brought.note(&checkout.dir, path, stamp.clone(), self.is_cis(checkout));
        Ok(true)
    }

    /// Copies an earlier state of a directory from another checkout of CI's.
    async fn copy_earlier(&self, checkout: &Checkout, path: &str, stamp: &str) -> Result<()> {
        for from in self.repo.brought.copies_for_ci(path, stamp) {
            let is_touched = || {
                let copy = [from.join(path)];
                end_of_use(&from).is_some_and(|sealed| first_change(&copy, sealed).is_some())
            };
            if from == checkout.dir || !from.join(path).is_dir() || is_touched() {
                continue;
            }
            match self.copy_from(&from, checkout, path).await {
                Ok(_) => return Ok(()),
                // CI may be running there.
                Err(error) => tracing::debug!("cannot copy {path}: {error}"),
            }
        }
        match self.is_cis(checkout) {
            true => Err(WorkspaceError::DependenciesChanged { path: path.to_owned() }),
            // Only CI decides.
            false => self.copy(checkout, path).await.map(drop),
        }
    }

    /// Copies a path of the user's checkout again; false if missing there.
    pub(super) async fn copy(&self, checkout: &Checkout, path: &str) -> Result<bool> {
        self.copy_from(&self.repo.root, checkout, path).await
    }

    async fn copy_from(&self, root: &Path, checkout: &Checkout, path: &str) -> Result<bool> {
        let (root, slot, path) = (root.to_owned(), checkout.dir.clone(), path.to_owned());
        let keeps_links = self.repo.is_seen_in_place;
        let real = root.canonicalize().unwrap_or_else(|_| root.clone());
        let replacement = PathReplacement::new(&[root.clone(), real], &slot);
        blocking(move || {
            let mirror = Mirror { root: &root, slot: &slot, keeps_links };
            let there = mirror.copy_path(&path).doing("copy into the slot", &root.join(&path))?;
            let copy = slot.join(&path);
            if keeps_links {
                return Ok(there);
            }
            relocate(&copy, &replacement).doing("relocate", &copy)?;
            Ok(there)
        })
        .await
    }
}
