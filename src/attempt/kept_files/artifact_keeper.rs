//! Stores the files of ended attempts in the background, and streams the logs of running attempts to followers. Only
//! beside a database at a server.
//!
//! An attempt is over before the files are stored: no landing waits, and no failure here costs an attempt. Files left
//! by a killed drain are stored by the next drain in the same clone, or by `gc`.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::executed_here::ExecutedHere;
use super::log_streaming::stream_logs;
use super::packed_files::{list_files, pack};
use super::shared_artifacts::SharedArtifacts;
use crate::attempt::AttemptDirectory;
use crate::config::ArtifactsSettings;
use crate::phase::RunId;
use crate::phase::words::counted;
use crate::process::Redactor;
use crate::store::{AttemptKey, ExecutedAttempt, Store, StoredFile};
use crate::workspace::Repo;

/// Pauses between two tries.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Tries to copy to the shared directory, before the database alone gets the files.
const COPIES: u32 = 3;

/// Keeper of one drain. Dropping the value ends its tasks.
#[derive(Debug, Default)]
pub struct ArtifactKeeper(Option<KeeperTasks>);

#[derive(Debug)]
struct KeeperTasks {
    keeper: Arc<Keeper>,
    queue: mpsc::UnboundedSender<ExecutedAttempt>,
    /// Taken by the first task.
    queued: Mutex<Option<mpsc::UnboundedReceiver<ExecutedAttempt>>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// State shared with the storing task.
#[derive(Debug)]
struct Keeper {
    here: Arc<ExecutedHere>,
    shared: Option<SharedArtifacts>,
    /// Attempts in the queue.
    queued: Mutex<HashSet<AttemptKey>>,
    /// Number of queued attempts, including the attempt being stored.
    waiting: watch::Sender<usize>,
    last_error: Mutex<Option<String>>,
}

impl ArtifactKeeper {
    /// Creates a keeper. For a database in a file, the keeper does nothing.
    pub fn new(
        store: &Store,
        repo: &Repo,
        settings: &ArtifactsSettings,
        redactor: &Redactor,
    ) -> Self {
        if !store.is_at_server() {
            return Self(None);
        }
        let (queue, queued) = mpsc::unbounded_channel();
        let shared = settings.dir.as_deref();
        Self(Some(KeeperTasks {
            keeper: Arc::new(Keeper {
                here: Arc::new(ExecutedHere {
                    store: store.clone(),
                    autopack_dir: repo.autopack_dir(),
                    limit: settings.database_kb.saturating_mul(1024),
                    redactor: redactor.clone(),
                    running: Mutex::default(),
                }),
                shared: shared.map(|setting| SharedArtifacts::new(repo.root(), setting)),
                queued: Mutex::default(),
                waiting: watch::Sender::new(0),
                last_error: Mutex::default(),
            }),
            queue,
            queued: Mutex::new(Some(queued)),
            tasks: Mutex::default(),
        }))
    }

    /// Marks the files of an attempt as this process's, and lets others follow the attempt's logs.
    ///
    /// # Errors
    ///
    /// The directory cannot be written.
    pub fn begin(
        &self,
        attempt: ExecutedAttempt,
        directory: &AttemptDirectory,
    ) -> anyhow::Result<()> {
        let Some(tasks) = &self.0 else { return Ok(()) };
        directory.mark_owner(&attempt.owner)?;
        tasks.keeper.here.begin(attempt);
        tasks.start();
        Ok(())
    }

    /// Queues the files of an ended attempt.
    pub fn end(&self, attempt: ExecutedAttempt) {
        let Some(tasks) = &self.0 else { return };
        tasks.keeper.here.end(&attempt);
        tasks.add(attempt);
    }

    /// Queues the files of ended attempts in this clone that were never stored. Errors are left to the next drain.
    pub async fn resume(&self, runs: &[RunId]) {
        let Some(tasks) = &self.0 else { return };
        for run in runs {
            match tasks.keeper.here.store.unstored_attempts(run).await {
                Ok(unstored) => unstored
                    .into_iter()
                    .filter(|stored| tasks.keeper.here.has_files(&stored.attempt))
                    .for_each(|stored| tasks.add(stored.attempt)),
                Err(error) => tracing::debug!("cannot list the files that are not stored: {error}"),
            }
        }
    }

    /// Waits until everything is stored. Otherwise returns the missing files and the reason.
    pub async fn finish(&self, time: Duration) -> Option<String> {
        let tasks = self.0.as_ref()?;
        let mut waiting = tasks.keeper.waiting.subscribe();
        let is_done =
            tokio::time::timeout(time, waiting.wait_for(|count| *count == 0)).await.is_ok();
        if is_done {
            return None;
        }
        let count = *tasks.keeper.waiting.borrow();
        let why = lock(&tasks.keeper.last_error).clone();
        Some(format!(
            "the logs of {} are not in the database yet: {}; the next drain or `autopack gc` here stores them",
            counted(count as u64, "attempt"),
            why.as_deref().unwrap_or("storing them takes long")
        ))
    }
}

impl KeeperTasks {
    fn add(&self, attempt: ExecutedAttempt) {
        if lock(&self.keeper.queued).insert(attempt.key) {
            self.keeper.waiting.send_modify(|count| *count += 1);
            // The receiver lives as long as the tasks.
            let _ = self.queue.send(attempt);
        }
        self.start();
    }

