//! A transaction on a pooled connection. A connection in doubt never returns to the pool: one that broke, that did not answer in
//! time, or whose task was dropped in the middle of a statement.

use std::pin::Pin;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPool, Postgres};
use sqlx::{Connection as _, Error};

use super::errors::{forbids_preparation, is_unusable_after};
use super::server::Preparation;

type BoxFuture<'c, T> = Pin<Box<dyn Future<Output = T> + Send + 'c>>;

/// Longest wait for the answer to a statement; longer than the wait for the writers' lock. A network that drops packets breaks
/// no connection for minutes.
const DEADLINE: Duration = Duration::from_secs(150);
/// Longest wait for a rollback, which nobody waits for.
const ROLLBACK: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct PgTransaction {
    /// `None` once it returned to the pool.
    connection: Option<PoolConnection<Postgres>>,
    /// Whether a statement is under way, or the connection broke.
    is_in_doubt: bool,
    is_open: bool,
    preparation: Preparation,
}

impl PgTransaction {
    /// Begins a transaction by these statements.
    pub async fn begin(
        pool: &PgPool,
        statements: &'static str,
        preparation: Preparation,
    ) -> Result<Self, Error> {
        let mut connection = acquired(pool).await?;
        // A statement that was prepared before would be used again.
        while !preparation.is_on() && connection.cached_statements_size() > 0 {
            connection.close_on_drop();
            connection = acquired(pool).await?;
        }
        let mut tx =
            Self { connection: Some(connection), is_in_doubt: true, is_open: true, preparation };
        let begun = within(DEADLINE, sqlx::raw_sql(statements).execute(tx.connection())).await;
        // A failed statement of several leaves the transaction open and aborted.
        tx.is_in_doubt = begun.is_err();
        begun.map(|_| tx)
    }

    /// Ends the transaction and keeps its changes.
    pub async fn commit(mut self) -> Result<(), Error> {
        self.end("COMMIT").await
    }

    /// Ends the transaction and discards its changes.
    pub async fn rollback(mut self) -> Result<(), Error> {
        self.end("ROLLBACK").await
    }

    async fn end(&mut self, statement: &'static str) -> Result<(), Error> {
        self.run(|connection| Box::pin(sqlx::raw_sql(statement).execute(connection))).await?;
        self.is_open = false;
        Ok(())
    }

    /// Runs a statement. A connection that broke, or gave no answer in time, is in doubt afterwards.
    pub async fn run<T>(
        &mut self,
        statement: impl for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, Error>>,
    ) -> Result<T, Error> {
        self.is_in_doubt = true;
        let result = within(DEADLINE, statement(self.connection())).await;
        self.is_in_doubt = match &result {
            Ok(_) => false,
            Err(error) => is_unusable_after(error),
        };
        if result.as_ref().is_err_and(forbids_preparation) {
            self.preparation.turn_off();
        }
        result
    }

    /// Returns whether queries are prepared once for the connection.
    pub fn is_prepared(&self) -> bool {
        self.preparation.is_on()
    }

    /// Returns the connection.
    pub fn connection(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect("the connection leaves only when the value is dropped")
    }
}

async fn acquired(pool: &PgPool) -> Result<PoolConnection<Postgres>, Error> {
    pool.acquire().await.map_err(|error| match error {
        // A pool tries again while the server refuses connections, and hides the reason.
        Error::PoolTimedOut => Error::Io(std::io::ErrorKind::TimedOut.into()),
        error => error,
    })
}

/// Limits the wait for an answer.
pub async fn within<T>(
    time: Duration,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let late = |_| Err(Error::Io(std::io::ErrorKind::TimedOut.into()));
    tokio::time::timeout(time, work).await.unwrap_or_else(late)
}

impl Drop for PgTransaction {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        if self.is_in_doubt {
            return connection.close_on_drop();
        }
        if !self.is_open {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return connection.close_on_drop();
        };
        runtime.spawn(async move {
            let rollback = sqlx::raw_sql("ROLLBACK").execute(&mut *connection);
            if within(ROLLBACK, rollback).await.is_err() {
                connection.close_on_drop();
            }
        });
    }
}
