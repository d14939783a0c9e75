//! Connections, pools and transactions of either database.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::sqlite::{Sqlite, SqliteConnection, SqlitePool};
use sqlx::{Error, Transaction};

use super::postgres::commit;
use super::postgres::patience::Patience;
use super::postgres::server::{Preparation, READERS, Server};
use super::postgres::session::{BEGIN_NOTE, BEGIN_READ, BEGIN_WRITE};
use super::postgres::transaction::PgTransaction;
use super::sqlite;

/// Connections for one purpose.
#[derive(Clone, Debug)]
pub enum Pool {
    Sqlite(SqlitePool),
    Postgres(ServerPool),
}

/// Connections to a Postgres server.
#[derive(Clone, Debug)]
pub struct ServerPool {
    pub connections: PgPool,
    pub purpose: Purpose,
    pub preparation: Preparation,
}

/// What the connections of a Postgres pool are for; SQLite's are opened with their purpose.
#[derive(Clone, Debug)]
pub enum Purpose {
    Read,
    /// One transaction at a time, of all machines. If the answer to a commit is lost, the server is asked for this long.
    Write(Patience),
    /// Notes that may be lost.
    Note,
}

/// A connection, within a transaction or not.
#[derive(Debug)]
pub enum Connection {
    Sqlite(Handle),
    Postgres(PgTransaction),
}

/// A connection of SQLite. Postgres is only used within transactions: a connection pooler may give each of them another
/// server process.
#[derive(Debug)]
pub enum Handle {
    Pooled(PoolConnection<Sqlite>),
    Transaction(Transaction<'static, Sqlite>),
}

/// A transaction; rolled back unless committed.
#[derive(Debug)]
pub struct Tx {
    connection: Connection,
    /// Where to ask about a commit whose answer is lost.
    settle: Option<(PgPool, Patience)>,
}

impl Pool {
    /// The single writer: transactions of one process wait here, not at the server.
    pub fn writer_at(server: &Server, patience: &Patience) -> Self {
        Self::of_server(server, 1, Purpose::Write(patience.clone()))
    }

    pub fn readers_at(server: &Server) -> Self {
        Self::of_server(server, READERS, Purpose::Read)
    }

    pub fn notes_at(server: &Server) -> Self {
        Self::of_server(server, 1, Purpose::Note)
    }

    fn of_server(server: &Server, connections: u32, purpose: Purpose) -> Self {
        let connections = server.pool(connections);
        Self::Postgres(ServerPool { connections, purpose, preparation: server.preparation() })
    }

    /// The same connections, for notes.
    pub fn for_notes(&self) -> Self {
        match self {
            Self::Sqlite(pool) => Self::Sqlite(pool.clone()),
            Self::Postgres(pool) => {
                Self::Postgres(ServerPool { purpose: Purpose::Note, ..pool.clone() })
            }
        }
    }

    /// Begins a transaction: immediate for SQLite's writer, where upgrading a deferred transaction would fail with BUSY
    /// without waiting; for Postgres as the purpose of the pool says.
    pub async fn begin(&self) -> Result<Tx, Error> {
        self.begin_with("BEGIN").await
    }

    /// Begins a transaction that excludes other writers from the start.
    pub async fn begin_write(&self) -> Result<Tx, Error> {
        self.begin_with("BEGIN IMMEDIATE").await
    }

    async fn begin_with(&self, sqlite: &'static str) -> Result<Tx, Error> {
        Ok(match self {
            Self::Sqlite(pool) => {
                sqlite::wait_for_returned(pool).await;
                let handle = Handle::Transaction(pool.begin_with(sqlite).await?);
                Tx { connection: Connection::Sqlite(handle), settle: None }
            }
            Self::Postgres(ServerPool { connections, purpose, preparation }) => {
                let preparation = preparation.clone();
                let begun = PgTransaction::begin(connections, purpose.begin(), preparation).await?;
                let connection = Connection::Postgres(begun);
                let settle = match purpose {
                    Purpose::Write(patience) => Some((connections.clone(), patience.clone())),
                    Purpose::Read | Purpose::Note => None,
                };
                Tx { connection, settle }
            }
        })
    }

