//! What this process knows of the dependency directories in its checkouts: stamps of the copies, and results of
//! installs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::file_stamp::FileStamp;
use crate::workspace::dependencies::InstallCommand;

/// A directory of `workspace.link`, or a dependency directory linked automatically.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkedDirectory {
    /// Path from the top of the checkout.
    pub path: String,
    /// Directory with the files, without symbolic links.
    pub source: PathBuf,
}

/// Whether an overlay can show a directory.
#[derive(Clone)]
pub struct OverlayRule(pub Arc<dyn Fn(&Path) -> bool + Send + Sync>);

/// State of the dependency directories of each checkout, as far as known to this process.
#[derive(Clone, Default)]
pub(crate) struct LinkedDirectories(Arc<Mutex<BTreeMap<PathBuf, DependencyState>>>);

/// State of the dependency directories of one checkout.
#[derive(Default)]
pub(crate) struct DependencyState {
    /// Stamp of each copied directory at the time of the copy, by path.
    pub stamps: BTreeMap<String, String>,
    /// Manifests with the same dependencies as the user's: the stamps of both files at the comparison.
    pub same: BTreeMap<String, [Option<FileStamp>; 2]>,
    pub installed: Option<InstalledDependencies>,
    /// Whether the copies are for CI.
    is_cis: bool,
    /// Whether another process may have installed something.
    pub is_stale: bool,
}

/// Result of frozen installs.
#[derive(Clone)]
pub(crate) struct InstalledDependencies {
    /// Key of the installed manifests; `None` during an install, or after a failure.
    pub key: Option<String>,
    pub commands: Vec<InstallCommand>,
    pub dirs: Vec<String>,
}

impl InstalledDependencies {
    /// Whether an install command makes this path.
    pub fn owns(&self, path: &str) -> bool {
        self.commands.iter().any(|command| command.owns(path))
    }
}

impl LinkedDirectories {
    /// Runs `update` on the state of a checkout.
    pub fn with<T>(&self, checkout: &Path, update: impl FnOnce(&mut DependencyState) -> T) -> T {
        let mut all: MutexGuard<'_, _> = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        update(all.entry(checkout.to_owned()).or_default())
    }

    /// Forgets a removed checkout.
    pub fn forget(&self, checkout: &Path) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(checkout);
    }

    /// Whether a directory was copied to the checkout in this state.
    pub fn is_as_it_was(&self, checkout: &Path, path: &str, stamp: &str) -> bool {
        self.with(checkout, |state| state.stamps.get(path).is_some_and(|known| known == stamp))
    }

    /// Records a copied directory with its stamp.
    pub fn note(&self, checkout: &Path, path: &str, stamp: String, is_cis: bool) {
        self.with(checkout, |state| {
            state.is_cis = is_cis;
            state.stamps.insert(path.to_owned(), stamp);
        });
    }

    /// Returns CI's checkouts with a copy of this state of a directory.
    pub fn copies_for_ci(&self, path: &str, stamp: &str) -> Vec<PathBuf> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_copy = |state: &DependencyState| {
            state.is_cis && state.stamps.get(path).is_some_and(|known| known == stamp)
        };
        all.iter().filter(|(_, state)| is_copy(state)).map(|(dir, _)| dir.clone()).collect()
    }

    /// Whether a frozen install created this path of a checkout.
    pub fn is_installed(&self, checkout: &Path, path: &str) -> bool {
        self.with(checkout, |state| state.installed.as_ref().is_some_and(|made| made.owns(path)))
    }
}
