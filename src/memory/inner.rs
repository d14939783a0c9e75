//! The memory that is on: its parts, and which backend serves at the moment.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OnceCell, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::autostart::docker::Pull;
use super::autostart::{Autostart, Started};
use super::embed::{Embedder, Redact};
use super::entry::{Entry, EntryId, Kept};
use super::faiss::Faiss;
use super::journal::{Journal, JournalError};
use super::qdrant::{Qdrant, QdrantError};
use super::{MemoryError, Place, Stats};
use crate::clock::now;
use crate::config::MemorySettings;
use crate::phase::json::map_texts;

/// A phase never waits longer for its memory.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// So many entries go into one transaction: another process gives up on the journal when it is held for two seconds.
const WORTH_WRITING: usize = 128;
/// A journal that others keep busy is asked so often; each time waits for SQLite's busy timeout.
const TRIES: u32 = 5;

/// Nothing is lost when it ends: the journal has everything.
const LAST_PATIENCE: Duration = Duration::from_secs(10);

/// What serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Off,
    Qdrant,
    Faiss,
    /// Qdrant is down and nothing stands in for it; the journal goes on.
    Suspended,
    /// Qdrant is required and went away.
    Lost,
}

impl Backend {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off | Self::Suspended => "off",
            Self::Qdrant | Self::Lost => "qdrant",
            Self::Faiss => "faiss",
        }
    }
}

pub(super) struct Inner {
    pub settings: MemorySettings,
    pub workspace_id: String,
    pub folder: PathBuf,
    pub journal: Journal,
    pub embedder: Embedder,
    pub redact: Redact,
    pub qdrant: Option<Qdrant>,
    autostart: Autostart,
    /// Loaded when it is first needed.
    pub faiss: OnceCell<Arc<Mutex<Faiss>>>,
    state: Mutex<State>,
    /// One catches up at a time.
    pub catching_up: tokio::sync::Mutex<()>,
    pub behind: AtomicBool,
    /// Whether Qdrant was compared with the journal since it was last lost; following the log is enough then.
    pub compared: AtomicBool,
    /// One looks for Qdrant at a time.
    looking: AtomicBool,
    /// What is on its way to the journal: nobody waits long for it, but it is not lost either.
    writing: Mutex<JoinSet<()>>,
}

#[derive(Debug)]
struct State {
    backend: Backend,
    pull: Option<Pull>,
    problem: Option<String>,
    /// What became of Qdrant in the background; told at the next batch.
    news: Option<String>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Memory({:?}, {})", self.backend(), self.folder.display())
    }
}

impl Inner {
    #[allow(clippy::too_many_arguments, reason = "the parts of the memory, each of its own type")]
    pub fn new(
        settings: &MemorySettings,
        place: &Place,
        workspace_id: String,
        journal: Journal,
        embedder: Embedder,
        redact: Redact,
        qdrant: Option<Qdrant>,
        autostart: Autostart,
    ) -> Self {
        Self {
            settings: settings.clone(),
            workspace_id,
            folder: place.autopack_dir.clone(),
            journal,
            embedder,
            redact,
            qdrant,
            autostart,
            faiss: OnceCell::new(),
            state: Mutex::new(State {
                backend: Backend::Faiss,
                pull: None,
                problem: None,
                news: None,
            }),
            catching_up: tokio::sync::Mutex::default(),
            behind: AtomicBool::new(false),
            compared: AtomicBool::new(false),
            looking: AtomicBool::new(false),
            writing: Mutex::default(),
        }
    }

    pub fn begin_with(&mut self, backend: Backend, pull: Option<Pull>) {
        let mut state = self.state();
        state.backend = backend;
        state.pull = pull;
    }

