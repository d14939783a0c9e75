//! Dependency directories: `node_modules`, virtual environments, `vendor`.
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
//! | does a change to this path require a new setup? |
//! [`is_input`](crate::phase::dependency_inputs::is_input) |
//! | which manifests ask for other dependencies than in the user's checkout? | [`find_changed_inputs()`] |
//! | which command installs them? | [`choose_frozen_installs`] |

mod changed_inputs;
mod directories;
mod frozen_install;

mod relocation;
mod stamp;

pub use changed_inputs::{find_changed_inputs, hash_inputs};
pub use directories::{DependencyDirectories, dependencies_around, find_dependency_directories};
pub use frozen_install::{FrozenInstall, InstallCommand, choose_frozen_installs};
pub use relocation::{Relocation, relocate};
pub use stamp::stamp;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

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

/// Whether a path is a directory (not a symbolic link) with packages known to [`stamp()`]. For other directories the
/// stamp covers only the top level.
pub fn is_dependency_directory(dir: &Path) -> bool {
    fs::symlink_metadata(dir).is_ok_and(|found| found.is_dir())
        && DirectoryKind::of(dir) != DirectoryKind::Other
}

/// Returns the paths in `dir` matching a pattern: components joined by `/`, each a name, `*`, or a name with `*` at
/// the start or end. Symbolic links to directories are not followed.
fn expand(dir: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![dir.to_owned()];
    for part in pattern.split('/') {
        found = found.iter().flat_map(|at| matching(at, part)).collect();
    }
    found
}

fn matching(dir: &Path, part: &str) -> Vec<PathBuf> {
    if !fs::symlink_metadata(dir).is_ok_and(|found| found.is_dir()) {
        return Vec::new();
    }
    if !part.contains('*') {
        let path = dir.join(part);
        return if fs::symlink_metadata(&path).is_ok() { vec![path] } else { Vec::new() };
    }
    let mut paths: Vec<PathBuf> = names(dir)
        .into_iter()
        .filter(|name| name.to_str().is_some_and(|name| fits(name, part)))
        .map(|name| dir.join(name))
        .collect();
    paths.sort();
    paths
}

fn fits(name: &str, part: &str) -> bool {
    match part.split_once('*') {
        Some((start, end)) => {
            name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
        }
        None => name == part,
    }
}

/// Returns the sorted names in a directory; empty if unreadable.
fn names(dir: &Path) -> Vec<OsString> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<OsString> = entries.map(|entry| entry.file_name()).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_expand_without_following_links() {
        let temp = tempfile::tempdir().unwrap();
        for file in ["lib/python3.11/site-packages/a.pth", "lib/python3.11/site-packages/b.py"] {
            let path = temp.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        std::os::unix::fs::symlink("lib", temp.path().join("lib64")).unwrap();
        let found = expand(temp.path(), "lib*/python*/site-packages/*.pth");
        assert_eq!(found, [temp.path().join("lib/python3.11/site-packages/a.pth")]);
        assert!(expand(temp.path(), "absent/*").is_empty());
        assert!(fits("a.pth", "*.pth") && !fits("pth", "*.pth") && fits("x", "*"));
    }
}
