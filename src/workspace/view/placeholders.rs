//! Mount points in the slot: empty files and directories left there by the mounts of a view, and removed after the
//! program ended, so that they are no change of the attempt.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::path_expansion::depth;

/// Kind of an entry of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    File,
    Directory,
    Other,
}

/// Mount points missing in a checkout of a slot before the view was built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placeholders {
    top: PathBuf,
    /// Paths from the top.
    paths: BTreeSet<PathBuf>,
}

impl Placeholders {
    /// Returns the mount points that do not exist yet, with their missing parents. `targets` are paths from the top.
    pub(super) fn missing(top: &Path, targets: impl IntoIterator<Item = PathBuf>) -> Self {
        let mut paths = BTreeSet::new();
        for target in targets {
            let missing = target
                .ancestors()
                .take_while(|at| !at.as_os_str().is_empty() && kind_below(top, at).is_none());
            paths.extend(missing.map(Path::to_owned));
        }
        Self { top: top.to_owned(), paths }
    }

    /// Returns the paths, relative to the top of the slot.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter().map(PathBuf::as_path)
    }

    /// Removes those that are still empty. Links are not followed.
    ///
    /// # Errors
    /// If an empty entry cannot be removed.
    pub fn remove(&self) -> io::Result<()> {
        let mut paths: Vec<&PathBuf> = self.paths.iter().collect();
        paths.sort_by_key(|path| std::cmp::Reverse(depth(path)));
        for path in paths {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { continue };
            // A missing parent, or a link in the path: there is nothing of ours.
            let Ok(directory) = open_below(&self.top, parent) else { continue };
            let Ok(found) = stat_at(&directory, Path::new(name)) else { continue };
            let flag = match kind_of(&found) {
                EntryKind::File if found.st_size == 0 => UnlinkatFlags::NoRemoveDir,
                EntryKind::Directory => UnlinkatFlags::RemoveDir,
                _ => continue,
            };
            match unlinkat(&directory, name, flag) {
                Ok(()) | Err(Errno::ENOTEMPTY | Errno::EEXIST | Errno::ENOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Returns the kind of an entry below a directory; `None` if it is missing. A path through a link, or through
/// something else than a directory, is [`EntryKind::Other`].
pub(super) fn kind_below(top: &Path, below: &Path) -> Option<EntryKind> {
    let parent = below.parent().unwrap_or(Path::new(""));
    let Some(name) = below.file_name() else { return Some(EntryKind::Directory) };
    match open_below(top, parent) {
        Ok(directory) => match stat_at(&directory, Path::new(name)) {
            Ok(found) => Some(kind_of(&found)),
            Err(Errno::ENOENT) => None,
            Err(_) => Some(EntryKind::Other),
        },
        Err(Errno::ENOENT) => None,
        Err(_) => Some(EntryKind::Other),
    }
}

/// Opens a directory without following links below the top.
fn open_below(top: &Path, below: &Path) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut at = open(top, flags, Mode::empty())?;
    for part in below.components() {
        let Component::Normal(name) = part else { return Err(Errno::EINVAL) };
        at = openat(&at, name, flags, Mode::empty())?;
    }
    Ok(at)
}

fn stat_at(directory: &OwnedFd, name: &Path) -> nix::Result<FileStat> {
    fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW)
}

fn kind_of(found: &FileStat) -> EntryKind {
    match SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFREG => EntryKind::File,
        SFlag::S_IFDIR => EntryKind::Directory,
        _ => EntryKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_empty_mount_points_that_were_missing_are_removed() {
        let temp = tempfile::tempdir().unwrap();
        let (top, users) = (temp.path().join("slot"), temp.path().join("users"));
        fs::create_dir_all(top.join("src/empty")).unwrap();
        fs::create_dir_all(users.join("dir")).unwrap();
        fs::write(users.join("file"), "").unwrap();
        fs::write(top.join("tracked"), "").unwrap();
        let targets = ["src/empty", "tracked", "a/b/x", "a/c", "link/file", "link/dir", "full"];
        let placeholders = Placeholders::missing(&top, targets.map(PathBuf::from));
        let paths: Vec<_> = placeholders.paths().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(paths, ["a", "a/b", "a/b/x", "a/c", "full", "link", "link/dir", "link/file"]);
        fs::create_dir_all(top.join("a/b")).unwrap();
        fs::create_dir_all(top.join("a/c")).unwrap();
        fs::write(top.join("a/b/x"), "").unwrap();
        fs::write(top.join("full"), "by the agent").unwrap();
        symlink(&users, top.join("link")).unwrap();
        placeholders.remove().unwrap();
        assert!(!top.join("a").exists());
        assert!(top.join("src/empty").exists() && top.join("tracked").exists());
        assert!(top.join("full").exists() && top.join("link").is_symlink());
        assert!(users.join("dir").exists() && users.join("file").exists());
    }

    #[test]
    fn the_kind_of_an_entry_is_found_without_links() {
        let temp = tempfile::tempdir().unwrap();
        let top = temp.path();
        fs::create_dir(top.join("d")).unwrap();
        fs::write(top.join("d/f"), "").unwrap();
        symlink("d", top.join("l")).unwrap();
        let kind = |path: &str| kind_below(top, Path::new(path));
        assert_eq!(kind("d/f"), Some(EntryKind::File));
        assert_eq!(kind("d"), Some(EntryKind::Directory));
        assert_eq!(kind("l/f"), Some(EntryKind::Other));
        assert_eq!(kind("d/f/x"), Some(EntryKind::Other));
        assert_eq!(kind("l"), Some(EntryKind::Other));
        assert_eq!([kind("x"), kind("x/y")], [None, None]);
    }
}