    /// Takes a connection for a single statement.
    pub async fn acquire(&self) -> Result<Tx, Error> {
        match self {
            Self::Sqlite(pool) => {
                sqlite::wait_for_returned(pool).await;
                let connection = Connection::Sqlite(Handle::Pooled(pool.acquire().await?));
                Ok(Tx { connection, settle: None })
            }
            Self::Postgres(..) => self.begin().await,
        }
    }

    /// Closes all connections.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.connections.close().await,
        }
    }
}

impl Purpose {
    fn begin(&self) -> &'static str {
        match self {
            Self::Read => BEGIN_READ,
            Self::Write(_) => BEGIN_WRITE,
            Self::Note => BEGIN_NOTE,
        }
    }
}

impl Tx {
    /// Ends the transaction and keeps its changes; a connection without a transaction returns to its pool.
    pub async fn commit(self) -> Result<(), Error> {
        match (self.connection, self.settle) {
            (Connection::Sqlite(Handle::Transaction(tx)), _) => tx.commit().await,
            (Connection::Sqlite(Handle::Pooled(_)), _) => Ok(()),
            (Connection::Postgres(tx), None) => tx.commit().await,
            (Connection::Postgres(tx), Some((pool, patience))) => {
                Box::pin(commit::commit(tx, &pool, &patience)).await
            }
        }
    }

    /// Ends the transaction and discards its changes.
    pub async fn rollback(self) -> Result<(), Error> {
        match self.connection {
            Connection::Sqlite(Handle::Transaction(tx)) => tx.rollback().await,
            Connection::Sqlite(Handle::Pooled(_)) => Ok(()),
            Connection::Postgres(tx) => tx.rollback().await,
        }
    }

    /// Returns the connection to a Postgres server.
    pub fn postgres(&mut self) -> Option<&mut PgConnection> {
        match &mut self.connection {
            Connection::Postgres(tx) => Some(tx.connection()),
            Connection::Sqlite(_) => None,
        }
    }
}

impl Deref for Handle {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        match self {
            Self::Pooled(connection) => connection,
            Self::Transaction(tx) => tx,
        }
    }
}

impl DerefMut for Handle {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        match self {
            Self::Pooled(connection) => connection,
            Self::Transaction(tx) => tx,
        }
    }
}

impl Deref for Tx {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

/// Where a query runs: on a connection, or on one of a pool.
pub enum Target<'a> {
    Connection(&'a mut Connection),
    Pool(&'a Pool),
}

impl<'a> From<&'a mut Connection> for Target<'a> {
    fn from(connection: &'a mut Connection) -> Self {
        Self::Connection(connection)
    }
}

impl<'a> From<&'a mut Tx> for Target<'a> {
    fn from(tx: &'a mut Tx) -> Self {
        Self::Connection(tx)
    }
}

impl<'a> From<&'a Pool> for Target<'a> {
    fn from(pool: &'a Pool) -> Self {
        Self::Pool(pool)
    }
}

/// A connection borrowed for a query, or taken from a pool for it.
pub(super) enum Session<'a> {
    Borrowed(&'a mut Connection),
    Taken(Tx),
}

/// The connection of a session, by database.
pub(super) enum Driver<'a> {
    Sqlite(&'a mut SqliteConnection),
    Postgres(&'a mut PgTransaction),
}

impl<'a> Target<'a> {
    pub(super) async fn session(self) -> Result<Session<'a>, Error> {
        Ok(match self {
            Self::Connection(connection) => Session::Borrowed(connection),
            Self::Pool(pool) => Session::Taken(pool.acquire().await?),
        })
    }
}

impl Session<'_> {
    pub(super) fn driver(&mut self) -> Driver<'_> {
        let connection = match self {
            Session::Borrowed(connection) => connection,
            Session::Taken(tx) => &mut tx.connection,
        };
        match connection {
            Connection::Sqlite(handle) => Driver::Sqlite(handle),
            Connection::Postgres(tx) => Driver::Postgres(tx),
        }
    }

    /// Ends what was begun for the query.
    pub(super) async fn end(self) -> Result<(), Error> {
        match self {
            Session::Borrowed(_) => Ok(()),
            Session::Taken(tx) => tx.commit().await,
        }
    }
}
