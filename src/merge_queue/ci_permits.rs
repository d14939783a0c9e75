//! Permits for runs of CI: beside others, or alone, among all drains of a repository; and at most so many on a machine.
//!
//! Locks of files hold among drains. They are a courtesy: an error of a lock file stops no CI.

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{
    OwnedRwLockReadGuard, OwnedRwLockWriteGuard, OwnedSemaphorePermit, RwLock, Semaphore,
};

use super::ci_company::{Company, Remaining, RunEnd, RunLog};
use super::queue_changes::Notifier;
use crate::config::{CiSettings, Env};
use crate::process::{FileLock, StopLevel, StopReceiver, lock};

/// Interval between attempts to take a lock that another drain has.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Permits of a drain.
#[derive(Debug)]
pub struct CiPermits {
    /// Shared by runs beside others, exclusive for a run alone.
    running_alone: Arc<RwLock<()>>,
    /// The same among drains.
    lock: PathBuf,
    /// Held by a drain that waits to run alone, so that runs beside others do not keep it from its turn.
    alone: PathBuf,
    /// Directory with a lock for each run of the machine, and their number.
    machine: Option<(PathBuf, u32)>,
    one_at_a_time: AtomicBool,
    /// Most runs of this drain at once, if configured.
    most: Option<Arc<Semaphore>>,
    log: Arc<Mutex<RunLog>>,
    /// Told of each end of a run.
    ends: Notifier,
}

/// Permit for one run of CI, until dropped.
#[derive(Debug)]
pub struct CiPermit {
    _guard: Guard,
    _most: Option<OwnedSemaphorePermit>,
    /// Locks for the supervisor of the run.
    locks: Vec<FileLock>,
    path: PathBuf,
    is_beside_other_drain: bool,
    /// Number of the run in the log.
    number: u64,
    log: Arc<Mutex<RunLog>>,
    ends: Notifier,
}

/// Runs of CI of one test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestRuns {
    numbers: Vec<u64>,
    is_beside_other_drain: bool,
}

impl TestRuns {
    /// Adds the runs of the same test.
    pub fn extend(&mut self, more: Self) {
        self.numbers.extend(more.numbers);
        self.is_beside_other_drain |= more.is_beside_other_drain;
    }
}

#[derive(Debug)]
enum Guard {
    Shared { _held: OwnedRwLockReadGuard<()> },
    Alone { _held: OwnedRwLockWriteGuard<()> },
}

impl CiPermits {
    /// Creates the permits. `directory` is shared by all drains of the repository.
    pub fn new(directory: &Path, settings: &CiSettings, ends: Notifier) -> Self {
        Self {
            running_alone: Arc::default(),
            lock: directory.join("ci.lock"),
            alone: directory.join("ci-alone.lock"),
            machine: settings.jobs.map(|most| (machine_directory(), most)),
            one_at_a_time: AtomicBool::new(settings.parallel == Some(1)),
            most: settings.parallel.map(|most| Arc::new(Semaphore::new(most as usize))),
            log: Arc::default(),
            ends,
        }
    }

    /// Returns the runs of CI that went on at the same time as those of a test.
    pub fn company(&self, test: &TestRuns) -> Company {
        let mut company = locked(&self.log).company(&test.numbers);
        company.has_unknown |= test.is_beside_other_drain;
        company
    }

    /// Returns the mean duration of the runs that passed.
    pub fn mean_duration(&self) -> Option<Duration> {
        locked(&self.log).mean_duration()
    }

    /// Returns what is expected to remain of the runs of this drain; see [`RunLog::remaining`].
    pub fn remaining(&self, starts: bool) -> Option<Remaining> {
        locked(&self.log).remaining(starts)
    }

    /// Returns whether a test passed at the same time as another one; see [`RunLog::passed_together`].
    pub fn passed_together(&self, test: &TestRuns) -> bool {
        locked(&self.log).passed_together(&test.numbers)
    }

    /// From now on, CI runs one at a time.
    pub fn run_one_at_a_time(&self) {
        self.one_at_a_time.store(true, Ordering::Relaxed);
    }

    /// Waits for a permit to run this command; without another run beside it if `alone`.
    pub async fn acquire(&self, program: &str, alone: bool) -> CiPermit {
        let alone = alone || self.one_at_a_time.load(Ordering::Relaxed);
        let most = match &self.most {
            Some(most) => Arc::clone(most).acquire_owned().await.ok(),
            None => None,
        };
        let machine = self.machine_permit().await;
        let (guard, lock, is_beside_other_drain) = match alone {
            true => {
                let guard = Arc::clone(&self.running_alone).write_owned().await;
                (Guard::Alone { _held: guard }, self.lock_alone().await, false)
            }
            false => {
                let guard = Arc::clone(&self.running_alone).read_owned().await;
                let others = is_other_drains(&self.log, &self.lock);
                (Guard::Shared { _held: guard }, self.lock_shared().await, others)
            }
        };
        let number = locked(&self.log).begin(program);
        CiPermit {
            _guard: guard,
            _most: most,
            locks: lock.into_iter().chain(machine).collect(),
            path: self.lock.clone(),
            is_beside_other_drain,
            number,
            log: Arc::clone(&self.log),
            ends: self.ends.clone(),
        }
    }

