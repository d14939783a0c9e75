//! Merge queue between drains: a file lock for each run, `.autopack/landing/<run>.lock`, holding the name of the
//! owner.
//!
//! The lock is a courtesy. The branch's compare-and-swap already keeps landings apart; but among many drains, a slow
//! drain (slow CI on each moved tip) would lose every race. So no drain waits for a fenced drain, and errors of the
//! lock file stop nothing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::phase::RunId;
use crate::process::{FileLock, StopLevel, StopReceiver};
use crate::store::{OwnerId, Store};
use crate::workspace::Repo;

/// Interval between checks whether the current holder was fenced.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Order in which drains land on the runs of one repository.
pub struct DrainOrder<'a> {
    /// Repository of the runs.
    pub repo: &'a Repo,
    /// Store with the owners.
    pub store: &'a Store,
}

impl DrainOrder<'_> {
    /// Waits for this drain's queue position. Returns `None` if no lock is available; the caller then lands without.
    pub async fn wait_among_drains(
        &self,
        run: &RunId,
        us: &OwnerId,
        stop: &StopReceiver,
    ) -> Option<FileLock> {
        let lock = self.wait_for_lock(&self.repo.landing_lock(run), us, stop).await;
        lock.unwrap_or_else(|error| {
            tracing::debug!("landing without a queue position among drains: {error}");
            None
        })
    }

    async fn wait_for_lock(
        &self,
        path: &Path,
        us: &OwnerId,
        stop: &StopReceiver,
    ) -> io::Result<Option<FileLock>> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        if let Some(lock) = FileLock::try_lock(path)? {
            return with_owner_name(lock, us).map(Some);
        }
        let mut waiting = None;
        while self.may_wait_for(path).await {
            let waiting = match &mut waiting {
                Some(waiting) => waiting,
                None => waiting.insert(wait(path.to_owned(), us.clone())?),
            };
            tokio::select! {
                lock = waiting => return lock.ok().transpose(),
                () = stop.reached(StopLevel::Graceful) => break,
                () = tokio::time::sleep(POLL_INTERVAL) => {}
            }
        }
        Ok(None)
    }

    /// Returns whether to wait for the holder: not for a fenced drain, possibly stopped forever.
    async fn may_wait_for(&self, path: &Path) -> bool {
        let holder = fs::read_to_string(path).unwrap_or_default();
        // The file is empty for an instant between taking the lock and writing the name.
        if holder.is_empty() {
            return true;
        }
        let control = self.store.read_control(&OwnerId::new(holder)).await;
        control.is_ok_and(|control| !control.fenced)
    }
}

/// Waits on a separate thread: nothing else ends a wait for a lock, and a runtime would wait for the thread at
/// shutdown.
fn wait(path: PathBuf, us: OwnerId) -> io::Result<oneshot::Receiver<io::Result<FileLock>>> {
    let (sender, waiting) = oneshot::channel();
    // If the receiver is gone, the lock is freed at once.
    let wait = move || {
        drop(sender.send(FileLock::wait(&path).and_then(|lock| with_owner_name(lock, &us))))
    };
    std::thread::Builder::new().name("merge-queue".to_owned()).spawn(wait)?;
    Ok(waiting)
}

/// Writes the name at once, so that nobody mistakes the lock for the previous holder's.
fn with_owner_name(mut lock: FileLock, us: &OwnerId) -> io::Result<FileLock> {
    lock.write(us.as_str())?;
    Ok(lock)
}