    pub fn backend(&self) -> Backend {
        self.state().backend
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what went wrong for `memory stats`, and says it when it is new.
    pub fn note(&self, problem: impl ToString) {
        let problem = problem.to_string();
        let mut state = self.state();
        if state.problem.as_ref() != Some(&problem) {
            tracing::warn!("memory: {problem}");
            state.problem = Some(problem);
        }
    }

    /// Qdrant failed: from now on what the configuration says for that serves.
    pub fn qdrant_failed(self: &Arc<Self>, error: &QdrantError) {
        self.note(error);
        self.compared.store(false, Ordering::SeqCst);
        let mut state = self.state();
        if state.backend == Backend::Qdrant && !matches!(error, QdrantError::Refused { .. }) {
            state.backend = self.stand_in();
            drop(state);
            // What stands in is loaded before somebody's patience depends on it.
            self.catch_up_in_background();
        }
    }

    fn stand_in(&self) -> Backend {
        let qdrant = &self.settings.qdrant;
        match (qdrant.require, qdrant.fallback_to_faiss) {
            (true, _) => Backend::Lost,
            (false, true) => Backend::Faiss,
            (false, false) => Backend::Suspended,
        }
    }

    pub fn may_claim(&self) -> Result<(), MemoryError> {
        let state = self.state();
        if state.backend != Backend::Lost {
            return Ok(());
        }
        let why = state.problem.clone().unwrap_or_else(|| "Qdrant went away".to_owned());
        Err(MemoryError::Required { why, refused: false })
    }

    /// Waits for the journal, but not for long; what it has not taken by then is written in the background.
    pub async fn remember(self: &Arc<Self>, entries: Vec<Entry>) {
        let (done, written) = oneshot::channel();
        let inner = Arc::clone(self);
        {
            let mut writing = self.writing();
            while writing.try_join_next().is_some() {}
            writing.spawn(async move {
                inner.write(entries).await;
                // Who asked may have gone on.
                let _ = done.send(());
            });
        }
        let _ = timeout(PATIENCE, written).await;
    }

    fn writing(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write(self: &Arc<Self>, entries: Vec<Entry>) {
        let mut entries = entries.into_iter().peekable();
        while entries.peek().is_some() {
            let part = entries.by_ref().take(WORTH_WRITING);
            let part: Vec<_> = part.map(|entry| self.kept(entry)).collect();
            if let Err(error) = self.write_part(&part).await {
                return self.note(error);
            }
        }
        self.catch_up_in_background();
    }

    async fn write_part(&self, part: &[(Kept, Vec<EntryId>)]) -> Result<(), JournalError> {
        for _ in 1..TRIES {
            match self.journal.put(part).await {
                Err(error) if error.is_busy() => {}
                written => return written.map(drop),
            }
        }
        self.journal.put(part).await.map(drop)
    }

    pub async fn take_back(self: &Arc<Self>, ids: &[EntryId]) {
        match timeout(PATIENCE, self.journal.remove(ids)).await {
            Ok(Ok(_)) => self.catch_up_in_background(),
            Ok(Err(error)) => self.note(error),
            Err(_) => self.note("the journal did not forget an entry in time"),
        }
    }

    /// As it is written: without secrets, with what it supersedes.
    fn kept(&self, mut entry: Entry) -> (Kept, Vec<EntryId>) {
        entry.text = self.redact.apply(&entry.text);
        entry.payload = map_texts(entry.payload, &|text| self.redact.apply(text));
        let supersedes = std::mem::take(&mut entry.supersedes);
        (Kept::from_entry(entry, &self.workspace_id, now()), supersedes)
    }

    /// What became of Qdrant since the last batch. Never waits: looking for it and starting it go on in the background.
    pub async fn at_batch(self: &Arc<Self>) -> Option<String> {
        self.qdrant.as_ref()?;
        if self.backend() == Backend::Qdrant {
            self.catch_up_in_background();
        }
        self.look_for_qdrant();
        self.state().news.take()
    }

    /// The way back to a Qdrant that does not serve, in the background: one looks at a time, and asks no more often
    /// than the breaker lets it.
    pub fn look_for_qdrant(self: &Arc<Self>) {
        let away = self.qdrant.is_some() && self.backend() != Backend::Qdrant;
        if !away || self.looking.swap(true, Ordering::SeqCst) {
            return;
        }
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            inner.look_once().await;
            inner.looking.store(false, Ordering::SeqCst);
        });
    }

