//! File locks (`flock`): held while any process has the file open, and free as soon as the last holder dies
//! in any way.
//!
//! A holder may pass the lock to a child ([`FileLock::fd`]); the lock is free when both are gone.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A lock held by this process. Dropping only closes the file: a child with the lock keeps the lock.
#[derive(Debug)]
pub struct FileLock {
    file: File,
    path: PathBuf,
}

impl FileLock {
    /// Returns the lock, or `None` if another process has the lock. Creates a missing file.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened or locked.
    pub fn try_lock(path: &Path) -> io::Result<Option<FileLock>> {
        Self::take(path, File::try_lock)
    }

    /// Like [`FileLock::try_lock`], with a lock that several processes may have at once, but not beside a lock of one.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened or locked.
    pub fn try_shared(path: &Path) -> io::Result<Option<FileLock>> {
        Self::take(path, File::try_lock_shared)
    }

    fn take(
        path: &Path,
        lock: impl Fn(&File) -> Result<(), TryLockError>,
    ) -> io::Result<Option<FileLock>> {
        loop {
            let file = open(path)?;
            match lock(&file) {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // A previous holder may have removed the file meanwhile; a lock on a removed file excludes
            // nobody.
            if is_at(&file, path)? {
                return Ok(Some(FileLock { file, path: path.to_owned() }));
            }
        }
    }

    /// Gives the lock away: it is held as long as the descriptor, or a copy of it, is open.
    pub fn into_fd(self) -> OwnedFd {
        self.file.into()
    }

    /// Returns the path of the lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the lock's file descriptor for a child to inherit.
    ///
    /// # Errors
    ///
    /// If the descriptor cannot be duplicated.
    pub fn fd(&self) -> io::Result<Arc<OwnedFd>> {
        Ok(Arc::new(self.file.try_clone()?.into()))
    }

    /// Replaces the file's content: the holder, for people.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn write(&mut self, content: &str) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(content.as_bytes())
    }

    /// Returns the file's content.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn read(&mut self) -> io::Result<String> {
        let mut content = String::new();
        self.file.rewind()?;
        self.file.read_to_string(&mut content)?;
        Ok(content)
    }
}

/// State of a lock file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockState {
    /// A process has the lock.
    Held,
    /// No process has the lock.
    Free,
    /// There is no file. A lock may exist on a deleted file, or on a file in another mount namespace.
    Missing,
}

/// Returns the state of a lock. Takes a shared lock for an instant, so that a concurrent `try_lock` may fail.
///
/// # Errors
///
/// If the file cannot be opened or locked.
pub fn read_state(path: &Path) -> io::Result<LockState> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(LockState::Missing),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(LockState::Free),
        Err(TryLockError::WouldBlock) => Ok(LockState::Held),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Checks whether the lock is free; a missing file counts as free.
///
/// # Errors
///
/// If the file cannot be opened or locked.
pub fn is_free(path: &Path) -> io::Result<bool> {
    Ok(read_state(path)? != LockState::Held)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_once_and_free_when_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("owner.lock");
        assert!(is_free(&path).unwrap());
        let mut lock = FileLock::try_lock(&path).unwrap().unwrap();
        lock.write("pid 1").unwrap();
        lock.write("7").unwrap();
        assert!(FileLock::try_lock(&path).unwrap().is_none());
        assert!(!is_free(&path).unwrap());
        assert_eq!(lock.read().unwrap(), "7");
        drop(lock);
        assert!(is_free(&path).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "7");
    }

    #[test]
    fn shared_locks_exclude_only_a_lock_of_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ci.lock");
        let shared = [(); 2].map(|()| FileLock::try_shared(&path).unwrap().unwrap());
        assert!(FileLock::try_lock(&path).unwrap().is_none());
        drop(shared);
        let _alone = FileLock::try_lock(&path).unwrap().unwrap();
        assert!(FileLock::try_shared(&path).unwrap().is_none());
    }

    #[test]
    fn an_inherited_lock_stays_held() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("slot.lock");
        let lock = FileLock::try_lock(&path).unwrap().unwrap();
        let handed_on = lock.fd().unwrap();
        drop(lock);
        assert!(FileLock::try_lock(&path).unwrap().is_none());
        drop(handed_on);
        assert!(FileLock::try_lock(&path).unwrap().is_some());
    }
}
