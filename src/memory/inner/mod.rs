//! State of an enabled memory: parts, current state, and shutdown.
//!
//! `serving` selects the active backend, `writing` writes entries to the journal.

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
use super::embed::{Embedder, TextRedactor};
use super::index::faiss::Faiss;
use super::index::qdrant::Qdrant;
use super::journal::Journal;
use super::workspace_id::WorkspaceId;
use super::{AutostartPermission, MemoryError, MemoryLocation};
use crate::clock::now;
use crate::config::MemorySettings;

pub use serving::Backend;
use serving::State;
pub(super) use serving::{QdrantAbsence, may_start};

/// Longest wait of a phase for the memory.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// Nothing is lost after this time: the journal has everything.
const LAST_PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct MemoryWorker {
    pub settings: MemorySettings,
    pub workspace: WorkspaceId,
    pub directory: PathBuf,
    pub journal: Journal,
    pub embedder: Embedder,
    pub redact: TextRedactor,
    pub qdrant: Option<Qdrant>,
    autostart: Autostart,
    starting: AutostartPermission,
    /// Hint for starting Qdrant; determined only if Qdrant is required.
    start_hint: OnceLock<String>,
    /// Length of the embedder's vectors.
    dimensions: OnceCell<usize>,
    /// Loaded on first use.
    pub faiss: OnceCell<Arc<Mutex<Faiss>>>,
    state: Mutex<State>,
    /// Held while catching up, once at a time.
    pub catching_up: tokio::sync::Mutex<()>,
    pub behind: AtomicBool,
    /// Whether Qdrant was compared with the journal since the last loss; if so, following the log is enough.
    pub compared: AtomicBool,
    /// Whether a check for Qdrant is running.
    looking: AtomicBool,
    /// Writes to the journal in progress: callers do not wait long, but nothing is lost.
    writing: Mutex<JoinSet<()>>,
}

impl std::fmt::Debug for MemoryWorker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Memory({:?}, {})", self.backend(), self.directory.display())
    }
}

impl MemoryWorker {
    #[allow(clippy::too_many_arguments, reason = "the parts of the memory, each of its own type")]
    pub fn new(
        settings: &MemorySettings,
        location: &MemoryLocation,
        workspace: WorkspaceId,
        journal: Journal,
        embedder: Embedder,
        redact: TextRedactor,
        qdrant: Option<Qdrant>,
        autostart: Autostart,
    ) -> Self {
        Self {
            settings: settings.clone(),
            workspace,
            directory: location.autopack_dir.clone(),
            journal,
            embedder,
            redact,
            qdrant,
            autostart,
            starting: AutostartPermission::CheckOnly,
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

    /// Sets the first backend. The first line of the drain tells why Qdrant does not serve, so nothing repeats the
    /// reason.
    pub fn set_first_backend(
        &mut self,
        backend: Backend,
        absence: Option<QdrantAbsence>,
        starting: AutostartPermission,
    ) {
        self.starting = starting;
        let mut state = self.state();
        state.backend = backend;
        if let Some(absence) = absence {
            state.restarts.failed();
            state.pull = absence.pull;
            state.reported.extend(absence.cause);
            state.reported.insert(absence.why.clone());
            state.problem = Some(absence.why);
        }
    }

    /// Looks in the background for commands to start Qdrant, in case a required Qdrant goes away; this may take
    /// seconds.
    pub fn find_commands(self: &Arc<Self>) {
        if !self.settings.use_qdrant || !self.settings.qdrant.require {
            return;
        }
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            let Autostart { settings, workspace, docker_host } = &inner.autostart;
            let commands =
                Commands::find_available(settings, workspace, docker_host.as_deref()).await;
            let _ = inner.start_hint.set(commands.start());
        });
    }

    pub fn backend(&self) -> Backend {
        self.state().backend
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a problem for `memory stats`, and logs each problem once until Qdrant is back.
    pub fn note(&self, problem: impl ToString) {
        let problem = problem.to_string();
        let mut state = self.state();
        if state.is_new_problem(&problem) {
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
            self.note("the index is not complete yet; the rest is added at the next start");
        }
        if self.faiss.initialized()
            && let Err(error) = self.save_faiss().await
        {
            self.note(error);
        }
        // A connection still in use is closed when the user of the connection ends.
        let _ = timeout(PATIENCE, self.journal.close()).await;
    }
}

pub(super) fn locked(faiss: &Mutex<Faiss>) -> MutexGuard<'_, Faiss> {
    faiss.lock().unwrap_or_else(PoisonError::into_inner)
}
