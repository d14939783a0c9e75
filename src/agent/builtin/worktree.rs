//! Access to files of the worktree only.
//!
//! A path is split and opened component by component, each relative to the previous directory and without
//! following links: the checked file is the opened file. The permission to write is decided elsewhere.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat, renameat};
use nix::sys::stat::{Mode, fchmod, fstat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::edit::{Refusal, Staged};
use crate::phase::path::reserved;

/// Larger files, in bytes, are neither shown nor edited.
const LARGEST: u64 = 8 * 1024 * 1024;

#[derive(Clone, Debug)]
pub(super) struct Worktree {
    root: PathBuf,
}

impl Worktree {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Returns a file's text; `None` if there is no file.
    pub(super) fn read(&self, path: &str) -> Result<Option<String>, Refusal> {
        let Some(file) = self.open(path)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed("read", path))?;
        if bytes.len() as u64 > LARGEST {
            return Err(Refusal(format!("{path} is larger than {} MiB", LARGEST / 1024 / 1024)));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(Refusal(format!("{path} is not UTF-8 text"))),
        }
    }

    fn open(&self, path: &str) -> Result<Option<File>, Refusal> {
        let Some((directory, name)) = self.parent(path)? else { return Ok(None) };
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = match openat(&directory, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::ENOENT) => return Ok(None),
            Err(Errno::ELOOP) => return Err(is_link(&directory, name, path)),
            Err(error) => return Err(failed("open", path)(error.into())),
        };
        let kind = file.metadata().map_err(failed("look at", path))?.file_type();
        match kind.is_file() {
            true => Ok(Some(file)),
            false if kind.is_dir() => Err(Refusal(format!("{path} is a directory"))),
            false => Err(Refusal(format!("{path} is not a regular file"))),
        }
    }

    /// Checks whether a file or any other entry exists.
    pub(super) fn exists(&self, path: &str) -> bool {
        let parent = self.parent(path).ok().flatten();
        let at = |(directory, name): (OwnedFd, &str)| {
            fstatat(&directory, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok()
        };
        parent.is_some_and(at)
    }

    /// Writes all files or none: new texts are written beside the old files first, then moved into place.
    pub(super) fn commit(&self, staged: &[Staged]) -> Result<(), Refusal> {
        let mut written = Vec::new();
        let mut made = Vec::new();
        let result = self.write_all_temporary(staged, &mut written, &mut made);
        let result = result.and_then(|()| self.rename_all(staged, &mut written));
        if result.is_err() {
            // Leftover temporary files were never moved into place: clutter, but not an edit.
            written.iter().flatten().for_each(TemporaryFile::remove);
            made.iter().rev().for_each(|path| self.remove_directory(path));
        }
        result
    }

    fn write_all_temporary(
        &self,
        staged: &[Staged],
        written: &mut Vec<Option<TemporaryFile>>,
        made: &mut Vec<String>,
    ) -> Result<(), Refusal> {
        for file in staged {
            let Some(text) = &file.after else {
                written.push(None);
                continue;
            };
            let mode = self.mode(file.from.as_deref().unwrap_or(&file.path))?;
            self.make_directories(&file.path, made)?;
            written.push(Some(self.write_temporary(&file.path, text, mode)?));
        }
        Ok(())
    }

    fn rename_all(
        &self,
        staged: &[Staged],
        written: &mut [Option<TemporaryFile>],
    ) -> Result<(), Refusal> {
        for (done, (file, written)) in staged.iter().zip(written.iter_mut()).enumerate() {
            let put = match written.take() {
                Some(new) => new.rename_into_place(),
                None => self.delete(&file.path),
            };
            if let Err(error) = put {
                self.undo(&staged[..done]);
                return Err(failed("write", &file.path)(error));
            }
        }
        Ok(())
    }

    /// Restores the previous files. If this fails too, no further attempt is made.
    fn undo(&self, done: &[Staged]) {
        for file in done {
            let _ = match &file.before {
                Some(text) => self
                    .write_temporary(&file.path, text, None)
                    .map(|written| written.rename_into_place())
                    .map(drop),
                None => self.delete(&file.path).map_err(failed("delete", &file.path)),
            };
        }
    }

    fn write_temporary(
        &self,
        path: &str,
        text: &str,
        mode: Option<Mode>,
    ) -> Result<TemporaryFile, Refusal> {
        let Some((directory, name)) = self.parent(path)? else {
            return Err(Refusal(format!("the directory of {path} is gone")));
        };
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let temporary = format!(".autopack-edit-{}-{number}", std::process::id());
        let flags =
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let anyone = Mode::from_bits_truncate(0o666);
        let file = openat(&directory, temporary.as_str(), flags, anyone);
        let mut file = File::from(file.map_err(|error| failed("write", path)(error.into()))?);
        let new_file = TemporaryFile { directory, temporary, name: name.to_owned() };
        let written = file.write_all(text.as_bytes()).and_then(|()| match mode {
            Some(mode) => Ok(fchmod(&file, mode)?),
            None => Ok(()),
        });
        match written {
            Ok(()) => Ok(new_file),
            Err(error) => {
                new_file.remove();
                Err(failed("write", path)(error))
            }
        }
    }

    fn mode(&self, path: &str) -> Result<Option<Mode>, Refusal> {
        let Some(file) = self.open(path)? else { return Ok(None) };
        let stat = fstat(&file).map_err(|error| failed("look at", path)(error.into()))?;
        Ok(Some(Mode::from_bits_truncate(stat.st_mode & 0o777)))
    }

    fn delete(&self, path: &str) -> io::Result<()> {
        let parent = self.parent(path).map_err(|why| io::Error::other(why.0))?;
        let Some((directory, name)) = parent else { return Ok(()) };
        Ok(unlinkat(&directory, name, UnlinkatFlags::NoRemoveDir)?)
    }

    fn remove_directory(&self, path: &str) {
        if let Ok(Some((directory, name))) = self.parent(path) {
            let _ = unlinkat(&directory, name, UnlinkatFlags::RemoveDir);
        }
    }

    /// Returns the directory of a path, and the last name; `None` if the directory does not exist.
    fn parent<'a>(&self, path: &'a str) -> Result<Option<(OwnedFd, &'a str)>, Refusal> {
        let (directories, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut at: OwnedFd = File::open(&self.root).map_err(failed("open", "."))?.into();
        for part in directories.split('/').filter(|part| !part.is_empty()) {
            at = match open_directory(&at, part) {
                Ok(next) => next,
                Err(Errno::ENOENT) => return Ok(None),
                Err(Errno::ENOTDIR | Errno::ELOOP) => return Err(is_link(&at, part, path)),
                Err(error) => return Err(failed("open", path)(error.into())),
            };
        }
        Ok(Some((at, name)))
    }

    fn make_directories(&self, path: &str, made: &mut Vec<String>) -> Result<(), Refusal> {
        for (end, _) in path.match_indices('/') {
            let directory = &path[..end];
            let Some((parent, name)) = self.parent(directory)? else { continue };
            match mkdirat(&parent, name, Mode::from_bits_truncate(0o777)) {
                Ok(()) => made.push(directory.to_owned()),
                Err(Errno::EEXIST) => {}
                Err(error) => return Err(failed("create the directory of", path)(error.into())),
            }
        }
        Ok(())
    }
}

