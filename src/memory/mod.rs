//! The memory of earlier phases: what was done, what went wrong, what helped, and the repository's own text.
//!
//! Everything is written to a journal first ([`journal`]); Qdrant ([`qdrant`]) and FAISS ([`faiss`]) are indexes that
//! follow it. [`Memory`] is what the rest of the program sees: it chooses and starts a backend once, answers within two
//! seconds, and never stops a phase. It knows nothing of the store, nor of phases' states.

pub mod autostart;
mod choose_backend;
mod code_docs;
pub mod embed;
mod find_entries;
pub mod index;
mod index_follower;
mod inner;
#[cfg(any(test, fuzzing))]
pub mod invariants;
pub mod journal;
pub mod memory_entry;
pub mod normalise;
pub mod part_checks;
pub mod recall;
pub mod reconcile;
mod workspace_id;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::phase::{RunId, UnixMs};
use crate::process::Redactor;

pub use choose_backend::Opened;
pub use code_docs::Indexed;
pub use inner::Backend;
pub use memory_entry::{Collection, Entry, EntryId, Filter};
pub use recall::Via;
pub use reconcile::Synced;

use inner::Inner;

#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// `require: true`, and Qdrant does not serve.
    #[error("memory.qdrant.require is true and {why}; {help}")]
    Required {
        why: String,
        /// What to do next.
        help: String,
        /// It is there and does not take our key.
        refused: bool,
    },
    #[error("cannot set up the memory: {0}")]
    Setup(String),
    #[error(transparent)]
    Embed(#[from] embed::EmbedError),
    #[error(transparent)]
    Journal(#[from] journal::JournalError),
    #[error(transparent)]
    Faiss(#[from] index::faiss::FaissError),
    #[error(transparent)]
    Qdrant(#[from] index::qdrant::QdrantError),
}

impl MemoryError {
    /// `start` is what starts Qdrant, where that helps: "start it with `docker compose up -d qdrant`".
    fn required(why: String, start: Option<String>, refused: bool) -> Self {
        let help = match start {
            Some(start) => format!("{start}, or set require to false"),
            None => "or set require to false".to_owned(),
        };
        Self::Required { why, help, refused }
    }
}

impl From<reconcile::SyncError> for MemoryError {
    fn from(error: reconcile::SyncError) -> Self {
        match error {
            reconcile::SyncError::Journal(error) => Self::Journal(error),
            reconcile::SyncError::Qdrant(error) => Self::Qdrant(error),
        }
    }
}

/// Where the memory lives, and what the environment says that it needs.
#[derive(Clone, Debug)]
pub struct Place {
    pub workspace: PathBuf,
    pub autopack_dir: PathBuf,
    /// `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// The value of the variable that the embedder's settings name.
    pub provider_key: Option<String>,
    pub redactor: Redactor,
}

/// Whether Qdrant may be started where it is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starting {
    Allowed,
    /// `--no-autostart`: only look.
    OnlyLook,
}

/// What to look for.
#[derive(Clone, Debug, Default)]
pub struct Query {
    pub text: String,
    pub filter: Filter,
    /// Other repositories too, where they share the Qdrant.
    pub everywhere: bool,
    pub limit: usize,
}

/// What a phase wants to know before its attempt.
#[derive(Clone, Debug)]
pub struct Recall {
    /// What the phase is about.
    pub phase: String,
    /// What went wrong last time, as it was said.
    pub failure: Option<String>,
    /// Only what this run learned; without it, the whole repository's.
    pub run: Option<RunId>,
    pub limit: usize,
    /// All snippets' texts together.
    pub max_chars: usize,
}

/// Something remembered.
#[derive(Clone, Debug, PartialEq)]
pub struct Snippet {
    pub id: EntryId,
    pub collection: Collection,
    pub run: Option<RunId>,
    pub phase: Option<crate::phase::PhaseId>,
    pub source: String,
    pub text: String,
    pub created: UnixMs,
    /// 1.0 is first by vector and first by full text.
    pub score: f32,
    pub via: Via,
}

/// How the memory stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Stats {
    pub backend: Backend,
    pub embedder: String,
    pub journal: PathBuf,
    pub entries: BTreeMap<String, u64>,
    /// Entries that wait for their vector.
    pub waiting: u64,
    /// What the in-process index holds, if there is one.
    pub faiss: Option<Holding>,
    /// The address, whether or not it serves.
    pub qdrant: Option<String>,
    /// What Qdrant holds of this workspace, if it serves.
    pub in_qdrant: Option<Holding>,
    /// What last went wrong, if anything did.
    pub problem: Option<String>,
}

/// What an index holds of the journal's entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// By collection.
    pub points: BTreeMap<String, u64>,
    /// Changes of the journal that it has still to follow.
    pub behind: u64,
}