    /// Starts the tasks, unless they run.
    fn start(&self) {
        let Some(queued) = lock(&self.queued).take() else { return };
        let mut tasks = lock(&self.tasks);
        tasks.push(tokio::spawn(store_queued(Arc::clone(&self.keeper), queued)));
        if self.keeper.here.limit > 0 {
            tasks.push(tokio::spawn(stream_logs(Arc::clone(&self.keeper.here))));
        }
    }
}

impl Drop for KeeperTasks {
    fn drop(&mut self) {
        lock(&self.tasks).iter().for_each(JoinHandle::abort);
    }
}

/// An attempt to be stored, perhaps after failures.
struct Pending {
    attempt: ExecutedAttempt,
    /// Pause after the next failure.
    pause: Duration,
    /// Time of the next try.
    due: Instant,
}

/// Stores attempts one after the other. A failed attempt is tried again later, and blocks no other attempt.
async fn store_queued(keeper: Arc<Keeper>, mut queued: mpsc::UnboundedReceiver<ExecutedAttempt>) {
    let mut failed: Vec<Pending> = Vec::new();
    loop {
        let next = (0..failed.len()).min_by_key(|index| failed[*index].due);
        let due = next.map_or_else(Instant::now, |index| failed[index].due);
        let mut pending = tokio::select! {
            attempt = queued.recv() => match attempt {
                Some(attempt) => Pending { attempt, pause: FIRST_PAUSE, due },
                None => return,
            },
            () = tokio::time::sleep_until(due), if next.is_some() => {
                failed.swap_remove(next.unwrap_or_default())
            }
        };
        let attempt = &pending.attempt;
        if let Err(error) = keeper.store_files(attempt).await {
            tracing::debug!("cannot store the files of {}: {error:#}", attempt.phase_id);
            *lock(&keeper.last_error) = Some(format!("{error:#}"));
            pending.due = Instant::now() + pending.pause;
            pending.pause = LONGEST_PAUSE.min(pending.pause * 2);
            failed.push(pending);
            continue;
        }
        if failed.is_empty() {
            *lock(&keeper.last_error) = None;
        }
        lock(&keeper.queued).remove(&attempt.key);
        keeper.waiting.send_modify(|count| *count -= 1);
    }
}

impl Keeper {
    async fn store_files(&self, attempt: &ExecutedAttempt) -> anyhow::Result<()> {
        if !self.here.has_files(attempt) {
            return Ok(());
        }
        let is_shared = self.copy_to_shared(attempt).await;
        let (here, of) = (Arc::clone(&self.here), attempt.clone());
        let packed = tokio::task::spawn_blocking(move || pack_files(&here, &of)).await?;
        // Nothing is stored anywhere: the next drain tries again, and other machines name this host.
        if packed.is_empty() && !is_shared {
            return Ok(());
        }
        self.here.store.store_files(attempt.key, &packed).await?;
        Ok(())
    }

    /// Copies to the shared directory, and returns whether the copy succeeded. Without the copy, the database still has
    /// the beginning and the end of each file.
    async fn copy_to_shared(&self, attempt: &ExecutedAttempt) -> bool {
        let Some(shared) = self.shared.clone() else { return false };
        let ExecutedAttempt { run_id, phase_id, attempt: number, owner, .. } = attempt;
        let to = shared.locate(run_id, phase_id, *number, owner);
        for copy in 1..=COPIES {
            let (shared, from, target) = (shared.clone(), self.here.directory(attempt), to.clone());
            let redactor = self.here.redactor.clone();
            let copying = move || shared.store(&from, &target, &redactor);
            let copied = tokio::task::spawn_blocking(copying).await;
            let why = match copied {
                Ok(Ok(())) => return true,
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            if copy == COPIES {
                tracing::warn!(
                    "cannot copy the logs of attempt {number} of {phase_id} to artifacts.dir: {}: {why}; the database has at most {} KiB of each",
                    to.display(),
                    self.here.limit / 1024
                );
                return false;
            }
            tokio::time::sleep(FIRST_PAUSE).await;
        }
        false
    }
}

fn pack_files(here: &ExecutedHere, attempt: &ExecutedAttempt) -> Vec<StoredFile> {
    if here.limit == 0 {
        return Vec::new();
    }
    let files = list_files(&here.directory(attempt)).unwrap_or_default();
    let packed = files.into_iter().filter_map(|(name, path)| {
        let packed = pack(&name, &path, here.limit, &here.redactor);
        packed.inspect_err(|error| tracing::warn!("cannot store {}: {error}", path.display())).ok()
    });
    packed.collect()
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
