//! Background work off the critical path: embedding, syncing to Qdrant, the in-process index and its files.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use tokio::time::{Duration, Instant, sleep};

use super::MemoryError;
use super::index::faiss;
use super::index::faiss::{Faiss, FaissError};
use super::inner::{Backend, MemoryWorker, locked};
use super::journal::{EntryVector, Pending};
use super::reconcile::{self, Progress, SyncSummary};
use crate::clock::now;
use crate::process::FileLock;

/// Limit of the wait for another process: syncing a large memory to a new Qdrant is slow.
const SYNC_LOCK_PATIENCE: Duration = Duration::from_secs(60);
const SYNC_LOCK_PAUSE: Duration = Duration::from_millis(50);
const EMBED_BATCH: u32 = 64;
const FAISS_BATCH: usize = 1_000;
/// Number of changes worth saving even in the middle of a drain.
const WORTH_SAVING: usize = 5_000;
const LET_OTHERS_IN: std::time::Duration = std::time::Duration::from_millis(2);

impl MemoryWorker {
    /// Starts catching up in the background. If a round is already running, that round is repeated instead.
    pub fn catch_up_in_background(self: &Arc<Self>) {
        self.behind.store(true, Ordering::SeqCst);
        let inner = Arc::clone(self);
        tokio::spawn(async move { inner.catch_up().await });
    }

    pub async fn catch_up(self: &Arc<Self>) {
        let _alone = self.catching_up.lock().await;
        while self.behind.swap(false, Ordering::SeqCst) {
            if let Err(error) = self.catch_up_once().await {
                match &error {
                    MemoryError::Qdrant(down) => self.switch_to_fallback(down),
                    other => self.note(other),
                }
            }
        }
    }

    async fn catch_up_once(&self) -> Result<(), MemoryError> {
        self.journal.expire(now()).await?;
        // A failing embedder must not block entries with vectors.
        let embedded = self.embed_pending().await;
        match self.backend() {
            Backend::Qdrant => {
                self.sync_to_qdrant(&|_, _| {}, false).await?;
            }
            Backend::Faiss => {
                self.refresh_faiss().await?;
            }
            Backend::Off | Backend::Suspended | Backend::Lost => {}
        }
        embedded
    }

    /// Embeds new entries, then entries of another embedder.
    async fn embed_pending(&self) -> Result<(), MemoryError> {
        loop {
            let mut waiting = self.journal.unembedded(EMBED_BATCH).await?;
            if waiting.is_empty() {
                waiting = self.journal.stale(self.embedder.id(), EMBED_BATCH).await?;
            }
            if waiting.is_empty() {
                return Ok(());
            }
            self.embed(waiting).await?;
        }
    }

    async fn embed(&self, waiting: Vec<Pending>) -> Result<(), MemoryError> {
        let texts = waiting.iter().map(|pending| pending.text.clone()).collect();
        let vectors = self.embedder.embed(texts).await?;
        self.check_dimensions(&vectors).await?;
        let pair = |(pending, vector): (Pending, Vec<f32>)| EntryVector {
            id: pending.id,
            hash: pending.hash,
            vector,
        };
        let embedded: Vec<EntryVector> = waiting.into_iter().zip(vectors).map(pair).collect();
        Ok(self.journal.store_vectors(self.embedder.id(), &embedded).await?)
    }

