//! Removes everything outside a slot's commit, except paths allowed to stay.
//!
//! `git clean` is not used: it leaves sockets, pipes and `.git` directories in tracked directories,
//! gives up at a directory made read-only by an agent, and would trust an index that may be out of
//! date. No link is followed: a symbolic link is removed, never its target. No walk is recursive,
//! because an agent decides the depth.

use std::fs::{self, DirEntry, FileType, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::outside_diff::DiffExclusions;
use crate::git::path_bytes::{from_bytes, join_path, to_bytes};
use crate::git::removal::{entries, is_too_long, remove, remove_any};
use crate::git::trees::{Entry, Tree};

/// Removes the files; returns the topmost kept paths.
pub(crate) fn clean(
    root: &Path,
    tree: &Tree,
    outside: &DiffExclusions,
) -> io::Result<Vec<Vec<u8>>> {
    let open = vec![(root.to_owned(), Vec::new())];
    let mut sweep = Sweep { tree, outside, open, foreign: Vec::new(), kept: Vec::new() };
    while let Some((directory, path)) = sweep.open.pop() {
        for entry in entries(&directory)? {
            let path = join_path(&path, to_bytes(Path::new(&entry.file_name())));
            sweep.entry(&entry, path)?;
        }
    }
    // Children come after their parents, so the reverse order removes children first.
    sweep.foreign.iter().rev().try_for_each(|directory| remove_if_empty(directory))?;
    sweep.kept.sort();
    Ok(sweep.kept)
}

/// Returns the topmost paths that stay, and whether there are any others.
pub(crate) fn list_remaining(
    root: &Path,
    tree: &Tree,
    outside: &DiffExclusions,
) -> io::Result<(Vec<Vec<u8>>, bool)> {
    let (mut kept, mut has_more) = (Vec::new(), false);
    let mut open: Vec<Vec<u8>> = vec![Vec::new()];
    while let Some(directory) = open.pop() {
        for entry in entries(&root.join(from_bytes(&directory)))? {
            let path = join_path(&directory, to_bytes(Path::new(&entry.file_name())));
            let is_directory = entry.file_type()?.is_dir();
            if tree.is_directory(&path) {
                open.push(path);
            } else if is_git(&entry) || tree.at(&path).is_some() {
            } else if outside.stays(&path, is_directory, tree) {
                kept.push(path);
            } else if is_directory && !is_too_long(&entry.path()) {
                // A directory with only caches in it loses nothing in a reset.
                open.push(path);
            } else {
                has_more = true;
            }
        }
    }
    kept.sort();
    Ok((kept, has_more))
}

struct Sweep<'a> {
    tree: &'a Tree,
    outside: &'a DiffExclusions,
    /// Directories to visit.
    open: Vec<(PathBuf, Vec<u8>)>,
    /// Directories to remove unless a path in them stays.
    foreign: Vec<PathBuf>,
    kept: Vec<Vec<u8>>,
}

impl Sweep<'_> {
    fn entry(&mut self, entry: &DirEntry, path: Vec<u8>) -> io::Result<()> {
        let kind = entry.file_type()?;
        let on_disk = entry.path();
        // The top's own git directory is made exact afterwards.
        if path == b".git" && kind.is_dir() {
            return Ok(());
        }
        if is_git(entry) {
            return remove(&on_disk, kind);
        }
        if self.tree.is_directory(&path) {
            if !kind.is_dir() {
                return remove(&on_disk, kind);
            }
            self.open.push((on_disk, path));
            return Ok(());
        }
        match self.tree.at(&path) {
            // Content is left to the submodule's own reset. Git would follow anything at its `.git` path.
            Some(Entry::Submodule) if kind.is_dir() => remove_any(&on_disk.join(".git")),
            // Writing to a hard link would change its other names, even outside the slot.
            Some(Entry::Leaf) if kind.is_file() && entry.metadata()?.nlink() > 1 => {
                remove(&on_disk, kind)
            }
            Some(Entry::Leaf) if kind.is_file() || kind.is_symlink() => Ok(()),
            Some(_) => remove(&on_disk, kind),
            None => self.untracked_entry(on_disk, path, kind),
        }
    }

    fn untracked_entry(
        &mut self,
        on_disk: PathBuf,
        path: Vec<u8>,
        kind: FileType,
    ) -> io::Result<()> {
        // A link is no cache: through a link, builds would continue to write elsewhere.
        if !kind.is_symlink() && self.outside.stays(&path, kind.is_dir(), self.tree) {
            self.kept.push(path);
            return Ok(());
        }
        // A path too long to open holds no cache.
        if !kind.is_dir() || is_too_long(&on_disk) {
            return remove(&on_disk, kind);
        }
        // Some of its content may stay.
        self.foreign.push(on_disk.clone());
        self.open.push((on_disk, path));
        Ok(())
    }
}

fn remove_if_empty(directory: &Path) -> io::Result<()> {
    match fs::remove_dir(directory) {
        // File systems differ in this error code.
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

/// Makes everything locked by an agent readable again: directories and files, except paths that stay or are too long
/// to open.
pub(crate) fn unlock(root: &Path, outside: &DiffExclusions, tree: &Tree) -> io::Result<()> {
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

/// Returns every `.git` in subdirectories, except in paths that stay: repositories created by an agent.
pub(crate) fn nested_git(
    root: &Path,
    outside: &DiffExclusions,
    tree: &Tree,
) -> io::Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    walk(root, outside, tree, |entry, path| {
        if is_git(entry) && path.contains(&b'/') {
            found.push(path.to_vec());
        }
        Ok(())
    })?;
    Ok(found)
}

/// Visits every path that does not stay, relative to the top; `.git` directories are not entered.
fn walk(
    root: &Path,
    outside: &DiffExclusions,
    tree: &Tree,
    mut visit: impl FnMut(&DirEntry, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut open: Vec<Vec<u8>> = vec![Vec::new()];
    while let Some(directory) = open.pop() {
        for entry in entries(&root.join(from_bytes(&directory)))? {
            let path = join_path(&directory, to_bytes(Path::new(&entry.file_name())));
            let is_directory = entry.file_type()?.is_dir();
            if !is_git(&entry) && outside.stays(&path, is_directory, tree) {
                continue;
            }
            visit(&entry, &path)?;
            if is_directory && !is_git(&entry) && !is_too_long(&entry.path()) {
                open.push(path);
            }
        }
    }
    Ok(())
}
