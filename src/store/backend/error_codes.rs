//! Classification of the errors of both databases.

use super::error_kind::DatabaseErrorKind;
use super::{postgres, sqlite};

impl DatabaseErrorKind {
    /// Classifies an error by code; sqlx reports all of them as `ErrorKind::Other`.
    pub(in crate::store) fn of(error: &sqlx::Error) -> Self {
        let sqlx::Error::Database(reported) = error else {
            return match error {
                error if postgres::commit::is_unanswered(error) => Self::Unanswered,
                // A connection to a server. Files have no connection that breaks.
                error if postgres::errors::is_broken_connection(error) => Self::Unreachable,
                // Every task ahead in the queue for the single writer waited for another process.
                sqlx::Error::PoolTimedOut => Self::Busy,
                _ => Self::Other,
            };
        };
        match reported.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
            Some(error) => postgres::errors::kind_of(error),
            None => sqlite::kind_of(&reported.code().unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writer_queue_timeout_is_reported_as_busy_database() {
        assert_eq!(DatabaseErrorKind::of(&sqlx::Error::PoolTimedOut), DatabaseErrorKind::Busy);
        assert_eq!(DatabaseErrorKind::of(&sqlx::Error::PoolClosed), DatabaseErrorKind::Other);
    }
}
