//! The memory that is on: its parts, and which backend serves at the moment.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::autostart::docker::Pull;
use super::autostart::{Autostart, Started};
use super::embed::{Embedder, Redact};
use super::entry::{Entry, EntryId, Kept};
use super::faiss::Faiss;
use super::journal::Journal;
use super::qdrant::{Qdrant, QdrantError};
use super::{MemoryError, Place, Stats};
use crate::config::MemorySettings;
use crate::phase::UnixMs;

/// A phase never waits longer for its memory.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

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
}

#[derive(Debug)]
struct State {
    backend: Backend,
    pull: Option<Pull>,
    problem: Option<String>,
    /// That Qdrant is back, as a search noticed it; told at the next batch.
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
    pub fn qdrant_failed(&self, error: &QdrantError) {
        self.note(error);
        let mut state = self.state();
        if state.backend == Backend::Qdrant && !matches!(error, QdrantError::Refused { .. }) {
            state.backend = self.stand_in();
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
        Err(MemoryError::Required { why })
    }

    pub async fn remember(self: &Arc<Self>, entries: Vec<Entry>) {
        let kept: Vec<_> = entries.into_iter().map(|entry| self.kept(entry)).collect();
        match timeout(PATIENCE, self.journal.put(&kept)).await {
            Ok(Ok(_)) => self.catch_up_in_background(),
            Ok(Err(error)) => self.note(error),
            Err(_) => self.note("the journal did not take an entry in time"),
        }
    }

    /// As it is written: without secrets, with what it supersedes.
    fn kept(&self, mut entry: Entry) -> (Kept, Vec<EntryId>) {
        entry.text = self.redact.apply(&entry.text);
        entry.payload = redacted(entry.payload, &self.redact);
        let supersedes = std::mem::take(&mut entry.supersedes);
        (Kept::from_entry(entry, &self.workspace_id, now()), supersedes)
    }

    /// Moves on to Qdrant where that has become possible, and says so.
    pub async fn at_batch(self: &Arc<Self>) -> Option<String> {
        let qdrant = self.qdrant.as_ref()?;
        if self.backend() == Backend::Qdrant {
            self.catch_up_in_background();
            return self.state().news.take();
        }
        let how = match self.pulled() {
            Some(Ok(())) => match self.autostart.start().await {
                Started::Ready(how) => how,
                Started::Failed(why) => return Some(format!("memory: Qdrant stays down: {why}")),
                Started::Pulling(_) => return None,
            },
            Some(Err(why)) => return Some(format!("memory: Qdrant stays down: {why}")),
            None => "it is back".to_owned(),
        };
        match timeout(PATIENCE, qdrant.version()).await {
            Ok(Ok(_)) => {
                self.state().backend = Backend::Qdrant;
                self.catch_up_in_background();
                Some(format!("memory: Qdrant at {}, {how}", qdrant.address()))
            }
            _ => None,
        }
    }

    /// The result of a pull that has ended; told once.
    fn pulled(&self) -> Option<Result<(), String>> {
        let mut state = self.state();
        let result = state.pull.as_ref()?.result()?;
        state.pull = None;
        Some(result)
    }

    /// A search's way back to Qdrant: the breaker lets one of them ask.
    pub fn qdrant_answers(&self) {
        let mut state = self.state();
        if state.backend != Backend::Qdrant {
            state.backend = Backend::Qdrant;
            state.problem = None;
            let address = self.qdrant.as_ref().map(Qdrant::address).unwrap_or_default();
            state.news = Some(format!("memory: Qdrant at {address}, it is back"));
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
        self.behind.store(true, Ordering::SeqCst);
        self.catch_up().await;
        if self.faiss.initialized()
            && let Err(error) = self.save_faiss().await
        {
            self.note(error);
        }
        self.journal.close().await;
    }
}

pub(super) fn locked(faiss: &Mutex<Faiss>) -> MutexGuard<'_, Faiss> {
    faiss.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn now() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Every text within a payload.
fn redacted(value: serde_json::Value, redact: &Redact) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::String(text) => Value::String(redact.apply(&text)),
        Value::Array(list) => list.into_iter().map(|item| redacted(item, redact)).collect(),
        Value::Object(map) => {
            map.into_iter().map(|(key, value)| (key, redacted(value, redact))).collect()
        }
        other => other,
    }
}
