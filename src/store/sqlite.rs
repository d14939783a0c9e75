//! What is SQLite's own: connection settings, file header, version, error codes.
//!
//! Another database would replace this file; the SQL of the other files is meant to be portable.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _};

use super::error::RESTORE_IT;

/// "apck", at offset 68 of every database of ours.
pub(super) const APPLICATION_ID: u32 = 0x6170_636b;

/// 3.7.0 to 3.51.2 can corrupt a WAL database that two connections write to.
pub(super) const OLDEST_SQLITE: (u32, u32, u32) = (3, 51, 3);

/// How long a write waits for another process's. Imports of a hundred thousand phases take seconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a task waits for its process's own writer: longer, since each before it may wait that long.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(600);
const READERS: u32 = 4;
/// Rows that a reader gets ready ahead of whoever asked for them. With sqlx's own 50, the two wake each other all the
/// time.
pub(super) const ROW_BUFFER: usize = 1024;

/// Pages that the WAL holds before whoever commits copies them into the database: 10 MB. A phase writes about twenty, so
/// that with SQLite's own 1000 one claim in fifty would wait for that.
const WAL_PAGES: &str = "2500";

/// What kind of trouble the database has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The disk, or what we may use of it, is full.
    Full,
    Io,
    Busy,
    Corrupt,
    ReadOnly,
    CannotOpen,
    /// Whatever else; the error's source says it.
    Other,
}

impl Trouble {
    /// sqlx reports all of these as `ErrorKind::Other`; only the code tells them apart.
    pub(super) fn of(error: &sqlx::Error) -> Self {
        let code = match error {
            sqlx::Error::Database(error) => error.code(),
            // Everybody before us in the queue for the one writer waited for another process.
            sqlx::Error::PoolTimedOut => return Self::Busy,
            _ => None,
        };
        // The low byte is the primary code: <https://www.sqlite.org/rescode.html>.
        match code.and_then(|code| code.parse::<u32>().ok()).map(|code| code & 0xff) {
            Some(13) => Self::Full,
            Some(10) => Self::Io,
            Some(5 | 6) => Self::Busy,
            Some(11 | 26) => Self::Corrupt,
            Some(8) => Self::ReadOnly,
            Some(14) => Self::CannotOpen,
            _ => Self::Other,
        }
    }
}

impl Trouble {
    /// What to do about it, where that is known.
    pub(super) fn hint(self) -> Option<&'static str> {
        match self {
            Self::Full => Some("free some space and go on, nothing was lost"),
            Self::Io => Some("look at the system's log before going on"),
            Self::Busy => Some("see what has it open"),
            Self::Corrupt => Some(RESTORE_IT),
            Self::ReadOnly | Self::CannotOpen | Self::Other => None,
        }
    }
}

/// What is wrong, and after a `; ` what to do about it.
impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the disk is full",
            Self::Io => "the disk reports an error",
            Self::Busy => "another process holds it for very long",
            Self::Corrupt => "it is damaged",
            Self::ReadOnly => "it, or its folder, is read-only",
            Self::CannotOpen => "it, or a file beside it, cannot be opened",
            Self::Other => "it answered with an error",
        })?;
        self.hint().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

/// One writer: transactions queue up here, in order, instead of in SQLite's busy handler.
pub(super) async fn writer(path: &Path) -> Result<SqlitePool, sqlx::Error> {
    pool(1).connect_with(options(path)).await
}

/// Readers beside it, which open when they are first needed. `query_only` and not the read-only mode of opening:
/// a read-only connection that closes last leaves the WAL's files behind.
pub(super) fn readers(path: &Path) -> SqlitePool {
    let options = options(path)
        .create_if_missing(false)
        .row_buffer_size(ROW_BUFFER)
        .pragma("query_only", "ON");
    pool(READERS).connect_lazy_with(options)
}

/// For notes that may be lost: waits neither for a lock nor for the disk. What the writer makes durable is not less so.
pub(super) fn notes(path: &Path) -> SqlitePool {
    let options = options(path)
        .create_if_missing(false)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(Duration::ZERO);
    pool(1).connect_lazy_with(options)
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .acquire_slow_threshold(BUSY_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        // When the disk is full, SQLite rolls back by itself and sqlx does not notice: the connection would answer
        // every later transaction with an error, also after space was freed. It is replaced instead.
        .after_release(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // NORMAL loses acknowledged work when the power fails.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .pragma("wal_autocheckpoint", WAL_PAGES)
        .busy_timeout(BUSY_TIMEOUT)
        // Statements hold whole specs, and a slow one only waits for another process.
        .disable_statement_logging()
}

/// A look that changes nothing on disk. Without a WAL to read through, the file is opened as immutable, so that
/// neither locks nor files beside it come into being.
pub(super) fn look_only(path: &Path, through_wal: bool) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .immutable(!through_wal)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
}

/// What the first 100 bytes of a database file say: <https://www.sqlite.org/fileformat.html#the_database_header>.
pub(super) struct Header {
    pub application_id: u32,
    pub user_version: u32,
}

impl Header {
    pub(super) const LENGTH: usize = 100;

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
        bytes.starts_with(b"SQLite format 3\0").then_some(())?;
        Some(Self { user_version: number(60)?, application_id: number(68)? })
    }
}

/// Whether this version is free of the bug of [`OLDEST_SQLITE`].
pub(super) fn is_new_enough(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let mut part = || parts.next().unwrap_or(0);
    (part(), part(), part()) >= OLDEST_SQLITE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        for (version, enough) in [
            ("3.51.3", true),
            ("3.52.0", true),
            ("4.0", true),
            ("3.51.2", false),
            ("3.9.9", false),
            ("", false),
        ] {
            assert_eq!(is_new_enough(version), enough, "{version}");
        }
    }

    #[test]
    fn a_queue_for_the_writer_that_takes_too_long_is_a_busy_database() {
        assert_eq!(Trouble::of(&sqlx::Error::PoolTimedOut), Trouble::Busy);
        assert_eq!(Trouble::of(&sqlx::Error::PoolClosed), Trouble::Other);
    }

    #[test]
    fn only_a_database_has_a_header() {
        assert!(Header::parse(b"SQLite format 3").is_none());
        assert!(Header::parse(&[0; 100]).is_none());
        let mut bytes = [0; 100];
        bytes[..16].copy_from_slice(b"SQLite format 3\0");
        bytes[68..72].copy_from_slice(&APPLICATION_ID.to_be_bytes());
        let header = Header::parse(&bytes).unwrap();
        assert_eq!((header.application_id, header.user_version), (APPLICATION_ID, 0));
    }
}