/// Cheap to clone. Off, it does nothing at all.
#[derive(Clone, Debug)]
pub struct Memory(Option<Arc<Inner>>);

impl Memory {
    pub fn off() -> Self {
        Self(None)
    }

    pub fn backend(&self) -> Backend {
        self.0.as_ref().map_or(Backend::Off, |inner| inner.backend())
    }

    /// Keeps an entry. Its vector and its way to Qdrant follow in the background; whatever fails, nobody waits for it.
    pub async fn remember(&self, entry: Entry) {
        self.remember_all(vec![entry]).await;
    }

    /// The same for many.
    pub async fn remember_all(&self, entries: Vec<Entry>) {
        if let Some(inner) = self.0.as_ref().filter(|_| !entries.is_empty()) {
            inner.remember(entries).await;
        }
    }

    /// Takes entries back.
    pub async fn forget(&self, ids: &[EntryId]) {
        if let Some(inner) = self.0.as_ref().filter(|_| !ids.is_empty()) {
            inner.take_back(ids).await;
        }
    }

    /// What an entry is called here, for those that supersede it.
    pub fn id_of(&self, entry: &Entry) -> Option<EntryId> {
        self.0.as_ref().map(|inner| entry.id(&inner.workspace.entries))
    }

    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// What is worth telling the agent, best first; within two seconds, or what there is by then.
    pub async fn recall(&self, recall: &Recall) -> Vec<Snippet> {
        match &self.0 {
            Some(inner) => inner.recall(recall).await,
            None => Vec::new(),
        }
    }

    pub async fn search(&self, query: &Query) -> Result<Vec<Snippet>, MemoryError> {
        match &self.0 {
            Some(inner) => inner.search(query).await,
            None => Ok(Vec::new()),
        }
    }

    /// Between two batches: moves to Qdrant when its image has come or it is back. Says so in one line.
    pub async fn at_batch(&self) -> Option<String> {
        match &self.0 {
            Some(inner) => inner.at_batch().await,
            None => None,
        }
    }

    /// Before a claim: an error where Qdrant is required and gone.
    pub fn may_claim(&self) -> Result<(), MemoryError> {
        self.0.as_ref().map_or(Ok(()), |inner| inner.may_claim())
    }

    /// Brings journal, embedder and indexes together, completely.
    pub async fn sync(&self, progress: reconcile::Progress<'_>) -> Result<Synced, MemoryError> {
        match &self.0 {
            Some(inner) => inner.sync(progress).await,
            None => Ok(Synced::default()),
        }
    }

    /// Removes what outlived its lifetime; returns how much.
    pub async fn prune(&self) -> Result<usize, MemoryError> {
        match &self.0 {
            Some(inner) => inner.prune().await,
            None => Ok(0),
        }
    }

    /// Takes the repository's files into `code_docs`: all of them, by their paths beneath `root`. Only what changed
    /// since is read anew.
    pub async fn index(&self, root: &Path, paths: &[String]) -> Result<Indexed, MemoryError> {
        match &self.0 {
            Some(inner) => inner.index(root, paths).await,
            None => Ok(Indexed::default()),
        }
    }

    pub async fn stats(&self) -> Result<Option<Stats>, MemoryError> {
        match &self.0 {
            Some(inner) => inner.stats().await.map(Some),
            None => Ok(None),
        }
    }

    /// Waits for what goes on in the background and saves the index.
    pub async fn close(&self) {
        if let Some(inner) = &self.0 {
            inner.close().await;
        }
    }
}
