//! Memory of earlier phases: work done, failures, fixes, and the repository's own text.
//!
//! Everything is written to a journal first ([`journal`]); Qdrant ([`index::qdrant`]) and FAISS ([`index::faiss`]) are indexes of the
//! journal. The rest of the program uses [`Memory`]: chooses and starts a backend once, answers within two seconds, and
//! never stops a phase. Independent of the store and of phases' states.

pub mod autostart;
mod choose_backend;
mod code_docs;
pub mod embed;
pub mod file_ranking;
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

pub use choose_backend::OpenMemory;
pub use code_docs::IndexSummary;
pub use inner::Backend;
pub use memory_entry::{Collection, Entry, EntryFilter, EntryId};
pub use recall::MatchSource;
pub use reconcile::SyncSummary;

use inner::MemoryWorker;

/// Failure of the memory.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// `require: true`, but Qdrant does not serve.
    #[error("memory.qdrant.require is true, but {why}; {help}")]
    Required {
        /// Reason why Qdrant does not serve.
        why: String,
        /// Suggested remedy.
        help: String,
        /// Qdrant is running but rejects the API key.
        refused: bool,
    },
    /// A part of the memory cannot be set up.
    #[error("cannot set up the memory: {0}")]
    Setup(String),
    /// The embedder failed.
    #[error(transparent)]
    Embed(#[from] embed::EmbedError),
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] journal::JournalError),
    /// The in-process index failed.
    #[error(transparent)]
    Faiss(#[from] index::faiss::FaissError),
    /// Qdrant failed.
    #[error(transparent)]
    Qdrant(#[from] index::qdrant::QdrantError),
}

impl MemoryError {
    /// Creates `Required`; `start` is the hint for starting Qdrant, if useful: "start it with `docker compose up -d
    /// qdrant`".
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

/// Location of the memory, with the relevant parts of the environment.
#[derive(Clone, Debug)]
pub struct MemoryLocation {
    /// Root of the workspace.
    pub workspace: PathBuf,
    /// The `.autopack` directory.
    pub autopack_dir: PathBuf,
    /// Identity of the repository, the same in the clones of all machines; `None` without a remote.
    pub repository: Option<String>,
    /// `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// Value of the variable named in the embedder's settings.
    pub provider_key: Option<String>,
    /// Removes secrets from texts.
    pub redactor: Redactor,
}

/// Permission to start Qdrant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutostartPermission {
    /// A stopped Qdrant may be started.
    Allowed,
    /// `--no-autostart`: only check.
    CheckOnly,
}

/// A search request.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Text to search for.
    pub text: String,
    /// Collections and run.
    pub filter: EntryFilter,
    /// Include other repositories on the same Qdrant server.
    pub everywhere: bool,
    /// Maximum number of results.
    pub limit: usize,
}

/// A request for memories relevant to an attempt.
#[derive(Clone, Debug)]
pub struct Recall {
    /// Description of the phase.
    pub phase: String,
    /// Failure of the last attempt, in the original words.
    pub failure: Option<String>,
    /// Only memories of this run; `None` searches the whole repository's.
    pub run: Option<RunId>,
    /// Maximum number of snippets.
    pub limit: usize,
    /// Maximum total length of all snippets, in characters.
    pub max_chars: usize,
}

/// A search result.
#[derive(Clone, Debug, PartialEq)]
pub struct Snippet {
    /// Id of the entry.
    pub id: EntryId,
    /// Collection of the entry.
    pub collection: Collection,
    /// Run, if any.
    pub run: Option<RunId>,
    /// Phase, if any.
    pub phase: Option<crate::phase::PhaseId>,
    /// Origin, for people: `run/phase` or a path.
    pub source: String,
    /// Text of the entry.
    pub text: String,
    /// Time of the first writing.
    pub created: UnixMs,
    /// Relevance; 1.0 is first by vector and first by full text.
    pub score: f32,
    /// Search that found the entry.
    pub via: MatchSource,
}

/// Statistics of the memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Stats {
    /// Active backend.
    pub backend: Backend,
    /// Id of the embedder.
    pub embedder: String,
    /// Path of the journal.
    pub journal: PathBuf,
    /// Number of entries, by collection.
    pub entries: BTreeMap<String, u64>,
    /// Entries waiting for a vector.
    pub waiting: u64,
    /// Contents of the in-process index, if any.
    pub faiss: Option<IndexStatus>,
    /// Address of Qdrant, reachable or not.
    pub qdrant: Option<String>,
    /// This workspace's contents of Qdrant, if reachable.
    pub in_qdrant: Option<IndexStatus>,
    /// Last problem, if any.
    pub problem: Option<String>,
}

