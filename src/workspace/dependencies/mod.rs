//! Dependency directories: `node_modules`, virtual environments, `vendor`.
//!
//! Git does not have them, and neither an agent nor CI can work without them. This module knows which of
//! them a checkout of autopack's own needs, whether one changed since it was copied, how a copy stops
//! naming the checkout that it came from, and which command installs what a changed lock file asks for.
//! It copies and runs nothing itself.
//!
//! | question | answered by |
//! |---|---|
//! | which directories does a commit need? | [`dependency_directories`] |
//! | did one change since it was copied? | [`stamp()`] |
//! | what in a copy still names the user's checkout? | [`relocate`] |
//! | does a change to this path ask for a new setup? | [`is_input`](crate::phase::dependency_inputs::is_input) |
//! | which of them ask for other dependencies than the user's checkout has? | [`changed_inputs`] |
//! | which command installs what they ask for? | [`frozen_installs`] |

mod changed_inputs;
mod directories;
mod frozen_install;

mod relocation;
mod stamp;

pub use changed_inputs::{changed_inputs, key_of};
pub use directories::{DependencyDirectories, dependency_directories};
pub use frozen_install::{FrozenInstall, InstallCommand, frozen_installs};
pub use relocation::{Relocation, relocate};
pub use stamp::stamp;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// The marker of a virtual environment, whatever its directory is called.
const VENV_MARKER: &str = "pyvenv.cfg";

/// What kind of directory it is, by what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    NodeModules,
    Venv,
    /// `vendor` and everything else: only its own files say what it is.
    Other,
}

impl Kind {
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

/// Whether a directory, itself and not by way of a symbolic link, is one whose packages a [`stamp()`] tells apart: of
/// any other, only the top would be looked at.
pub fn is_dependency_directory(dir: &Path) -> bool {
    fs::symlink_metadata(dir).is_ok_and(|found| found.is_dir()) && Kind::of(dir) != Kind::Other
}

/// The paths below `dir` that a pattern matches: components joined by `/`, each a name, `*`, or a name that
/// begins or ends with `*`. Symbolic links to directories are not followed.
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

/// The names in a directory, sorted; none where it cannot be read.
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