/// A temporary file beside the target file.
struct TemporaryFile {
    directory: OwnedFd,
    temporary: String,
    name: String,
}

impl TemporaryFile {
    fn rename_into_place(self) -> io::Result<()> {
        let put =
            renameat(&self.directory, self.temporary.as_str(), &self.directory, self.name.as_str());
        if put.is_err() {
            self.remove();
        }
        Ok(put?)
    }

    fn remove(&self) {
        let _ = unlinkat(&self.directory, self.temporary.as_str(), UnlinkatFlags::NoRemoveDir);
    }
}

/// Converts a model's path to a path relative to the worktree: `/` between components, none of them empty or
/// `.`. The empty path is the worktree itself.
pub(super) fn clean(path: &str) -> Result<String, Refusal> {
    let refused =
        |why: &str| Err(Refusal(format!("{path:?} {why}; paths are relative to the repository")));
    if path.contains('\0') {
        return refused("contains a NUL character");
    }
    if path.starts_with(['/', '~']) {
        return refused("is outside the worktree");
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return refused("goes up with `..`");
    }
    let clean = parts.join("/");
    match reserved(&clean) {
        Some(directory) => {
            Err(Refusal(format!("{path:?} is under {directory}, which is reserved")))
        }
        None => Ok(clean),
    }
}

