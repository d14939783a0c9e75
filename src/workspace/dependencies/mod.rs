//! Dependency directories: `node_modules`, virtual environments, and others such as `vendor`.
//!
//! They are not in git, and agents and CI cannot work without them. This module tells which
//! dependency directories a checkout needs, whether a directory changed since it was copied, how to
//! remove the user's checkout from the paths in a copy, and which command installs a changed lock
//! file. Copying and running commands is done by the callers.
//!
//! | question | answered by |
//! |---|---|
//! | which directories does a commit need? | [`find_dependency_directories`] |
//! | did a directory change since the copy? | [`stamp()`] |
//! | which paths in a copy name the user's checkout? | [`relocate`] |
//! | which dependency directory contains this ignored path? | [`dependencies_around`] |
//! | does a change to this path require a new setup? | [`is_input`] |
//! | did the manifests and lock files of a checkout change since its setup? | [`hash_inputs`] |
//! | which manifests ask for other dependencies than in the user's checkout? | [`find_changed_inputs()`] |
//! | which command installs them? | [`choose_frozen_installs`] |
//!
//! [`is_input`]: crate::phase::dependency_inputs::is_input

mod changed_inputs;
mod directories;
mod frozen_install;
mod path_patterns;
mod relocation;
mod stamp;

pub use changed_inputs::{find_changed_inputs, hash_inputs};
pub use directories::{DependencyDirectories, dependencies_around, find_dependency_directories};
pub use frozen_install::{FrozenInstall, InstallCommand, choose_frozen_installs};
pub use relocation::{Relocation, relocate};
pub use stamp::stamp;

use std::fs;
use std::path::Path;

/// Marker file of a virtual environment, regardless of the directory's name.
const VENV_MARKER: &str = "pyvenv.cfg";

/// Kind of dependency directory, determined by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DirectoryKind {
    NodeModules,
    Venv,
    /// `vendor` and everything else: identified only by its files.
    Other,
}

impl DirectoryKind {
    fn of(dir: &Path) -> Self {
        if dir.join(VENV_MARKER).is_file() {
            Self::Venv
        } else if dir.file_name().is_some_and(|name| name == "node_modules") {
            Self::NodeModules
        } else {
            Self::Other
        }
    }
}

/// Whether [`stamp()`] covers the packages in this directory (`node_modules`, virtual environments). For others, such
/// as `vendor`, it covers only the top level and some records of package managers. False for a symbolic link.
pub fn is_fully_stamped(dir: &Path) -> bool {
    fs::symlink_metadata(dir).is_ok_and(|found| found.is_dir())
        && DirectoryKind::of(dir) != DirectoryKind::Other
}