    /// Waits for a permit. `None` after a stop: the run that follows ends at once.
    pub async fn acquire_unless_stopped(
        &self,
        program: &str,
        alone: bool,
        stop: &StopReceiver,
    ) -> Option<CiPermit> {
        tokio::select! {
            permit = self.acquire(program, alone) => Some(permit),
            () = stop.reached(StopLevel::Graceful) => None,
        }
    }

    async fn lock_shared(&self) -> Option<FileLock> {
        poll(|| match lock::is_free(&self.alone) {
            Ok(false) => Ok(None),
            _ => FileLock::try_shared(&self.lock),
        })
        .await
    }

    async fn lock_alone(&self) -> Option<FileLock> {
        let _waiting = poll(|| FileLock::try_lock(&self.alone)).await?;
        poll(|| FileLock::try_lock(&self.lock)).await
    }

    async fn machine_permit(&self) -> Option<FileLock> {
        let (directory, most) = self.machine.as_ref()?;
        poll(|| {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
            for number in 1..=*most {
                let lock = FileLock::try_lock(&directory.join(format!("{number}.lock")))?;
                if lock.is_some() {
                    return Ok(lock);
                }
            }
            Ok(None)
        })
        .await
    }
}

impl CiPermit {
    /// Returns the locks, for the supervisor of the run: if this process is suspended, whoever ends the run frees them.
    pub fn lend(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.locks).into_iter().map(FileLock::into_fd).collect()
    }

    /// Ends the run, and returns what tells of the runs beside it.
    pub fn end(mut self, end: RunEnd) -> TestRuns {
        self.locks.clear();
        locked(&self.log).end(self.number, end);
        let is_beside_other_drain =
            self.is_beside_other_drain || is_other_drains(&self.log, &self.path);
        TestRuns { numbers: vec![self.number], is_beside_other_drain }
    }
}

impl Drop for CiPermit {
    fn drop(&mut self) {
        locked(&self.log).end(self.number, RunEnd::Unknown);
        self.ends.notify();
    }
}

/// Returns whether another drain's run holds the lock. Not known while runs of this drain, which share it, hold it.
fn is_other_drains(log: &Mutex<RunLog>, lock: &Path) -> bool {
    !locked(log).is_running() && FileLock::try_lock(lock).is_ok_and(|free| free.is_none())
}

fn locked(log: &Mutex<RunLog>) -> MutexGuard<'_, RunLog> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tries until there is a lock. Returns `None` if the file cannot be locked: CI then goes without.
async fn poll(attempt: impl Fn() -> io::Result<Option<FileLock>>) -> Option<FileLock> {
    loop {
        match attempt() {
            Ok(None) => tokio::time::sleep(POLL_INTERVAL).await,
            Ok(lock) => return lock,
            Err(error) => {
                tracing::debug!("CI runs without a lock: {error}");
                return None;
            }
        }
    }
}

/// Returns the directory of the locks of a user's runs on this machine.
fn machine_directory() -> PathBuf {
    let variables = Env::of_process();
    match variables.all().get(OsStr::new("XDG_RUNTIME_DIR")).map(PathBuf::from) {
        Some(directory) if directory.is_absolute() => directory.join("autopack/ci"),
        _ => PathBuf::from(format!("/tmp/autopack-{}/ci", nix::unistd::geteuid())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merge_queue::queue_changes::QueueChanges;

    fn permits(directory: &tempfile::TempDir) -> CiPermits {
        let ends = QueueChanges::default().notifier();
        CiPermits::new(directory.path(), &CiSettings::default(), ends)
    }

    #[tokio::test(start_paused = true)]
    async fn runs_beside_each_other_have_company_and_a_run_alone_has_none() {
        let directory = tempfile::tempdir().unwrap();
        let permits = permits(&directory);
        let first = permits.acquire("ci", false).await;
        let second = permits.acquire("ci", false).await;
        let mut alone = std::pin::pin!(permits.acquire("ci", true));
        tokio::select! {
            biased;
            _ = &mut alone => panic!("not alone"),
            () = tokio::time::sleep(POLL_INTERVAL) => {}
        }
        let (first, second) = (first.end(RunEnd::Red), second.end(RunEnd::Green));
        assert_eq!(permits.company(&first), Company { has_green: true, ..Company::default() });
        assert_eq!(permits.company(&second), Company { has_red: true, ..Company::default() });
        let alone = alone.await.end(RunEnd::Red);
        let last = permits.acquire("ci", false).await.end(RunEnd::Red);
        assert!(!permits.company(&alone).is_any() && !permits.company(&last).is_any());
    }

    #[tokio::test(start_paused = true)]
    async fn drains_of_a_repository_take_turns() {
        let directory = tempfile::tempdir().unwrap();
        let drains = [(); 2].map(|()| permits(&directory));
        let alone = drains[0].acquire("ci", true).await;
        let mut beside = std::pin::pin!(drains[1].acquire("ci", false));
        tokio::select! {
            biased;
            _ = &mut beside => panic!("the other drain runs alone"),
            () = tokio::time::sleep(POLL_INTERVAL * 3) => {}
        }
        drop(alone);
        let beside = beside.await;
        let other = drains[0].acquire("ci", false).await;
        let [other, beside] = [other, beside].map(|permit| permit.end(RunEnd::Red));
        assert!(drains[0].company(&other).has_unknown && drains[1].company(&beside).is_any());
    }
}
