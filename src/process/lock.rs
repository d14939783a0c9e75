//! Locks that a file stands for (`flock`): held as long as anybody has the file open, free the moment
//! the last holder dies, however it dies.
//!
//! A holder may hand the lock on to a child ([`FileLock::fd`]); it is then free when both are gone.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A lock that is ours. Dropping it closes the file and does no more: a child that was given the
/// lock keeps it.
#[derive(Debug)]
pub struct FileLock {
    file: File,
    path: PathBuf,
}

impl FileLock {
    /// The lock, or `None` where somebody else holds it. Makes the file where there is none.
    pub fn try_lock(path: &Path) -> io::Result<Option<FileLock>> {
        Self::take(path, File::try_lock)
    }

    /// The lock, however long that takes: for a thread that has nothing else to do.
    pub fn wait(path: &Path) -> io::Result<FileLock> {
        let taken = Self::take(path, |file| file.lock().map_err(TryLockError::Error))?;
        taken.ok_or_else(|| io::ErrorKind::WouldBlock.into())
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
            // Whoever held it may have removed the file meanwhile; a lock on a removed file shuts out nobody.
            if is_at(&file, path)? {
                return Ok(Some(FileLock { file, path: path.to_owned() }));
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The lock for a child to inherit.
    pub fn fd(&self) -> io::Result<Arc<OwnedFd>> {
        Ok(Arc::new(self.file.try_clone()?.into()))
    }

    /// Replaces what the file says: who holds it, for people.
    pub fn write(&mut self, content: &str) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(content.as_bytes())
    }

    /// What the file says.
    pub fn read(&mut self) -> io::Result<String> {
        let mut content = String::new();
        self.file.rewind()?;
        self.file.read_to_string(&mut content)?;
        Ok(content)
    }
}

/// What a look at a lock's file shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockState {
    Held,
    Free,
    /// There is no file. Somebody may hold a lock on one that was deleted, or that lies in another mount namespace.
    Missing,
}

/// The look takes a shared lock for an instant, so that a `try_lock` at that instant may be refused.
pub fn look(path: &Path) -> io::Result<LockState> {
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

/// Whether nobody holds the lock; where there is no file, nobody does.
pub fn is_free(path: &Path) -> io::Result<bool> {
    Ok(look(path)? != LockState::Held)
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
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("owner.lock");
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
    fn a_lock_that_was_handed_on_stays_held() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("slot.lock");
        let lock = FileLock::try_lock(&path).unwrap().unwrap();
        let handed_on = lock.fd().unwrap();
        drop(lock);
        assert!(FileLock::try_lock(&path).unwrap().is_none());
        drop(handed_on);
        assert!(FileLock::try_lock(&path).unwrap().is_some());
    }
}
