//! Selection of the active backend: fallback when Qdrant fails, and return to Qdrant.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::MemoryWorker;
use crate::config::QdrantSettings;
use crate::memory::autostart::docker::Pull;
use crate::memory::autostart::{AutostartOutcome, is_local};
use crate::memory::index::qdrant::{Qdrant, QdrantError};
use crate::memory::{AutostartPermission, MemoryError, reconcile};

/// Active backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The memory is disabled.
    Off,
    /// Qdrant.
    Qdrant,
    /// The in-process FAISS index.
    Faiss,
    /// Qdrant is down without a fallback; the journal continues.
    Suspended,
    /// Qdrant is required and went away.
    Lost,
}

impl Backend {
    /// Returns the name used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off | Self::Suspended => "off",
            Self::Qdrant | Self::Lost => "qdrant",
            Self::Faiss => "faiss",
        }
    }
}

/// Reason why Qdrant does not serve.
pub(crate) struct QdrantAbsence {
    /// Full reason: "Qdrant at localhost:6334 cannot be reached: no Docker engine at ...".
    pub why: String,
    /// Part of the reason repeated by a later failed start.
    pub cause: Option<String>,
    /// Qdrant answers: starting would not help.
    pub answers: bool,
    /// Qdrant rejects the API key.
    pub refused: bool,
    pub pull: Option<Pull>,
}

impl From<String> for QdrantAbsence {
    fn from(why: String) -> Self {
        Self { why, cause: None, answers: false, refused: false, pull: None }
    }
}

impl From<QdrantError> for QdrantAbsence {
    fn from(error: QdrantError) -> Self {
        let refused = matches!(error, QdrantError::Denied { .. });
        Self { answers: error.is_configuration(), refused, ..error.to_string().into() }
    }
}

/// Checks whether autopack may start Qdrant.
pub(crate) fn may_start(qdrant: &QdrantSettings, starting: AutostartPermission) -> bool {
    qdrant.autostart && is_local(&qdrant.host) && starting == AutostartPermission::Allowed
}

#[derive(Debug)]
pub(super) struct State {
    pub backend: Backend,
    pub pull: Option<Pull>,
    pub problem: Option<String>,
    /// Qdrant rejects the API key.
    pub refused: bool,
    /// Messages since Qdrant last served, to avoid repetition.
    pub reported: HashSet<String>,
    pub restarts: Restarts,
    /// Change of Qdrant's state in the background, reported at the next batch.
    news: Option<String>,
}

/// Limit for messages that differ each time, to bound memory use in a long drain.
const MAX_REPORTED: usize = 100;

impl State {
    pub fn new() -> Self {
        Self {
            backend: Backend::Faiss,
            pull: None,
            problem: None,
            refused: false,
            reported: HashSet::new(),
            restarts: Restarts::default(),
            news: None,
        }
    }

    /// Checks whether to log a message: once, until Qdrant serves again.
    pub fn is_new_problem(&mut self, what: &str) -> bool {
        if self.reported.len() >= MAX_REPORTED {
            self.reported.clear();
        }
        self.reported.insert(what.to_owned())
    }
}

/// Schedule of retries after a failed start.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    failures: u32,
    next: Option<Instant>,
}

impl Restarts {
    const FIRST_PAUSE: Duration = Duration::from_secs(10);
    const LONGEST_PAUSE: Duration = Duration::from_secs(10 * 60);

    fn are_due(&self) -> bool {
        self.next.is_none_or(|next| Instant::now() >= next)
    }

    pub fn failed(&mut self) {
        let pause = Self::FIRST_PAUSE * 2u32.pow(self.failures.min(6));
        self.failures = self.failures.saturating_add(1);
        self.next = Some(Instant::now() + pause.min(Self::LONGEST_PAUSE));
    }
}

impl MemoryWorker {
    /// Handles a failure of Qdrant: switches to the configured fallback.
    pub fn switch_to_fallback(self: &Arc<Self>, error: &QdrantError) {
        // A resting Qdrant failed before, and the failure was reported.
        if !matches!(error, QdrantError::Resting { .. }) {
            self.note(error);
        }
        self.compared.store(false, Ordering::SeqCst);
        let mut state = self.state();
        state.refused |= matches!(error, QdrantError::Denied { .. });
        if state.backend == Backend::Qdrant && !matches!(error, QdrantError::Refused { .. }) {
            state.backend = self.stand_in();
            drop(state);
            // Load the fallback before a phase needs a result in time.
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

    /// Returns news about Qdrant since the last batch. Never waits: checks and starts run in the background.
    pub async fn at_batch(self: &Arc<Self>) -> Option<String> {
        self.qdrant.as_ref()?;
        if self.backend() == Backend::Qdrant {
            self.catch_up_in_background();
        }
        self.check_qdrant_in_background();
        self.state().news.take()
    }

    /// Checks in the background whether Qdrant serves again: one check at a time, no more often than the circuit
    /// breaker allows.
    pub fn check_qdrant_in_background(self: &Arc<Self>) {
        let away = self.qdrant.is_some() && self.backend() != Backend::Qdrant;
        if !away || self.looking.swap(true, Ordering::SeqCst) {
            return;
        }
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            inner.check_qdrant_once().await;
            inner.looking.store(false, Ordering::SeqCst);
        });
    }

