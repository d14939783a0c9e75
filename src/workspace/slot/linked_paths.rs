//! Copies paths needed in a slot from the user's checkout that are not in git: `workspace.link`.
//!
//! They are copies, not symbolic links: through a link, an installer would write into the user's
//! checkout. `fs::copy` shares the blocks if the file system supports sharing.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::git::removal::{open_up, remove_any};

/// Source of the copies, and base of their links' targets.
pub(crate) struct Mirror<'a> {
    /// The top of the user's checkout.
    pub root: &'a Path,
    /// The top of the slot.
    pub slot: &'a Path,
    /// Whether links into the checkout stay as they are: programs see the slot at the path of the checkout.
    pub keeps_links: bool,
}

impl Mirror<'_> {
    /// Makes `path` in the slot the same as in the checkout; false if missing in the checkout.
    pub fn copy_path(&self, path: &str) -> io::Result<bool> {
        let from = self.root.join(path);
        let to = self.slot.join(path);
        // A link made by the user is followed here, and only here.
        let from = match from.canonicalize() {
            Ok(from) => from,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                remove_any(&to)?;
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        if let Some(parent) = to.parent() {
            self.real_directories(parent)?;
        }
        self.copy(&from, &to)?;
        Ok(true)
    }

    /// Creates the parent directories of a copy, none of them a link.
    fn real_directories(&self, directory: &Path) -> io::Result<()> {
        let Ok(below) = directory.strip_prefix(self.slot) else { return Ok(()) };
        let mut at = self.slot.to_owned();
        for part in below {
            at.push(part);
            if !fs::symlink_metadata(&at).is_ok_and(|found| found.is_dir()) {
                remove_any(&at)?;
                fs::create_dir(&at)?;
            }
        }
        Ok(())
    }

    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        let found = fs::symlink_metadata(from)?;
        if found.is_dir() {
            self.copy_directory(from, to, &found)
        } else if found.is_symlink() {
            self.copy_link(from, to)
        } else if found.is_file() {
            copy_file(from, to, &found)
        } else {
            Ok(())
        }
    }

    fn copy_directory(&self, from: &Path, to: &Path, found: &Metadata) -> io::Result<()> {
        if !fs::symlink_metadata(to).is_ok_and(|there| there.is_dir()) {
            remove_any(to)?;
            fs::create_dir(to)?;
        }
        // Permissions are set to the source's only after the copy is complete.
        open_up(to)?;
        let mut names = std::collections::HashSet::new();
        for entry in fs::read_dir(from)? {
            let name = entry?.file_name();
            self.copy(&from.join(&name), &to.join(&name))?;
            names.insert(name);
        }
        for entry in fs::read_dir(to)? {
            let entry = entry?;
            if !names.contains(&entry.file_name()) {
                remove_any(&entry.path())?;
            }
        }
        fs::set_permissions(to, found.permissions())
    }

    /// Copies a link. A target in the checkout becomes the same place in the slot.
    fn copy_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let target = fs::read_link(from)?;
        let target: PathBuf = match target.strip_prefix(self.root) {
            Ok(inside) if !self.keeps_links => self.slot.join(inside),
            _ => target,
        };
        if fs::read_link(to).is_ok_and(|there| there == target) {
            return Ok(());
        }
        remove_any(to)?;
        symlink(target, to)
    }
}

/// Copies a file. The same size and time mean the same content, because copies keep the time of their source.
fn copy_file(from: &Path, to: &Path, found: &Metadata) -> io::Result<()> {
    if let Ok(there) = fs::symlink_metadata(to) {
        let same = there.is_file()
            && there.len() == found.len()
            && there.permissions() == found.permissions()
            && there.modified()? == found.modified()?;
        if same {
            return Ok(());
        }
        // Removed rather than overwritten, because the path may be a hard link to any file.
        remove_any(to)?;
    }
    fs::copy(from, to)?;
    let times = fs::FileTimes::new().set_modified(found.modified()?);
    match File::options().write(true).open(to) {
        Ok(file) => file.set_times(times),
        // Read-only: the time alone does not justify an error.
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_follows_its_source_and_its_links_stay_in_the_slot() {
        let temp = tempfile::tempdir().unwrap();
        let top = temp.path().canonicalize().unwrap();
        let (root, slot) = (top.join("root"), top.join("slot"));
        fs::create_dir_all(root.join("mods/a")).unwrap();
        fs::create_dir_all(&slot).unwrap();
        fs::write(root.join("mods/a/x"), "1").unwrap();
        symlink(root.join("mods/a"), root.join("mods/abs")).unwrap();
        symlink("a/x", root.join("mods/rel")).unwrap();
        let mirror = Mirror { root: &root, slot: &slot, keeps_links: false };
        assert!(mirror.copy_path("mods").unwrap());
        assert_eq!(fs::read_link(slot.join("mods/abs")).unwrap(), slot.join("mods/a"));
        assert_eq!(fs::read_to_string(slot.join("mods/rel")).unwrap(), "1");
        fs::write(slot.join("mods/a/x"), "agent").unwrap();
        fs::write(slot.join("mods/extra"), "").unwrap();
        assert!(mirror.copy_path("mods").unwrap());
        assert_eq!(fs::read_to_string(slot.join("mods/a/x")).unwrap(), "1");
        assert!(!slot.join("mods/extra").exists());
        assert!(!mirror.copy_path("absent").unwrap());
    }
}
