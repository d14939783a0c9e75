//! The way of an entry to the journal: cleaned, in parts that do not hold it long, in the background if it takes long.

use std::sync::{Arc, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Inner, PATIENCE};
use crate::clock::now;
use crate::memory::journal::JournalError;
use crate::memory::memory_entry::{Entry, EntryId, Kept};
use crate::phase::json::map_texts;

/// So many entries go into one transaction: another process gives up on the journal when it is held for two seconds.
const WORTH_WRITING: usize = 128;
/// A journal that others keep busy is asked so often; each time waits for SQLite's busy timeout.
const TRIES: u32 = 5;

impl Inner {
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

    pub(super) fn writing(&self) -> MutexGuard<'_, JoinSet<()>> {
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
        (Kept::from_entry(entry, &self.workspace.entries, now()), supersedes)
    }
}