    async fn check_qdrant_once(self: &Arc<Self>) {
        let Some(qdrant) = &self.qdrant else { return };
        match self.pulled() {
            Some(Ok(())) => return self.start_again(qdrant).await,
            Some(Err(why)) => return self.report_still_down(&why),
            None => {}
        }
        match self.check_serves(qdrant).await {
            Ok(()) => self.switch_to_qdrant("it is back"),
            Err(MemoryError::Qdrant(QdrantError::Down { .. })) if self.is_start_due() => {
                self.start_again(qdrant).await;
            }
            Err(error) => self.report_not_serving(&error),
        }
    }

    /// Reports a configuration error of a reachable Qdrant; an unreachable Qdrant was reported when lost.
    fn report_not_serving(&self, error: &MemoryError) {
        match error {
            MemoryError::Qdrant(QdrantError::Down { .. } | QdrantError::Resting { .. }) => {}
            error => {
                let denied = matches!(error, MemoryError::Qdrant(QdrantError::Denied { .. }));
                self.state().refused = denied;
                self.note(error);
            }
        }
    }

    /// Checks that Qdrant accepts the API key, allows writes, and holds vectors of the right length. A mere answer is
    /// not enough.
    async fn check_serves(&self, qdrant: &Qdrant) -> Result<(), MemoryError> {
        qdrant.check_usable().await?;
        self.recreate_misfit_collections(qdrant).await
    }

    /// Recreates collections with vectors of another length if only this workspace uses them; shared collections are an
    /// error.
    pub async fn recreate_misfit_collections(&self, qdrant: &Qdrant) -> Result<(), MemoryError> {
        let dimensions = match self.dimensions.get_or_try_init(|| self.measure_vectors()).await {
            Ok(dimensions) => *dimensions,
            // A failing embedder must not block entries with vectors.
            Err(MemoryError::Embed(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let embedder = self.embedder.id();
        for name in reconcile::remove_misfits(&self.journal, qdrant, embedder, dimensions).await? {
            tracing::warn!(
                "memory: refilling the collection {name} from the journal, because its vectors have another length than those of {embedder}"
            );
        }
        Ok(())
    }

    async fn measure_vectors(&self) -> Result<usize, MemoryError> {
        if let Some(dimensions) = self.journal.dimensions(self.embedder.id()).await? {
            return Ok(dimensions);
        }
        let vectors = self.embedder.embed(vec!["how long is a vector".to_owned()]).await?;
        Ok(vectors.first().map_or(0, Vec::len))
    }

    /// Checks whether to retry a start: after a stopped container or a failed pull, less and less often.
    fn is_start_due(&self) -> bool {
        let state = self.state();
        may_start(&self.settings.qdrant, self.starting)
            && state.pull.is_none()
            && state.restarts.are_due()
    }

    async fn start_again(self: &Arc<Self>, qdrant: &Qdrant) {
        match self.autostart.start().await {
            AutostartOutcome::Ready(how) => {
                // The circuit breaker still remembers failures from before the start.
                qdrant.reset_breaker();
                match self.check_serves(qdrant).await {
                    Ok(()) => self.switch_to_qdrant(&how),
                    Err(error) => self.report_not_serving(&error),
                }
            }
            AutostartOutcome::Denied(error) => {
                self.state().restarts.failed();
                self.report_not_serving(&error.into());
            }
            AutostartOutcome::Failed(why) => self.report_still_down(&why),
            AutostartOutcome::Pulling(pull) => self.state().pull = Some(pull),
        }
    }

    /// Reports at the next batch, without repetition, that Qdrant stays down.
    fn report_still_down(&self, why: &str) {
        let mut state = self.state();
        state.restarts.failed();
        if state.is_new_problem(why) {
            state.news = Some(format!("memory: Qdrant stays down: {why}"));
        }
    }

    /// Takes the result of a finished pull.
    fn pulled(&self) -> Option<Result<(), String>> {
        let mut state = self.state();
        let result = state.pull.as_ref()?.result()?;
        state.pull = None;
        Some(result)
    }

    fn switch_to_qdrant(self: &Arc<Self>, how: &str) {
        let address = self.qdrant.as_ref().map(Qdrant::address).unwrap_or_default();
        {
            let mut state = self.state();
            if state.backend == Backend::Qdrant {
                return;
            }
            state.backend = Backend::Qdrant;
            state.problem = None;
            state.refused = false;
            state.reported.clear();
            state.restarts = Restarts::default();
            state.news = Some(format!("memory: Qdrant at {address}, {how}"));
        }
        self.catch_up_in_background();
    }

    /// Checks for Qdrant at once, ignoring the circuit breaker, for a command that asked for Qdrant and waits.
    pub async fn check_qdrant_now(self: &Arc<Self>) {
        let Some(qdrant) = &self.qdrant else { return };
        if self.backend() == Backend::Qdrant {
            return;
        }
        qdrant.reset_breaker();
        match self.check_serves(qdrant).await {
            Ok(()) => self.switch_to_qdrant("it is back"),
            Err(error) => self.report_not_serving(&error),
        }
    }
}