/// Contents of an index, compared with the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexStatus {
    /// Number of vectors, by collection.
    pub points: BTreeMap<String, u64>,
    /// Changes in the journal not applied yet.
    pub behind: u64,
}

/// Handle of the memory. Cheap to clone; does nothing when disabled.
#[derive(Clone, Debug)]
pub struct Memory(Option<Arc<MemoryWorker>>);

impl Memory {
    /// Creates a disabled memory.
    pub fn off() -> Self {
        Self(None)
    }

    /// Returns the active backend.
    pub fn backend(&self) -> Backend {
        self.0.as_ref().map_or(Backend::Off, |inner| inner.backend())
    }

    /// Stores an entry. Embedding and indexing follow in the background; failures never reach the caller.
    pub async fn remember(&self, entry: Entry) {
        self.remember_all(vec![entry]).await;
    }

    /// Stores several entries.
    pub async fn remember_all(&self, entries: Vec<Entry>) {
        if let Some(inner) = self.0.as_ref().filter(|_| !entries.is_empty()) {
            inner.remember(entries).await;
        }
    }

    /// Removes entries.
    pub async fn forget(&self, ids: &[EntryId]) {
        if let Some(inner) = self.0.as_ref().filter(|_| !ids.is_empty()) {
            inner.remove_entries(ids).await;
        }
    }

    /// Returns the id of an entry in this workspace, for use in `supersedes`.
    pub fn id_of(&self, entry: &Entry) -> Option<EntryId> {
        self.0.as_ref().map(|inner| entry.id(&inner.workspace.entries))
    }

    /// Checks whether the memory is enabled.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the snippets most relevant for the agent, best first; after two seconds, the snippets found so far.
    pub async fn recall(&self, recall: &Recall) -> Vec<Snippet> {
        match &self.0 {
            Some(inner) => inner.recall(recall).await,
            None => Vec::new(),
        }
    }

    /// Searches the memory, best results first.
    ///
    /// # Errors
    /// The journal or an index cannot be read.
    pub async fn search(&self, query: &Query) -> Result<Vec<Snippet>, MemoryError> {
        match &self.0 {
            Some(inner) => inner.search(query).await,
            None => Ok(Vec::new()),
        }
    }

    /// Switches to Qdrant between batches, after a finished pull or a recovery. Returns a line to report, if any.
    pub async fn at_batch(&self) -> Option<String> {
        match &self.0 {
            Some(inner) => inner.at_batch().await,
            None => None,
        }
    }

    /// Checks before a claim whether a required Qdrant is available.
    ///
    /// # Errors
    /// Qdrant is required and went away.
    pub fn may_claim(&self) -> Result<(), MemoryError> {
        self.0.as_ref().map_or(Ok(()), |inner| inner.may_claim())
    }

    /// Synchronizes journal, embedder and indexes completely.
    ///
    /// # Errors
    /// The embedder, Qdrant or the journal fails, or another process holds the sync lock for a minute.
    pub async fn sync(
        &self,
        progress: reconcile::Progress<'_>,
    ) -> Result<SyncSummary, MemoryError> {
        match &self.0 {
            Some(inner) => inner.sync(progress).await,
            None => Ok(SyncSummary::default()),
        }
    }

    /// Removes expired entries; returns the number removed.
    ///
    /// # Errors
    /// The journal cannot be read or written.
    pub async fn prune(&self) -> Result<usize, MemoryError> {
        match &self.0 {
            Some(inner) => inner.prune().await,
            None => Ok(0),
        }
    }

    /// Indexes the repository's files in `code_docs`: `paths` are all files, relative to `root`. Unchanged files are
    /// skipped.
    ///
    /// # Errors
    /// The journal cannot be read or written.
    pub async fn index(&self, root: &Path, paths: &[String]) -> Result<IndexSummary, MemoryError> {
        match &self.0 {
            Some(inner) => inner.index(root, paths).await,
            None => Ok(IndexSummary::default()),
        }
    }

    /// Returns statistics; `None` when disabled.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn stats(&self) -> Result<Option<Stats>, MemoryError> {
        match &self.0 {
            Some(inner) => inner.stats().await.map(Some),
            None => Ok(None),
        }
    }

    /// Waits for background work and saves the index.
    pub async fn close(&self) {
        if let Some(inner) = &self.0 {
            inner.close().await;
        }
    }
}
