//! Detects writes to CI's checkout by other processes: agents run as the same user, so they can
//! reach it.
//!
//! At the end of each use by CI, an empty file is written next to the checkout: the seal. Before the next
//! use, kept paths with a change after the seal are removed and made anew. Tracked files need no seal: a reset
//! restores them.
//!
//! The search is bounded and costs a few milliseconds at most. Top levels come first; a file replaced deep inside
//! a large directory may be missed.

use std::collections::VecDeque;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Slot;
use super::checkout::Checkout;
use crate::clock::machine_now;
use crate::file_stamp::{ChangeTime, changed_at, modified_at};
use crate::git::error::{Context, Result};
use crate::git::path_bytes::from_bytes;
use crate::git::removal::remove_any;
use crate::workspace::blocking_work::blocking;

/// Entries and directories read in a search.
const MOST_ENTRIES: usize = 2500;
const MOST_DIRECTORIES: usize = 400;

fn seal_of(checkout: &Path) -> PathBuf {
    let mut name = checkout.as_os_str().to_owned();
    name.push(".seal");
    name.into()
}

/// Returns the end of the last use by CI; `None` during a use, or if the last use had no orderly end.
pub(crate) fn end_of_use(checkout: &Path) -> Option<ChangeTime> {
    fs::symlink_metadata(seal_of(checkout)).ok().as_ref().map(changed_at)
}

/// Removes all kept paths of a checkout if one of them changed after the seal; returns the changed path.
pub(crate) async fn remove_touched(
    checkout: &Checkout,
    kept: &mut Vec<Vec<u8>>,
    sealed: Option<ChangeTime>,
) -> Result<Option<PathBuf>> {
    let Some(sealed) = sealed.filter(|_| !kept.is_empty()) else { return Ok(None) };
    let (dir, paths) = (checkout.dir.clone(), kept.clone());
    let touched = blocking(move || {
        let paths: Vec<PathBuf> = paths.iter().map(|path| dir.join(from_bytes(path))).collect();
        let Some(touched) = first_change(&paths, sealed) else { return Ok(None) };
        // The search is bounded, so the other paths are not known to be unchanged.
        paths.iter().try_for_each(|path| remove_any(path).doing("remove", path))?;
        Ok(Some(touched.strip_prefix(&dir).unwrap_or(&touched).to_owned()))
    })
    .await?;
    if touched.is_some() {
        kept.clear();
    }
    Ok(touched)
}

/// Returns the first entry in or at the paths with a change after `sealed`.
pub(crate) fn first_change(paths: &[PathBuf], sealed: ChangeTime) -> Option<PathBuf> {
    let latest = i128::from(machine_now().0 + 1) * 1_000_000;
    let is_touched = |found: &Metadata| {
        // Other names of a file may be in a package manager's store, and coming and going there changes `ctime`.
        let is_shared = found.is_file() && found.nlink() > 1;
        match is_shared {
            true => (sealed + 1..=latest).contains(&modified_at(found)),
            false => changed_at(found) > sealed,
        }
    };
    let mut open = VecDeque::new();
    for path in paths {
        let Ok(found) = fs::symlink_metadata(path) else { continue };
        if is_touched(&found) {
            return Some(path.clone());
        }
        if found.is_dir() {
            open.push_back(path.clone());
        }
    }
    let (mut entries, mut directories) = (0, 0);
    while let Some(dir) = open.pop_front() {
        directories += 1;
        if directories > MOST_DIRECTORIES {
            return None;
        }
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            entries += 1;
            if entries > MOST_ENTRIES {
                return None;
            }
            let Ok(found) = entry.metadata() else { continue };
            if is_touched(&found) {
                return Some(entry.path());
            }
            if found.is_dir() {
                open.push_back(entry.path());
            }
        }
    }
    None
}

impl Slot {
    /// Marks the begin of a use of CI's checkout.
    pub(super) fn break_seal(&mut self) -> Result<()> {
        let seal = seal_of(&self.ci.dir);
        remove_any(&seal).doing("remove", &seal)?;
        self.ci_in_use = true;
        Ok(())
    }

    /// Marks the end of CI's use of its checkout: from now on, every change there is another process's. An intact
    /// seal keeps its time.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn seal_ci(&mut self) -> Result<()> {
        let seal = seal_of(&self.ci.dir);
        if self.ci_in_use || end_of_use(&self.ci.dir).is_none() {
            write_seal(&seal).doing("write", &seal)?;
        }
        self.ci_in_use = false;
        Ok(())
    }

    /// Ends the use of a checkout that is removed, without a seal.
    pub(super) fn drop_seal(&mut self) -> Result<()> {
        self.ci_in_use = false;
        let seal = seal_of(&self.ci.dir);
        remove_any(&seal).doing("remove", &seal)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.ci_in_use
            && let Err(error) = self.seal_ci()
        {
            tracing::debug!("cannot seal CI's checkout: {error}");
        }
    }
}

fn write_seal(seal: &Path) -> io::Result<()> {
    // The path may be a link or a directory by now.
    remove_any(seal)?;
    fs::write(seal, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later(dir: &Path) -> ChangeTime {
        // The clock of a file system may tick every few milliseconds only.
        let first = dir.join("first");
        write_seal(&first).unwrap();
        let sealed = changed_at(&fs::symlink_metadata(&first).unwrap());
        let probe = dir.join("probe");
        loop {
            write_seal(&probe).unwrap();
            if changed_at(&fs::symlink_metadata(&probe).unwrap()) > sealed {
                return sealed;
            }
        }
    }

    #[test]
    fn added_removed_and_rewritten_entries_are_found_and_others_are_not() {
        let acts: [fn(&Path); 5] = [
            |kept| fs::create_dir_all(kept.join("ghost")).unwrap(),
            |kept| fs::remove_file(kept.join("a/b/x")).unwrap(),
            |kept| fs::write(kept.join("a/b/x"), "2").unwrap(),
            |kept| fs::rename(kept.join("a/b/y"), kept.join("a/b/x")).unwrap(),
            |kept| fs::remove_dir_all(kept.join("a")).unwrap(),
        ];
        for act in acts {
            let temp = tempfile::tempdir().unwrap();
            let kept = temp.path().join("kept");
            fs::create_dir_all(kept.join("a/b")).unwrap();
            fs::write(kept.join("a/b/x"), "1").unwrap();
            fs::write(kept.join("a/b/y"), "1").unwrap();
            let sealed = later(temp.path());
            assert_eq!(first_change(std::slice::from_ref(&kept), sealed), None);
            act(&kept);
            assert!(first_change(std::slice::from_ref(&kept), sealed).is_some());
        }
    }

    #[test]
    fn a_new_hard_link_in_a_store_is_no_change() {
        let temp = tempfile::tempdir().unwrap();
        let kept = temp.path().join("kept");
        fs::create_dir(&kept).unwrap();
        fs::write(temp.path().join("stored"), "1").unwrap();
        fs::hard_link(temp.path().join("stored"), kept.join("x")).unwrap();
        let sealed = later(temp.path());
        fs::hard_link(temp.path().join("stored"), temp.path().join("elsewhere")).unwrap();
        assert_eq!(first_change(std::slice::from_ref(&kept), sealed), None);
        fs::write(temp.path().join("stored"), "2").unwrap();
        assert!(first_change(std::slice::from_ref(&kept), sealed).is_some());
    }
}
