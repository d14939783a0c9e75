//! Commits whose answer is lost: the server knows for every transaction whether it was committed.

use std::io;
use std::time::Duration;

use sqlx::postgres::PgPool;
use sqlx::{ConnectOptions as _, Error, Row as _};
use tokio::time::Instant;

use super::errors;
use super::patience::Patience;
use super::session::BEGIN_READ;
use super::transaction::{PgTransaction, within};
use crate::store::backend::error_kind::DatabaseErrorKind;

const PAUSE: Duration = Duration::from_millis(200);
/// Longest wait for an answer about a transaction.
const LONGEST_QUESTION: Duration = Duration::from_secs(10);

/// Neither the commit nor the question about it was answered. The transaction must not be repeated.
#[derive(Debug, thiserror::Error)]
#[error("no answer to a commit")]
struct UnansweredCommit;

/// Returns the error of a commit without an answer.
pub fn unanswered() -> Error {
    Error::Io(io::Error::other(UnansweredCommit))
}

/// Returns whether a transaction may have been committed or not.
pub fn is_unanswered(error: &Error) -> bool {
    match error {
        Error::Io(error) => error.get_ref().is_some_and(|why| why.is::<UnansweredCommit>()),
        _ => false,
    }
}

/// Commits. If the connection breaks meanwhile, asks the server whether the transaction was committed.
///
/// # Errors
/// The transaction was not committed; or nobody could be asked within `patience`, see [`is_unanswered`].
pub async fn commit(
    mut tx: PgTransaction,
    pool: &PgPool,
    patience: &Patience,
) -> Result<(), Error> {
    // A transaction that changed nothing has no id, and its commit does not matter.
    let asked = sqlx::raw_sql("SELECT pg_current_xact_id_if_assigned()::text");
    let answer = tx.run(|connection| Box::pin(asked.fetch_one(connection))).await?;
    let id: Option<String> = answer.try_get(0)?;
    let error = match tx.commit().await {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    let Some(id) = id.filter(|_| DatabaseErrorKind::of(&error) == DatabaseErrorKind::Unreachable)
    else {
        return Err(error);
    };
    let since = Instant::now();
    while since.elapsed() < patience.get() {
        match status(pool, &id).await {
            Ok(Some(status)) if status == "committed" => return Ok(()),
            Ok(Some(status)) if status == "aborted" => return Err(error),
            // The server has not noticed yet that the connection broke.
            Ok(Some(_)) => {}
            // Too old to be known; or a standby took over that never had it.
            Ok(None) => return Err(error),
            Err(why) if DatabaseErrorKind::of(&why) == DatabaseErrorKind::Unreachable => {}
            Err(why) => return Err(why),
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(unanswered())
}

/// Asks over a connection of its own: the pool's may be the broken one.
async fn status(pool: &PgPool, id: &str) -> Result<Option<String>, Error> {
    let work = async {
        let mut connection = pool.connect_options().connect().await?;
        sqlx::raw_sql(BEGIN_READ).execute(&mut connection).await?;
        let asked = sqlx::query_scalar("SELECT pg_xact_status($1::xid8)").bind(id.to_owned());
        asked.persistent(false).fetch_one(&mut connection).await
    };
    // An id after the last one that the server gave is an error: it forgot the transaction.
    match within(LONGEST_QUESTION, work).await {
        Err(Error::Database(why)) if why.code().as_deref() == Some(errors::INVALID_PARAMETER) => {
            Ok(None)
        }
        found => found,
    }
}
