//! Full disks: the limits, the errors caused by a full disk, and the wait for space. No phase is at fault, and often
//! space returns within minutes.
//!
//! On a full disk the drain claims nothing. Running attempts end, are not counted, and their phases are queued again.
//! A new attempt would spend tokens on work with no space to keep, so the drain asks the file system instead of trying.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use tokio::time::MissedTickBehavior;

use crate::attempt::AttemptError;
use crate::phase::words::counted;
use crate::phase::{Failure, PhaseId, RunId, Verdict};
use crate::process::{StopLevel, StopReceiver};
use crate::progress::Progress;
use crate::store::{Claim, DatabaseErrorKind, StoreError};
use crate::workspace::{Repo, WorkspaceError};

/// Minimum of free bytes for a slot, its logs and a landing, unless the whole file system is small.
const NEEDED: u64 = 64 << 20;
/// Minimum of a small file system: the size divided by this.
const PART: u64 = 10;
/// Minimum of free inodes.
const NEEDED_FILES: u64 = 1000;
/// Interval between checks during a wait.
const WAIT_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Interval between checks during an attempt. A check is one system call, and a failed write of an agent takes less than
/// a second.
const ATTEMPT_POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Limit on freeing space after attempts of one phase: its agent may fill the disk, and each attempt costs tokens.
const MAX_CLEANUPS_PER_PHASE: u32 = 3;
/// Retries of a write that fails though the file system has space: a quota, or a limit on the size of a file.
const MAX_RETRIES_DESPITE_SPACE: u32 = 5;

/// A directory with too little free space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    path: PathBuf,
    free_mib: u64,
    needed_mib: u64,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, free_mib, needed_mib } = self;
        write!(f, "{} has {free_mib} MiB left; autopack needs {needed_mib} MiB", path.display())
    }
}

/// Directories written by a drain, and its state on full disks. A drain shares one with all its attempts.
pub struct DiskSpace {
    repo: Repo,
    /// Directory of the database.
    database: Option<PathBuf>,
    progress: Arc<Progress>,
    /// Whether the wait was reported.
    is_reported: AtomicBool,
    /// Number of times space was freed, by phase.
    cleanups: Mutex<HashMap<(RunId, PhaseId), u32>>,
    /// Consecutive reports of a full disk with space left.
    retries_despite_space: AtomicU32,
}

impl DiskSpace {
    pub(in crate::attempt) fn new(
        repo: &Repo,
        database: Option<&Path>,
        progress: &Arc<Progress>,
    ) -> Self {
        Self {
            repo: repo.clone(),
            database: database.and_then(Path::parent).map(Path::to_owned),
            progress: Arc::clone(progress),
            is_reported: AtomicBool::new(false),
            cleanups: Mutex::default(),
            retries_despite_space: AtomicU32::new(0),
        }
    }

    /// Returns the first directory with too little space: `.autopack`, the user's objects, the slots, or the database's.
    /// A directory without an answer from the file system has enough.
    pub fn shortage(&self) -> Option<Shortage> {
        let autopack = self.repo.autopack_dir();
        let places = [autopack.as_path(), self.repo.common_dir()].into_iter();
        let places = places.chain(self.database.as_deref());
        places.chain(self.repo.slots_directory().ok()).find_map(shortage_at)
    }

    /// Waits before a failed write is retried, and reports the wait once. Returns `false` if the drain was stopped.
    pub(in crate::attempt) async fn wait_a_moment(&self, why: &str, stop: &StopReceiver) -> bool {
        if !self.is_reported.swap(true, Ordering::Relaxed) {
            self.progress.note(&format!("{why}; waiting for space"));
        }
        tokio::select! {
            () = tokio::time::sleep(WAIT_POLL_INTERVAL) => {}
            () = stop.reached(StopLevel::Graceful) => {}
        }
        stop.level() == StopLevel::Run
    }

    /// Retries work with an indispensable result while the disk is full.
    ///
    /// # Errors
    /// Errors of `work`; [`AttemptError::Full`] only if the drain was stopped.
    pub async fn retry_while_full<T, E, F>(
        &self,
        stop: &StopReceiver,
        work: impl Fn() -> F,
    ) -> Result<T, AttemptError>
    where
        E: Into<AttemptError>,
        F: Future<Output = Result<T, E>>,
    {
        loop {
            match work().await.map_err(Into::into) {
                Err(AttemptError::Full(why)) if self.wait_a_moment(&why, stop).await => {}
                done => return done,
            }
        }
    }

    /// Waits for space before the next batch. Returns `false` if the drain was stopped.
    ///
    /// # Errors
    /// [`AttemptError::Systemic`] if writes fail though the file system has space.
    pub async fn wait_until_free(
        &self,
        why: String,
        stop: &StopReceiver,
    ) -> Result<bool, AttemptError> {
        let mut retries = self.retries_despite_space.load(Ordering::Relaxed);
        if self.shortage().is_none() {
            retries += 1;
            self.retries_despite_space.store(retries, Ordering::Relaxed);
            if retries > MAX_RETRIES_DESPITE_SPACE {
                let what = "free some space, or raise the quota, and start the drain again";
                return Err(AttemptError::Systemic(format!("{why}; {what}")));
            }
        }
        let mut checks = 0;
        // 2, 4, 8 checks, one per second, if the file system itself has space.
        while self.shortage().is_some() || checks < 1 << retries {
            if !self.wait_a_moment(&why, stop).await {
                return Ok(false);
            }
            checks += 1;
        }
        self.note_space_again();
        Ok(true)
    }

