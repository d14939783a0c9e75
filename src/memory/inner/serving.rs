//! Which backend serves: what stands in when Qdrant fails, and the way back to it.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Inner;
use crate::memory::autostart::Started;
use crate::memory::autostart::docker::Pull;
use crate::memory::choose_backend::may_start;
use crate::memory::index::qdrant::{Qdrant, QdrantError};
use crate::memory::{MemoryError, reconcile};

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

#[derive(Debug)]
pub(super) struct State {
    pub backend: Backend,
    pub pull: Option<Pull>,
    pub problem: Option<String>,
    /// Qdrant does not take our key.
    pub refused: bool,
    /// What was said since Qdrant last served: nothing is said twice.
    pub told: HashSet<String>,
    pub restarts: Restarts,
    /// What became of Qdrant in the background; told at the next batch.
    news: Option<String>,
}

/// Texts that differ each time must not fill the memory of a long drain.
const MOST_TOLD: usize = 100;

impl State {
    pub fn new() -> Self {
        Self {
            backend: Backend::Faiss,
            pull: None,
            problem: None,
            refused: false,
            told: HashSet::new(),
            restarts: Restarts::default(),
            news: None,
        }
    }

    /// Whether this is to be said: once, until Qdrant serves again.
    pub fn tells(&mut self, what: &str) -> bool {
        if self.told.len() >= MOST_TOLD {
            self.told.clear();
        }
        self.told.insert(what.to_owned())
    }
}

/// When a start that failed is tried again.
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

impl Inner {
    /// Qdrant failed: from now on what the configuration says for that serves.
    pub fn qdrant_failed(self: &Arc<Self>, error: &QdrantError) {
        // One that rests failed before, and that was said.
        if !matches!(error, QdrantError::Resting { .. }) {
            self.note(error);
        }
        self.compared.store(false, Ordering::SeqCst);
        let mut state = self.state();
        state.refused |= matches!(error, QdrantError::Denied { .. });
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
        match self.pulled() {
            Some(Ok(())) => return self.start_again(qdrant).await,
            Some(Err(why)) => return self.stays_down(&why),
            None => {}
        }
        match self.would_serve(qdrant).await {
            Ok(()) => self.qdrant_serves("it is back"),
            Err(MemoryError::Qdrant(QdrantError::Down { .. })) if self.is_start_due() => {
                self.start_again(qdrant).await;
            }
            Err(error) => self.does_not_serve(&error),
        }
    }

    /// Says what has to be changed first, where Qdrant is there; that it is not was said when it went.
    fn does_not_serve(&self, error: &MemoryError) {
        match error {
            MemoryError::Qdrant(QdrantError::Down { .. } | QdrantError::Resting { .. }) => {}
            error => {
                let denied = matches!(error, MemoryError::Qdrant(QdrantError::Denied { .. }));
                self.state().refused = denied;
                self.note(error);
            }
        }
    }

    /// Whether it takes our key, lets us write, and holds vectors like ours. A server that only answers is not back.
    async fn would_serve(&self, qdrant: &Qdrant) -> Result<(), MemoryError> {
        qdrant.answers().await?;
        self.make_collections_fit(qdrant).await
    }

    /// Collections of ours alone whose vectors have another length are made anew; others' are an error.
    pub async fn make_collections_fit(&self, qdrant: &Qdrant) -> Result<(), MemoryError> {
        let dimensions = match self.dimensions.get_or_try_init(|| self.measure_vectors()).await {
            Ok(dimensions) => *dimensions,
            // An embedder that is down keeps nothing of what has its vector already.
            Err(MemoryError::Embed(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let embedder = self.embedder.id();
        for name in reconcile::make_fit(&self.journal, qdrant, embedder, dimensions).await? {
            tracing::warn!(
                "memory: the collection {name} held vectors of another length than {embedder} makes; it is filled again from the journal"
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

    /// A container that has stopped, or whose image could not be had, is tried again, less and less often.
    fn is_start_due(&self) -> bool {
        let state = self.state();
        may_start(&self.settings.qdrant, self.starting)
            && state.pull.is_none()
            && state.restarts.are_due()
    }

    async fn start_again(self: &Arc<Self>, qdrant: &Qdrant) {
        match self.autostart.start().await {
            Started::Ready(how) => {
                // The breaker still thinks of the time before.
                qdrant.rested();
                match self.would_serve(qdrant).await {
                    Ok(()) => self.qdrant_serves(&how),
                    Err(error) => self.does_not_serve(&error),
                }
            }
            Started::Denied(error) => {
                self.state().restarts.failed();
                self.does_not_serve(&error.into());
            }
            Started::Failed(why) => self.stays_down(&why),
            Started::Pulling(pull) => self.state().pull = Some(pull),
        }
    }

    /// Said at the next batch, unless it was said before.
    fn stays_down(&self, why: &str) {
        let mut state = self.state();
        state.restarts.failed();
        if state.tells(why) {
            state.news = Some(format!("memory: Qdrant stays down: {why}"));
        }
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
            state.refused = false;
            state.told.clear();
            state.restarts = Restarts::default();
            state.news = Some(format!("memory: Qdrant at {address}, {how}"));
        }
        self.catch_up_in_background();
    }

    /// For somebody who asked for Qdrant and waits for it: whatever the breaker thinks.
    pub async fn ask_for_qdrant(self: &Arc<Self>) {
        let Some(qdrant) = &self.qdrant else { return };
        if self.backend() == Backend::Qdrant {
            return;
        }
        qdrant.rested();
        match self.would_serve(qdrant).await {
            Ok(()) => self.qdrant_serves("it is back"),
            Err(error) => self.does_not_serve(&error),
        }
    }
}
