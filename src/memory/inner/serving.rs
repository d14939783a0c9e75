//! Which backend serves: what stands in when Qdrant fails, and the way back to it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Inner;
use crate::memory::autostart::Started;
use crate::memory::autostart::docker::Pull;
use crate::memory::qdrant::{Qdrant, QdrantError};

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
    /// What became of Qdrant in the background; told at the next batch.
    news: Option<String>,
}

impl State {
    pub fn new() -> Self {
        Self { backend: Backend::Faiss, pull: None, problem: None, news: None }
    }
}

impl Inner {
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
}