    async fn look_once(self: &Arc<Self>) {
        let Some(qdrant) = &self.qdrant else { return };
        let how = match self.pulled() {
            None => "it is back".to_owned(),
            Some(Err(why)) => return self.tell(format!("memory: Qdrant stays down: {why}")),
            Some(Ok(())) => match self.autostart.start().await {
                // The breaker still thinks of the time before.
                Started::Ready(how) if qdrant.version_now().await.is_ok() => how,
                Started::Ready(_) => return,
                Started::Failed(why) => {
                    return self.tell(format!("memory: Qdrant stays down: {why}"));
                }
                Started::Pulling(pull) => {
                    self.state().pull = Some(pull);
                    return;
                }
            },
        };
        if qdrant.version().await.is_ok() {
            self.qdrant_serves(&how);
        }
    }

    fn tell(&self, news: String) {
        self.state().news = Some(news);
    }

    /// The result of a pull that has ended; told once.
    fn pulled(&self) -> Option<Result<(), String>> {
        let mut state = self.state();
        let result = state.pull.as_ref()?.result()?;
        state.pull = None;
        Some(result)
    }

    fn qdrant_serves(self: &Arc<Self>, how: &str) {
        let address = self.qdrant.as_ref().map(Qdrant::address).unwrap_or_default();
        {
            let mut state = self.state();
            if state.backend == Backend::Qdrant {
                return;
            }
            state.backend = Backend::Qdrant;
            state.problem = None;
            state.news = Some(format!("memory: Qdrant at {address}, {how}"));
        }
        self.catch_up_in_background();
    }

    /// For somebody who asked for Qdrant and waits for it: whatever the breaker thinks.
    pub async fn ask_for_qdrant(self: &Arc<Self>) {
        if let Some(qdrant) = &self.qdrant
            && self.backend() != Backend::Qdrant
            && qdrant.version_now().await.is_ok()
        {
            self.qdrant_serves("it is back");
        }
    }

    pub async fn prune(self: &Arc<Self>) -> Result<usize, MemoryError> {
        let removed = self.journal.expire(now()).await?;
        self.catch_up_in_background();
        Ok(removed)
    }

    pub async fn stats(&self) -> Result<Stats, MemoryError> {
        let faiss = self.faiss.get().map(|faiss| locked(faiss).size());
        Ok(Stats {
            backend: self.backend(),
            embedder: self.embedder.id().to_owned(),
            journal: self.journal.path().to_owned(),
            entries: self.journal.counts().await?,
            waiting: self.journal.waiting(self.embedder.id()).await?,
            faiss,
            qdrant: self.qdrant.as_ref().map(|qdrant| qdrant.address().to_owned()),
            problem: self.state().problem.clone(),
        })
    }

    pub async fn close(self: &Arc<Self>) {
        let mut writing = std::mem::take(&mut *self.writing());
        while writing.join_next().await.is_some() {}
        self.behind.store(true, Ordering::SeqCst);
        if timeout(LAST_PATIENCE, self.catch_up()).await.is_err() {
            self.note("not everything is in the index yet; the rest follows at the next start");
        }
        if self.faiss.initialized()
            && let Err(error) = self.save_faiss().await
        {
            self.note(error);
        }
        // A connection that somebody still holds is closed when that one ends.
        let _ = timeout(PATIENCE, self.journal.close()).await;
    }
}

pub(super) fn locked(faiss: &Mutex<Faiss>) -> MutexGuard<'_, Faiss> {
    faiss.lock().unwrap_or_else(PoisonError::into_inner)
}