    /// Rejects vectors of another length: another model under the same name makes vectors that fit no existing index.
    async fn check_dimensions(&self, vectors: &[Vec<f32>]) -> Result<(), MemoryError> {
        let before = self.journal.dimensions(self.embedder.id()).await?;
        match (before, vectors.first().map(Vec::len)) {
            (Some(before), Some(now)) if before != now => {
                let embedder = self.embedder.id();
                Err(MemoryError::Setup(format!(
                    "{embedder} now makes vectors of {now} dimensions instead of {before}; \
                     give the new model another name in memory.embedder, or restore the earlier model"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Syncs changes to Qdrant, one process at a time: a late write by one process could undo a deletion by another.
    async fn sync_to_qdrant(
        &self,
        progress: Progress<'_>,
        completely: bool,
    ) -> Result<SyncSummary, MemoryError> {
        let Some(qdrant) = &self.qdrant else {
            return Ok(SyncSummary::default());
        };
        let Some(_lock) = self.sync_lock(completely).await? else {
            return Ok(SyncSummary::default());
        };
        let embedder = self.embedder.id();
        let follows = self.compared.load(Ordering::SeqCst) && !completely;
        if !follows {
            self.recreate_misfit_collections(qdrant).await?;
        }
        let diverged = !follows
            && (completely || reconcile::has_diverged(&self.journal, qdrant, embedder).await?);
        let synced = if diverged {
            reconcile::compare(&self.journal, qdrant, embedder, now(), progress).await?
        } else {
            reconcile::follow(&self.journal, qdrant, embedder, now(), progress).await?
        };
        self.compared.store(true, Ordering::SeqCst);
        Ok(synced)
    }

    /// Takes the sync lock. Catching up leaves the work to the process with the lock; `sync` waits.
    async fn sync_lock(&self, waits: bool) -> Result<Option<FileLock>, MemoryError> {
        let path = self.directory.join("memory.sync.lock");
        let deadline = Instant::now() + SYNC_LOCK_PATIENCE;
        loop {
            let lock = FileLock::try_lock(&path);
            let lock = lock.map_err(|error| MemoryError::Setup(error.to_string()))?;
            if lock.is_some() || !waits {
                return Ok(lock);
            }
            if Instant::now() > deadline {
                let waited = SYNC_LOCK_PATIENCE.as_secs();
                return Err(MemoryError::Setup(format!(
                    "another autopack process has been syncing this memory to Qdrant for {waited} s; try again later"
                )));
            }
            sleep(SYNC_LOCK_PAUSE).await;
        }
    }

    pub async fn sync(
        self: &Arc<Self>,
        progress: Progress<'_>,
    ) -> Result<SyncSummary, MemoryError> {
        let _alone = self.catching_up.lock().await;
        self.journal.expire(now()).await?;
        self.embed_pending().await?;
        self.check_qdrant_now().await;
        let mut synced = SyncSummary::default();
        if self.backend() == Backend::Qdrant {
            let brought = self.sync_to_qdrant(progress, true).await;
            if let Err(MemoryError::Qdrant(error)) = &brought {
                self.switch_to_fallback(error);
            }
            synced = brought?;
        }
        if self.settings.qdrant.fallback_to_faiss || !self.settings.use_qdrant {
            self.refresh_faiss().await?;
            self.save_faiss().await?;
        }
        Ok(synced)
    }

    /// Returns the in-process index, up to date with the journal.
    pub async fn refresh_faiss(&self) -> Result<Arc<Mutex<Faiss>>, MemoryError> {
        let faiss = self.faiss.get_or_try_init(|| self.open_faiss()).await?;
        loop {
            let at = locked(faiss).applied();
            let limit = FAISS_BATCH as u32;
            let changes = self.journal.changes_after(at, self.embedder.id(), limit).await?;
            if changes.is_empty() {
                return Ok(Arc::clone(faiss));
            }
            let applying = Arc::clone(faiss);
            blocking(move || locked(&applying).apply(&changes)).await?;
            self.tidy_faiss(faiss);
        }
    }

    async fn open_faiss(&self) -> Result<Arc<Mutex<Faiss>>, MemoryError> {
        let embedder = self.embedder.id().to_owned();
        let last = self.journal.last_change().await?;
        let puts = self.journal.live_vectors(&embedder).await?;
        let directory = self.directory.join("faiss");
        let (index, loaded) =
            blocking(move || Ok(Faiss::open(&directory, &embedder, &puts, last))).await?;
        if let Some(why) = loaded.unusable.first() {
            tracing::warn!("memory: {why}; rebuilding the index from the journal");
        }
        let index = Arc::new(Mutex::new(index));
        for numbers in loaded.missing.chunks(FAISS_BATCH) {
            let vectors = self.journal.vectors(numbers).await?;
            let adding = Arc::clone(&index);
            blocking(move || locked(&adding).add(&vectors)).await?;
        }
        self.tidy_faiss(&index);
        Ok(index)
    }

    /// Rebuilds and saves the index where due, in a separate thread; searches continue meanwhile.
    fn tidy_faiss(&self, index: &Arc<Mutex<Faiss>>) {
        let index = Arc::clone(index);
        if !locked(&index).is_due(WORTH_SAVING) {
            return;
        }
        tokio::task::spawn_blocking(move || {
            let tidied = clean_up_faiss(&index);
            locked(&index).tidied();
            if let Err(error) = tidied {
                tracing::warn!("memory: {error}");
            }
        });
    }

    pub async fn save_faiss(&self) -> Result<(), MemoryError> {
        let Some(index) = self.faiss.get().cloned() else {
            return Ok(());
        };
        blocking(move || locked(&index).save()).await
    }
}

fn clean_up_faiss(index: &Mutex<Faiss>) -> Result<(), FaissError> {
    let due = locked(index).due()?;
    for (collection, snapshot) in due {
        let built = snapshot.build()?;
        locked(index).replace(collection, built)?;
    }
    while locked(index).move_some()? {
        // Searches need the lock too.
        std::thread::sleep(LET_OTHERS_IN);
    }
    locked(index).save()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, faiss::FaissError> + Send + 'static,
) -> Result<T, MemoryError> {
    let joined = tokio::task::spawn_blocking(work).await;
    Ok(joined.map_err(|error| MemoryError::Setup(error.to_string()))??)
}