    /// Records an attempt without a full disk.
    pub fn note_success(&self) {
        self.retries_despite_space.store(0, Ordering::Relaxed);
        self.note_space_again();
    }

    fn note_space_again(&self) {
        if self.is_reported.swap(false, Ordering::Relaxed) {
            self.progress.note("there is space again: resuming");
        }
    }

    /// Frees space after an attempt by removing free slots. Returns whether the disk has enough space now.
    pub(in crate::attempt) async fn free_space(&self, claim: &Claim) -> bool {
        let Some(shortage) = self.shortage() else { return false };
        if !self.may_free_space(claim) {
            return false;
        }
        let removed = self.remove_free_slots(&shortage.path).await.unwrap_or_else(|error| {
            tracing::warn!("cannot free space: {error}");
            0
        });
        let is_free = removed > 0 && self.shortage().is_none();
        if is_free {
            let slots = counted(removed as u64, "slot");
            let what = "not in use: there is space again";
            self.progress.note(&format!("{shortage}; removed {slots} {what}"));
        }
        is_free
    }

    fn may_free_space(&self, claim: &Claim) -> bool {
        let mut cleanups = self.cleanups.lock().unwrap_or_else(PoisonError::into_inner);
        let times = cleanups.entry((claim.run_id.clone(), claim.phase_id.clone())).or_default();
        *times += 1;
        *times <= MAX_CLEANUPS_PER_PHASE
    }

    /// Removes free slots on the full file system, and returns their number. Left files and build caches can be made
    /// again.
    async fn remove_free_slots(&self, full: &Path) -> anyhow::Result<usize> {
        let device = |path: &Path| std::fs::metadata(path).map(|metadata| metadata.dev()).ok();
        let at = device(full);
        if at.is_none() || at != device(self.repo.slots_directory()?) {
            return Ok(0);
        }
        let repo = self.repo.clone();
        Ok(tokio::task::spawn_blocking(move || repo.remove_free_slots()).await??.len())
    }

    /// Runs an attempt. Returns its result, and the first shortage during the attempt: a file which an agent failed to
    /// write stays missing after the disk was freed.
    pub(in crate::attempt) async fn watch<T>(
        &self,
        attempt: impl Future<Output = T>,
    ) -> (T, Option<Shortage>) {
        let mut attempt = pin!(attempt);
        let mut interval = tokio::time::interval(ATTEMPT_POLL_INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut met = None;
        let ended = loop {
            tokio::select! {
                // Checks once before the first write.
                biased;
                _ = interval.tick(), if met.is_none() => met = self.shortage(),
                ended = &mut attempt => break ended,
            }
        };
        (ended, met.or_else(|| self.shortage()))
    }
}

fn shortage_at(path: &Path) -> Option<Shortage> {
    let fs = statvfs(path).ok()?;
    let size = |blocks: u64| blocks.saturating_mul(fs.fragment_size());
    let (free, needed) = (size(fs.blocks_available()), NEEDED.min(size(fs.blocks()) / PART));
    // Some file systems do not count inodes and report 0 of 0.
    let few_files = fs.files() > 0 && fs.files_available() < NEEDED_FILES.min(fs.files() / PART);
    (free < needed || few_files).then(|| Shortage {
        path: path.to_owned(),
        free_mib: free >> 20,
        needed_mib: needed.div_ceil(1 << 20),
    })
}

/// Attributes a failure on a full disk to the disk, whatever the message: git does not always name the reason.
pub(in crate::attempt) fn unless_full(
    tried: Result<Verdict, AttemptError>,
    shortage: Option<Shortage>,
) -> Result<Verdict, AttemptError> {
    let Some(shortage) = shortage else { return tried };
    let why = match tried {
        Ok(Verdict::Failed(Failure { message, .. })) => message,
        Err(AttemptError::Internal(error)) => format!("{error:#}"),
        tried => return tried,
    };
    Err(AttemptError::Full(format!("{why}, while {shortage}")))
}

/// Recognizes a full disk in errors of every module.
impl From<anyhow::Error> for AttemptError {
    fn from(error: anyhow::Error) -> Self {
        match error.chain().any(is_about_space) {
            true => Self::Full(format!("{error:#}")),
            false => Self::Internal(error),
        }
    }
}

fn is_about_space(cause: &(dyn std::error::Error + 'static)) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    let io = cause.downcast_ref::<io::Error>();
    let store = cause.downcast_ref::<StoreError>();
    let workspace = cause.downcast_ref::<WorkspaceError>();
    io.is_some_and(|e| matches!(e.kind(), StorageFull | QuotaExceeded))
        || store.is_some_and(|e| e.database_kind() == Some(DatabaseErrorKind::Full))
        || workspace.is_some_and(WorkspaceError::is_disk_full)
}
