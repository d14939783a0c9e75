//! Changes that a Postgres server tells of, so that machines need not ask for them: `LISTEN`. Polls are the fallback: for files,
//! and at a connection pooler that gives each transaction another connection, over which nothing is told.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPool, PgPoolOptions};
use tokio::sync::watch;

use super::Store;
use super::backend::Pool;

/// Channel of `pg_notify` in the triggers of the schema. A channel belongs to one database.
const CHANNEL: &str = "autopack";
/// First and longest pause before a lost connection is opened again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What changed in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// Members of a merge queue.
    Queue,
    /// Phases and pauses of runs: there may be work.
    Work,
    /// Requests of operators to stop.
    Stop,
}

/// Numbers of changes told so far; 0 while nothing is told.
pub type ChangeCount = watch::Receiver<u64>;

/// Changes told by the server. Shared by all handles of a store.
#[derive(Clone, Debug, Default)]
pub struct ServerChanges(Arc<[watch::Sender<u64>; 3]>);

impl ServerChanges {
    /// Returns the number of changes of a kind. It never changes for a file.
    pub fn of(&self, kind: ChangeKind) -> ChangeCount {
        self.0[kind as usize].subscribe()
    }

    /// Counts a change of a kind.
    fn tell(&self, kind: ChangeKind) {
        self.0[kind as usize].send_modify(|count| *count += 1);
    }

    /// Wakes everybody after a pause without news. Nothing is counted: behind a connection pooler, nothing will be told.
    fn wake_all(&self) {
        for count in &*self.0 {
            count.send_modify(|_| {});
        }
    }

    /// Nothing is told any more.
    fn fall_silent(&self) {
        for count in &*self.0 {
            count.send_if_modified(|count| std::mem::take(count) > 0);
        }
    }

    /// Listens to the server, until dropped.
    async fn listen(&self, server: PgPool) -> Infallible {
        let mut pause = FIRST_PAUSE;
        loop {
            let listening = async {
                let mut listener = PgListener::connect_with(&server).await?;
                // The lost connection is opened again here, where it is noticed.
                listener.eager_reconnect(false);
                listener.listen(CHANNEL).await?;
                self.wake_all();
                pause = FIRST_PAUSE;
                while let Some(told) = listener.try_recv().await? {
                    match told.payload() {
                        "queue" => self.tell(ChangeKind::Queue),
                        "work" => self.tell(ChangeKind::Work),
                        "stop" => self.tell(ChangeKind::Stop),
                        // Of a newer version.
                        _ => {}
                    }
                }
                Ok::<(), sqlx::Error>(())
            };
            if let Err(error) = listening.await {
                tracing::debug!("the server tells of no changes: {error}");
            }
            self.fall_silent();
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

impl Store {
    /// Returns the changes that the server tells of while [`Store::listen`] runs.
    pub fn changes(&self) -> &ServerChanges {
        &self.changes
    }

    /// Listens to the server's changes, until dropped. Never returns; for a file, it only waits.
    pub async fn listen(&self) -> Infallible {
        let Pool::Postgres(writers) = &self.writer else { return std::future::pending().await };
        let options = writers.connections.connect_options().as_ref().clone();
        // A connection of its own: the others belong to transactions.
        let server = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
        self.changes.listen(server).await
    }
}

/// Waits for the next change. Never returns for a file.
pub async fn next_change(count: &mut ChangeCount) {
    if count.changed().await.is_err() {
        std::future::pending().await
    }
}
