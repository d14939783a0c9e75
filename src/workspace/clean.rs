//! Removes from a slot everything that its commit does not have, but for what stays.
//!
//! Not `git clean`, which leaves sockets, pipes and `.git` folders inside tracked folders, gives up at
//! a folder that an agent made read-only, and would look through an index that may be out of date.
//! Nothing is followed: a symbolic link is removed, never what it leads to.

use std::fs::{self, DirEntry, FileType, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::outside::Outside;
use super::paths::{joined, to_bytes};
use super::tree::{Entry, Tree};

/// What was kept, by its topmost path.
pub(super) fn clean(root: &Path, tree: &Tree, outside: &Outside) -> io::Result<Vec<Vec<u8>>> {
    let mut sweep = Sweep { tree, outside, kept: Vec::new() };
    sweep.folder(root, b"")?;
    Ok(sweep.kept)
}

struct Sweep<'a> {
    tree: &'a Tree,
    outside: &'a Outside,
    kept: Vec<Vec<u8>>,
}

impl Sweep<'_> {
    /// Whether it is empty afterwards.
    fn folder(&mut self, folder: &Path, path: &[u8]) -> io::Result<bool> {
        open_up(folder)?;
        let mut empty = true;
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = joined(path, to_bytes(Path::new(&entry.file_name())));
            empty &= self.entry(&entry, &path)?;
        }
        Ok(empty)
    }

    /// Whether it is gone afterwards.
    fn entry(&mut self, entry: &DirEntry, path: &[u8]) -> io::Result<bool> {
        let kind = entry.file_type()?;
        let on_disk = entry.path();
        if is_git(entry) {
            return remove(&on_disk, kind).map(|()| true);
        }
        if self.tree.is_folder(path) {
            return match kind.is_dir() {
                true => self.folder(&on_disk, path).map(|_| false),
                false => remove(&on_disk, kind).map(|()| true),
            };
        }
        match self.tree.at(path) {
            // Its own reset sees to what is in it.
            Some(Entry::Submodule) if kind.is_dir() => Ok(false),
            // Writing into a hard link would write to whatever else it is, outside the slot as well.
            Some(Entry::Leaf) if kind.is_file() && entry.metadata()?.nlink() > 1 => {
                remove(&on_disk, kind).map(|()| true)
            }
            Some(Entry::Leaf) if kind.is_file() || kind.is_symlink() => Ok(false),
            Some(_) => remove(&on_disk, kind).map(|()| true),
            None => self.stranger(&on_disk, path, kind),
        }
    }

    fn stranger(&mut self, on_disk: &Path, path: &[u8], kind: FileType) -> io::Result<bool> {
        // A link is no cache: through it, builds would go on writing elsewhere.
        if !kind.is_symlink() && self.outside.stays(path, kind.is_dir(), self.tree) {
            self.kept.push(path.to_vec());
            return Ok(false);
        }
        // Something in it may stay.
        if kind.is_dir() && !self.folder(on_disk, path)? {
            return Ok(false);
        }
        remove(on_disk, kind)?;
        Ok(true)
    }
}

fn is_git(entry: &DirEntry) -> bool {
    entry.file_name().eq_ignore_ascii_case(".git")
}

/// Removes whatever is there, read-only or not.
pub(super) fn remove(path: &Path, kind: FileType) -> io::Result<()> {
    let again = |result: io::Result<()>| match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    };
    if !kind.is_dir() {
        return again(fs::remove_file(path));
    }
    match again(fs::remove_dir_all(path)) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            open_up_all(path)?;
            again(fs::remove_dir_all(path))
        }
        other => other,
    }
}

/// The same for a path where there may be nothing.
pub(super) fn remove_any(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) => remove(path, found.file_type()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Lets us list, enter and change a folder.
pub(super) fn open_up(folder: &Path) -> io::Result<()> {
    let mode = fs::symlink_metadata(folder)?.permissions().mode();
    if mode & 0o700 != 0o700 {
        fs::set_permissions(folder, Permissions::from_mode(mode | 0o700))?;
    }
    Ok(())
}

/// The same for every folder beneath it.
fn open_up_all(folder: &Path) -> io::Result<()> {
    open_up(folder)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up_all(&entry.path())?;
        }
    }
    Ok(())
}

/// Makes what an agent locked away readable again: folders and files, but for what stays.
pub(super) fn unlock(root: &Path, path: &[u8], outside: &Outside, tree: &Tree) -> io::Result<()> {
    open_up(root)?;
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let path = joined(path, to_bytes(Path::new(&entry.file_name())));
        if outside.stays(&path, kind.is_dir(), tree) {
            continue;
        }
        if kind.is_dir() {
            unlock(&entry.path(), &path, outside, tree)?;
        } else if kind.is_file() {
            let mode = entry.metadata()?.permissions().mode();
            if mode & 0o600 != 0o600 {
                fs::set_permissions(entry.path(), Permissions::from_mode(mode | 0o600))?;
            }
        }
    }
    Ok(())
}

/// Every `.git` beneath the top, but in what stays: where an agent made repositories of its own.
pub(super) fn nested_git(root: &Path, outside: &Outside, tree: &Tree) -> io::Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    let mut open: Vec<Vec<u8>> = vec![Vec::new()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(root.join(super::paths::from_bytes(&folder)))? {
            let entry = entry?;
            let path = joined(&folder, to_bytes(Path::new(&entry.file_name())));
            let is_folder = entry.file_type()?.is_dir();
            if is_git(&entry) {
                if !folder.is_empty() {
                    found.push(path);
                }
            } else if is_folder && !outside.stays(&path, true, tree) {
                open.push(path);
            }
        }
    }
    Ok(found)
}
