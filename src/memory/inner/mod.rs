//! The memory that is on: its parts, what is known of its state, and its end.
//!
//! Which backend serves, and how that changes, is in `serving`; the way of an entry to the journal in `writing`.

mod serving;
mod stats;
mod writing;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::autostart::Autostart;
use super::autostart::start_commands::Commands;
use super::choose_backend::Absence;
use super::embed::{Embedder, Redact};
use super::index::faiss::Faiss;
use super::index::qdrant::Qdrant;
use super::journal::Journal;
use super::workspace_id::WorkspaceId;
use super::{MemoryError, Place, Starting};
use crate::clock::now;
use crate::config::MemorySettings;

pub use serving::Backend;
use serving::State;

/// A phase never waits longer for its memory.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// Nothing is lost when it ends: the journal has everything.
const LAST_PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Inner {
    pub settings: MemorySettings,
    pub workspace: WorkspaceId,
    pub folder: PathBuf,
    pub journal: Journal,
    pub embedder: Embedder,
    pub redact: Redact,
    pub qdrant: Option<Qdrant>,
    autostart: Autostart,
    starting: Starting,
    /// What starts Qdrant here; looked for only where Qdrant is required.
    start_hint: OnceLock<String>,
    /// The length of the embedder's vectors.
    dimensions: OnceCell<usize>,
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
        workspace: WorkspaceId,
        journal: Journal,
        embedder: Embedder,
        redact: Redact,
        qdrant: Option<Qdrant>,
        autostart: Autostart,
    ) -> Self {
        Self {
            settings: settings.clone(),
            workspace,
            folder: place.autopack_dir.clone(),
            journal,
            embedder,
            redact,
            qdrant,
            autostart,
            starting: Starting::OnlyLook,
            start_hint: OnceLock::new(),
            dimensions: OnceCell::new(),
            faiss: OnceCell::new(),
            state: Mutex::new(State::new()),
            catching_up: tokio::sync::Mutex::default(),
            behind: AtomicBool::new(false),
            compared: AtomicBool::new(false),
            looking: AtomicBool::new(false),
            writing: Mutex::default(),
        }
    }

    /// The line of the beginning says why Qdrant does not serve; nothing says it again.
    pub fn begin_with(&mut self, backend: Backend, absence: Option<Absence>, starting: Starting) {
        self.starting = starting;
        let mut state = self.state();
        state.backend = backend;
        if let Some(absence) = absence {
            state.restarts.failed();
            state.pull = absence.pull;
            state.told.extend(absence.cause);
            state.told.insert(absence.why.clone());
            state.problem = Some(absence.why);
        }
    }

    /// What would start Qdrant, should it be required and go away. In the background: it may take seconds.
    pub fn find_commands(self: &Arc<Self>) {
        if !self.settings.use_qdrant || !self.settings.qdrant.require {
            return;
        }
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            let Autostart { settings, workspace, docker_host } = &inner.autostart;
            let commands = Commands::here(settings, workspace, docker_host.as_deref()).await;
            let _ = inner.start_hint.set(commands.start());
        });
    }

    pub fn backend(&self) -> Backend {
        self.state().backend
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what went wrong for `memory stats`, and says it once, until Qdrant is back.
    pub fn note(&self, problem: impl ToString) {
        let problem = problem.to_string();
        let mut state = self.state();
        if state.tells(&problem) {
            tracing::warn!("memory: {problem}");
        }
        state.problem = Some(problem);
    }

    pub fn may_claim(&self) -> Result<(), MemoryError> {
        let state = self.state();
        if state.backend != Backend::Lost {
            return Ok(());
        }
        let why = state.problem.clone().unwrap_or_else(|| "Qdrant went away".to_owned());
        let start = || self.start_hint.get().cloned().unwrap_or_else(|| "start it".to_owned());
        Err(MemoryError::required(why, (!state.refused).then(start), state.refused))
    }

    pub async fn prune(self: &Arc<Self>) -> Result<usize, MemoryError> {
        let removed = self.journal.expire(now()).await?;
        self.catch_up_in_background();
        Ok(removed)
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
