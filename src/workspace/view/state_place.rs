//! Where an agent's state is mounted if it does not exist, or if the user's path is a link that cannot be covered.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::git::error::{Context, Result};
use crate::git::removal::remove_any;

/// Finds places for mounts, and prepares their mount points.
pub(super) struct StatePlaces<'a> {
    /// HOME without links.
    pub home: PathBuf,
    /// Backing of the mirror of HOME.
    pub private_home: &'a Path,
    /// Directory for backings of other mirrors.
    pub private: &'a Path,
    /// Mirrors of directories in which missing state is created, with their backing.
    pub parents: BTreeMap<PathBuf, PathBuf>,
}

impl StatePlaces<'_> {
    /// Makes an entry of the private HOME that covers a link.
    pub(super) fn in_home(&self, located: &Path) -> Result<Option<PathBuf>> {
        let Some(name) = self.name_in_home(located) else { return Ok(None) };
        let place = self.private_home.join(&name);
        remove_any(&place).doing("remove", &place)?;
        create(&place)?;
        Ok(Some(self.home.join(name)))
    }

    /// Returns the name of a path directly in HOME.
    fn name_in_home(&self, path: &Path) -> Option<OsString> {
        let parent = fs::canonicalize(path.parent()?).ok()?;
        (parent == self.home).then(|| path.file_name().map(ToOwned::to_owned)).flatten()
    }

    /// Returns where a missing directory can be mounted: in HOME, or in a mirror of its nearest parent.
    pub(super) fn of_missing(&mut self, located: &Path) -> Result<Option<PathBuf>> {
        if fs::symlink_metadata(located).is_ok() {
            return self.in_home(located);
        }
        for parent in located.ancestors().skip(1) {
            let Ok(rest) = located.strip_prefix(parent) else { continue };
            match fs::canonicalize(parent) {
                Ok(real) if self.home.starts_with(&real) && real != self.home => return Ok(None),
                Ok(real) => {
                    if real != self.home && !self.parents.contains_key(&real) {
                        let number = self.parents.len();
                        let backing = self.private.join(format!("parent-{number}"));
                        create(&backing)?;
                        self.parents.insert(real.clone(), backing);
                    }
                    return Ok(Some(real.join(rest)));
                }
                // A link to nowhere.
                Err(_) if fs::symlink_metadata(parent).is_ok() => return Ok(None),
                Err(_) => {}
            }
        }
        Ok(None)
    }
}

/// Creates a private directory with its parents.
pub(super) fn create(directory: &Path) -> Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).doing("create", directory)
}

/// Creates a private directory, or removes everything in it.
pub(super) fn empty(directory: &Path) -> Result<()> {
    remove_any(directory).doing("empty", directory)?;
    create(directory)
}
