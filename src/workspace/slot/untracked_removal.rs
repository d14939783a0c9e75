//! Removes from a slot everything that its commit does not have, but for what stays.
//!
//! Not `git clean`, which leaves sockets, pipes and `.git` folders inside tracked folders, gives up at
//! a folder that an agent made read-only, and would look through an index that may be out of date.
//! Nothing is followed: a symbolic link is removed, never what it leads to. Nor is anything walked by
//! recursion: how deep it goes, an agent decides.

use std::fs::{self, DirEntry, FileType, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::outside_diff::Outside;
use crate::git::path_bytes::{from_bytes, joined, to_bytes};
use crate::git::removal::{entries, is_too_long, remove, remove_any};
use crate::git::trees::{Entry, Tree};

/// What was kept, by its topmost path.
pub(crate) fn clean(root: &Path, tree: &Tree, outside: &Outside) -> io::Result<Vec<Vec<u8>>> {
    let open = vec![(root.to_owned(), Vec::new())];
    let mut sweep = Sweep { tree, outside, open, strangers: Vec::new(), kept: Vec::new() };
    while let Some((folder, path)) = sweep.open.pop() {
        for entry in entries(&folder)? {
            let path = joined(&path, to_bytes(Path::new(&entry.file_name())));
            sweep.entry(&entry, path)?;
        }
    }
    // Each comes after the one that it lies in.
    sweep.strangers.iter().rev().try_for_each(|folder| remove_if_empty(folder))?;
    sweep.kept.sort();
    Ok(sweep.kept)
}

/// What stays, by its topmost path, and whether anything is there that would not.
pub(crate) fn look(
    root: &Path,
    tree: &Tree,
    outside: &Outside,
) -> io::Result<(Vec<Vec<u8>>, bool)> {
    let (mut kept, mut strange) = (Vec::new(), false);
    let mut open: Vec<Vec<u8>> = vec![Vec::new()];
    while let Some(folder) = open.pop() {
        for entry in entries(&root.join(from_bytes(&folder)))? {
            let path = joined(&folder, to_bytes(Path::new(&entry.file_name())));
            let is_folder = entry.file_type()?.is_dir();
            if tree.is_folder(&path) {
                open.push(path);
            } else if is_git(&entry) || tree.at(&path).is_some() {
            } else if outside.stays(&path, is_folder, tree) {
                kept.push(path);
            } else if is_folder && !is_too_long(&entry.path()) {
                // A folder of caches alone goes with nothing in it.
                open.push(path);
            } else {
                strange = true;
            }
        }
    }
    kept.sort();
    Ok((kept, strange))
}

struct Sweep<'a> {
    tree: &'a Tree,
    outside: &'a Outside,
    /// Folders to look into.
    open: Vec<(PathBuf, Vec<u8>)>,
    /// Folders that go unless something in them stays.
    strangers: Vec<PathBuf>,
    kept: Vec<Vec<u8>>,
}

impl Sweep<'_> {
    fn entry(&mut self, entry: &DirEntry, path: Vec<u8>) -> io::Result<()> {
        let kind = entry.file_type()?;
        let on_disk = entry.path();
        if is_git(entry) {
            return remove(&on_disk, kind);
        }
        if self.tree.is_folder(&path) {
            if !kind.is_dir() {
                return remove(&on_disk, kind);
            }
            self.open.push((on_disk, path));
            return Ok(());
        }
        match self.tree.at(&path) {
            // Its own reset sees to what is in it. Git would follow what stands for its git folder.
            Some(Entry::Submodule) if kind.is_dir() => remove_any(&on_disk.join(".git")),
            // Writing into a hard link would write to whatever else it is, outside the slot as well.
            Some(Entry::Leaf) if kind.is_file() && entry.metadata()?.nlink() > 1 => {
                remove(&on_disk, kind)
            }
            Some(Entry::Leaf) if kind.is_file() || kind.is_symlink() => Ok(()),
            Some(_) => remove(&on_disk, kind),
            None => self.stranger(on_disk, path, kind),
        }
    }

    fn stranger(&mut self, on_disk: PathBuf, path: Vec<u8>, kind: FileType) -> io::Result<()> {
        // A link is no cache: through it, builds would go on writing elsewhere.
        if !kind.is_symlink() && self.outside.stays(&path, kind.is_dir(), self.tree) {
            self.kept.push(path);
            return Ok(());
        }
        // No cache lies where no path leads.
        if !kind.is_dir() || is_too_long(&on_disk) {
            return remove(&on_disk, kind);
        }
        // Something in it may stay.
        self.strangers.push(on_disk.clone());
        self.open.push((on_disk, path));
        Ok(())
    }
}

fn remove_if_empty(folder: &Path) -> io::Result<()> {
    match fs::remove_dir(folder) {
        // Some file systems say the one, some the other.
        Err(error)
            if matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists) =>
        {
            Ok(())
        }
        other => other,
    }
}

fn is_git(entry: &DirEntry) -> bool {
    entry.file_name().eq_ignore_ascii_case(".git")
}

/// Makes what an agent locked away readable again: folders and files, but for what stays, and for what no path leads to.
pub(crate) fn unlock(root: &Path, outside: &Outside, tree: &Tree) -> io::Result<()> {
    walk(root, outside, tree, |entry, _| {
        if entry.file_type()?.is_file() {
            let mode = entry.metadata()?.permissions().mode();
            if mode & 0o600 != 0o600 {
                fs::set_permissions(entry.path(), Permissions::from_mode(mode | 0o600))?;
            }
        }
        Ok(())
    })
}

/// Every `.git` beneath the top, but in what stays: where an agent made repositories of its own.
pub(crate) fn nested_git(root: &Path, outside: &Outside, tree: &Tree) -> io::Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    walk(root, outside, tree, |entry, path| {
        if is_git(entry) && path.contains(&b'/') {
            found.push(path.to_vec());
        }
        Ok(())
    })?;
    Ok(found)
}

/// Everything that does not stay, each with its path from the top; `.git` folders are not looked into.
fn walk(
    root: &Path,
    outside: &Outside,
    tree: &Tree,
    mut visit: impl FnMut(&DirEntry, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut open: Vec<Vec<u8>> = vec![Vec::new()];
    while let Some(folder) = open.pop() {
        for entry in entries(&root.join(from_bytes(&folder)))? {
            let path = joined(&folder, to_bytes(Path::new(&entry.file_name())));
            let is_folder = entry.file_type()?.is_dir();
            if !is_git(&entry) && outside.stays(&path, is_folder, tree) {
                continue;
            }
            visit(&entry, &path)?;
            if is_folder && !is_git(&entry) && !is_too_long(&entry.path()) {
                open.push(path);
            }
        }
    }
    Ok(())
}