fn open_directory(at: &impl AsFd, name: &str) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(at, name, flags, Mode::empty())
}

fn is_link(directory: &impl AsFd, name: &str, path: &str) -> Refusal {
    match readlinkat(directory, name) {
        Ok(target) => Refusal(format!(
            "{path}: {name} is a link to {}; links are not followed, use the path of the real file",
            target.display()
        )),
        Err(_) => Refusal(format!("{path}: {name} is not a directory")),
    }
}

fn failed<'a>(what: &'a str, path: &'a str) -> impl Fn(io::Error) -> Refusal + 'a {
    move |error| Refusal(format!("cannot {what} {path}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn file(path: &str, after: Option<&str>) -> Staged {
        let after = after.map(str::to_owned);
        Staged { path: path.to_owned(), before: None, after, from: None }
    }

    #[test]
    fn paths_stay_inside() {
        assert_eq!(clean("./src//a.rs").unwrap(), "src/a.rs");
        assert_eq!(clean(".").unwrap(), "");
        for path in
            ["/etc/passwd", "../x", "a/../../x", "~/x", ".git/hooks/x", "a/.autopack/b", "a\0"]
        {
            assert!(clean(path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn links_are_neither_read_nor_written_through() {
        let at = tempfile::tempdir().unwrap();
        let (root, outside) = (at.path().join("w"), at.path().join("outside"));
        fs::create_dir(&root).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("f"), "secret").unwrap();
        symlink(&outside, root.join("dir")).unwrap();
        symlink(outside.join("f"), root.join("file")).unwrap();
        let worktree = Worktree::new(&root);
        assert!(worktree.read("dir/f").unwrap_err().0.contains("is a link to"));
        assert!(worktree.read("file").unwrap_err().0.contains("is a link to"));
        assert!(worktree.commit(&[file("dir/new", Some("x"))]).is_err());
        assert!(worktree.commit(&[file("file", Some("x"))]).is_err());
        assert_eq!(fs::read_to_string(outside.join("f")).unwrap(), "secret");
        assert!(!outside.join("new").exists());
    }

    #[test]
    fn all_is_written_or_nothing_and_modes_stay() {
        let at = tempfile::tempdir().unwrap();
        let worktree = Worktree::new(at.path());
        fs::write(at.path().join("run.sh"), "old").unwrap();
        fs::set_permissions(at.path().join("run.sh"), PermissionsExt::from_mode(0o755)).unwrap();
        fs::write(at.path().join("plain"), "a file").unwrap();
        let fails = [
            file("run.sh", Some("new")),
            file("new/deep/x", Some("y")),
            file("plain/z", Some("z")),
        ];
        assert!(worktree.commit(&fails).is_err());
        assert_eq!(fs::read_to_string(at.path().join("run.sh")).unwrap(), "old");
        let left: Vec<_> =
            fs::read_dir(at.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "{left:?}");
        worktree.commit(&[fails[0].clone(), fails[1].clone(), file("plain", None)]).unwrap();
        let mode = fs::metadata(at.path().join("run.sh")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
        assert_eq!(worktree.read("new/deep/x").unwrap().as_deref(), Some("y"));
        assert!(!worktree.exists("plain"));
    }
}
