//! Classifies errors of a Postgres server and of the connection to it.

use sqlx::postgres::PgDatabaseError;

use crate::store::backend::error_kind::DatabaseErrorKind;

/// invalid_parameter_value.
pub const INVALID_PARAMETER: &str = "22023";

/// Returns the kind of an error.
pub fn kind_of(error: &PgDatabaseError) -> DatabaseErrorKind {
    match is_about_preparation(error) {
        // The next transaction has another connection, without prepared statements.
        true => DatabaseErrorKind::Unreachable,
        false => kind_of_code(error.code()),
    }
}

/// Returns the kind of an error by its SQLSTATE:
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn kind_of_code(code: &str) -> DatabaseErrorKind {
    match code {
        "53100" => DatabaseErrorKind::Full,
        "58030" => DatabaseErrorKind::Io,
        // lock_not_available; canceled by lock_timeout.
        "55P03" => DatabaseErrorKind::Busy,
        "XX001" | "XX002" => DatabaseErrorKind::Corrupt,
        // A write at a standby, and the beginning of a transaction that writes.
        "25006" | "0A000" => DatabaseErrorKind::Standby,
        // Too many connections; out of memory; other missing resources.
        "53300" | "53200" | "53400" | "53000" => DatabaseErrorKind::Unreachable,
        // The server shuts down, crashed, or starts; the transaction was idle for too long.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => DatabaseErrorKind::Unreachable,
        // The transaction may be repeated: serialization, deadlock, a limit of the server's settings.
        "40001" | "40P01" | "57014" => DatabaseErrorKind::Unreachable,
        code if code.starts_with("08") => DatabaseErrorKind::Unreachable,
        _ => DatabaseErrorKind::Other,
    }
}

/// Returns whether the server does not have a prepared statement as it should: another client prepared one of this name in the same
/// process, behind a pooler, or nobody did; or a migration changed the types of its columns.
pub fn is_about_preparation(error: &PgDatabaseError) -> bool {
    // 08P01: the other statement has another number of parameters. The code of an outdated one, feature_not_supported, is also
    // that of a standby.
    matches!(error.code(), "42P05" | "26000" | "08P01")
        || error.routine() == Some("RevalidateCachedQuery")
}

/// Returns whether a connection cannot be used after an error.
pub fn is_unusable_after(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(error) => {
            error.try_downcast_ref::<PgDatabaseError>().is_some_and(is_about_preparation)
        }
        _ => false,
    }
}

/// Returns whether statements are not to be prepared any more.
pub fn forbids_preparation(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(_)) && is_unusable_after(error)
}

/// Returns whether the connection to the server broke, or none could be made.
pub fn is_broken_connection(error: &sqlx::Error) -> bool {
    match error {
        // A server behind a proxy that accepts, and closes at once.
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Tls(error) => error.downcast_ref::<std::io::Error>().is_some(),
        _ => false,
    }
}
