//! The landing queue among drains: a lock on a file for each run, `.autopack/landing/<run>.lock`, under the name of the
//! drain that holds it.
//!
//! It is a courtesy. The branch's compare-and-swap keeps landings apart without it; but among many drains, whoever
//! needs long (a slow CI on each moved tip) would lose every race. So nobody waits for a drain that was given up, and what
//! is wrong with the file stops nothing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::phase::RunId;
use crate::process::{FileLock, Stop, StopLevel};
use crate::store::{OwnerId, Store};
use crate::workspace::Repo;

/// How often somebody who waits asks whether the one before was given up.
const LOOK: Duration = Duration::from_secs(1);

/// The order in which drains land on the runs of one repository.
pub struct DrainOrder<'a> {
    pub repo: &'a Repo,
    pub store: &'a Store,
}

impl DrainOrder<'_> {
    /// Waits for this drain's turn among all. `None`: there is none to be had, and it is to be tried without.
    pub async fn turn_among_drains(
        &self,
        run: &RunId,
        us: &OwnerId,
        stop: &Stop,
    ) -> Option<FileLock> {
        let turn = self.wait_for_turn(&self.repo.landing_lock(run), us, stop).await;
        turn.unwrap_or_else(|error| {
            tracing::debug!("landing without a turn among drains: {error}");
            None
        })
    }

    async fn wait_for_turn(
        &self,
        path: &Path,
        us: &OwnerId,
        stop: &Stop,
    ) -> io::Result<Option<FileLock>> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        if let Some(turn) = FileLock::try_lock(path)? {
            return named(turn, us).map(Some);
        }
        let mut waiting = None;
        while self.may_wait_for(path).await {
            let waiting = match &mut waiting {
                Some(waiting) => waiting,
                None => waiting.insert(wait(path.to_owned(), us.clone())?),
            };
            tokio::select! {
                turn = waiting => return turn.ok().transpose(),
                () = stop.reached(StopLevel::Graceful) => break,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        Ok(None)
    }

    /// Not for one that was rescued, and may be stopped for ever.
    async fn may_wait_for(&self, path: &Path) -> bool {
        let holder = fs::read_to_string(path).unwrap_or_default();
        // Empty for the instant between the lock and the name.
        if holder.is_empty() {
            return true;
        }
        let control = self.store.control(&OwnerId::new(holder)).await;
        control.is_ok_and(|control| !control.fenced)
    }
}

/// A thread of its own: nothing else ends a wait for a lock, and a runtime would wait for it at its end.
fn wait(path: PathBuf, us: OwnerId) -> io::Result<oneshot::Receiver<io::Result<FileLock>>> {
    let (tell, waiting) = oneshot::channel();
    // Where nobody waits any more the lock is free again at once.
    let wait = move || drop(tell.send(FileLock::wait(&path).and_then(|turn| named(turn, &us))));
    std::thread::Builder::new().name("landing-turn".to_owned()).spawn(wait)?;
    Ok(waiting)
}

/// At once, so that nobody takes it for the one before, who may have ended.
fn named(mut turn: FileLock, us: &OwnerId) -> io::Result<FileLock> {
    turn.write(us.as_str())?;
    Ok(turn)
}
