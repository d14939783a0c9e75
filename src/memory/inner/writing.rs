//! Writing entries to the journal: redacted, in batches that hold the lock briefly, in the background when slow.

use std::sync::{Arc, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{MemoryWorker, PATIENCE};
use crate::clock::now;
use crate::memory::journal::JournalError;
use crate::memory::memory_entry::{Entry, EntryId, StoredEntry};
use crate::phase::json::map_texts;

/// Entries per transaction: other processes give up after the journal has been locked for two seconds.
const WORTH_WRITING: usize = 128;
/// Number of attempts for a busy journal; each attempt waits for SQLite's busy timeout.
const MAX_ATTEMPTS: u32 = 5;

impl MemoryWorker {
    /// Writes entries; waits only briefly, the rest is written in the background.
    pub async fn remember(self: &Arc<Self>, entries: Vec<Entry>) {
        let (done, written) = oneshot::channel();
        let inner = Arc::clone(self);
        {
            let mut writing = self.writing();
            while writing.try_join_next().is_some() {}
            writing.spawn(async move {
                inner.write(entries).await;
                // The caller may have stopped waiting.
                let _ = done.send(());
            });
        }
        let _ = timeout(PATIENCE, written).await;
    }

    pub(super) fn writing(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write(self: &Arc<Self>, entries: Vec<Entry>) {
        let mut entries = entries.into_iter().peekable();
        while entries.peek().is_some() {
            let part = entries.by_ref().take(WORTH_WRITING);
            let part: Vec<_> = part.map(|entry| self.prepare_entry(entry)).collect();
            if let Err(error) = self.write_part(&part).await {
                return self.note(error);
            }
        }
        self.catch_up_in_background();
    }

    async fn write_part(&self, part: &[(StoredEntry, Vec<EntryId>)]) -> Result<(), JournalError> {
        for _ in 1..MAX_ATTEMPTS {
            match self.journal.put(part).await {
                Err(error) if error.is_busy() => {}
                written => return written.map(drop),
            }
        }
        self.journal.put(part).await.map(drop)
    }

    pub async fn remove_entries(self: &Arc<Self>, ids: &[EntryId]) {
        match timeout(PATIENCE, self.journal.remove(ids)).await {
            Ok(Ok(_)) => self.catch_up_in_background(),
            Ok(Err(error)) => self.note(error),
            Err(_) => self.note("timed out removing an entry from the journal"),
        }
    }

    /// Converts an entry for storage: without secrets, with the ids of superseded entries.
    fn prepare_entry(&self, mut entry: Entry) -> (StoredEntry, Vec<EntryId>) {
        entry.text = self.redact.apply(&entry.text);
        entry.payload = map_texts(entry.payload, &|text| self.redact.apply(text));
        let supersedes = std::mem::take(&mut entry.supersedes);
        (StoredEntry::from_entry(entry, &self.workspace.entries, now()), supersedes)
    }
}
