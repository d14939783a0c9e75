//! Classifies errors of a Postgres server and of the connection to it.

use crate::store::backend::error_kind::DatabaseErrorKind;

/// invalid_parameter_value.
pub const INVALID_PARAMETER: &str = "22023";

/// Returns the kind of an error by its SQLSTATE:
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
pub fn kind_of(code: &str) -> DatabaseErrorKind {
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

/// Returns whether the connection to the server broke, or none could be made.
pub fn is_broken_connection(error: &sqlx::Error) -> bool {
    match error {
        // A server behind a proxy that accepts, and closes at once.
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Tls(error) => error.downcast_ref::<std::io::Error>().is_some(),
        _ => false,
    }
}
