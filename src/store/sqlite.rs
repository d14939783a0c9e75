//! SQLite specifics: connection settings, file header, version, error codes.
//!
//! Only this file would be replaced for another database; the SQL of the other files is meant to be portable.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _};

/// Remedy for a damaged database.
pub(super) const RESTORE_IT: &str =
    "restore it from a backup, or move it away and import the plan again";

/// Application id "apck", at offset 68 of every autopack database.
pub(super) const APPLICATION_ID: u32 = 0x6170_636b;

/// Oldest safe version: 3.7.0 to 3.51.2 can corrupt a WAL database with two writing connections.
pub(super) const OLDEST_SQLITE: (u32, u32, u32) = (3, 51, 3);

/// Longest wait for a write of another process. Imports of a hundred thousand phases take seconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest wait of a task for the writer of its own process; longer, because each earlier task may wait `BUSY_TIMEOUT`.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(600);
const READERS: u32 = 4;
/// Number of rows read ahead. With sqlx's default of 50, the reader and the consumer wake each other constantly.
pub(super) const ROW_BUFFER: usize = 1024;

/// Number of WAL pages before a commit checkpoints: 10 MB. A phase writes about twenty pages; with SQLite's default of
/// 1000, one claim in fifty would wait for a checkpoint.
const WAL_PAGES: &str = "2500";

/// What kind of error the database reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseErrorKind {
    /// The disk, or the quota, is full.
    Full,
    /// The disk reports an error.
    Io,
    /// Another process holds a lock too long.
    Busy,
    /// The file is damaged.
    Corrupt,
    /// The file or directory is read-only.
    ReadOnly,
    /// The file, or a file beside it, cannot be opened.
    CannotOpen,
    /// Any other error; see the source.
    Other,
}

impl DatabaseErrorKind {
    /// Classifies an error by code; sqlx reports all of them as `ErrorKind::Other`.
    pub(super) fn of(error: &sqlx::Error) -> Self {
        let code = match error {
            sqlx::Error::Database(error) => error.code(),
            // Every task ahead in the queue for the single writer waited for another process.
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

impl DatabaseErrorKind {
    /// Returns the remedy, if known.
    pub(super) fn hint(self) -> Option<&'static str> {
        match self {
            Self::Full => Some("free some disk space and continue, nothing was lost"),
            Self::Io => Some("check the system log before continuing"),
            Self::Busy => Some("find and stop the process that has it open"),
            Self::Corrupt => Some(RESTORE_IT),
            Self::ReadOnly | Self::CannotOpen | Self::Other => None,
        }
    }
}

/// Formats the fault, and after a `; ` the remedy.
impl fmt::Display for DatabaseErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the disk is full",
            Self::Io => "the disk reports an error",
            Self::Busy => "another process keeps it locked",
            Self::Corrupt => "it is damaged",
            Self::ReadOnly => "it or its directory is read-only",
            Self::CannotOpen => "it or a file beside it cannot be opened",
            Self::Other => "it reported an error",
        })?;
        self.hint().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

/// Opens the single writer: transactions queue here in order, not in SQLite's busy handler.
pub(super) async fn writer(path: &Path) -> Result<SqlitePool, sqlx::Error> {
    pool(1).connect_with(options(path)).await
}

/// Creates the readers, opened on first use. Uses `query_only` instead of a read-only connection, because a read-only
/// connection closing last leaves the WAL files behind.
pub(super) fn readers(path: &Path) -> SqlitePool {
    let options = options(path)
        .create_if_missing(false)
        .row_buffer_size(ROW_BUFFER)
        .pragma("query_only", "ON");
    pool(READERS).connect_lazy_with(options)
}

/// Creates the connection for notes that may be lost: no waiting for locks or the disk. Does not weaken the durability
/// of the writer's commits.
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
        // On a full disk, SQLite rolls back by itself and sqlx does not notice: the connection would answer every later
        // transaction with an error, even after space was freed. Such connections are replaced.
        .after_release(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // NORMAL would lose acknowledged work on a power failure.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .pragma("wal_autocheckpoint", WAL_PAGES)
        .busy_timeout(BUSY_TIMEOUT)
        // Statements contain whole specs, and a slow statement merely waits for another process.
        .disable_statement_logging()
}

/// Opens a file without changing anything on disk. Without a WAL, the file is opened as immutable, so no locks or extra
/// files are created.
pub(super) fn read_only_options(path: &Path, through_wal: bool) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .immutable(!through_wal)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
}

/// Header fields in the first 100 bytes of a database file:
/// <https://www.sqlite.org/fileformat.html#the_database_header>.
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

/// Checks that this version does not have the bug of [`OLDEST_SQLITE`].
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
    fn writer_queue_timeout_is_reported_as_busy_database() {
        assert_eq!(DatabaseErrorKind::of(&sqlx::Error::PoolTimedOut), DatabaseErrorKind::Busy);
        assert_eq!(DatabaseErrorKind::of(&sqlx::Error::PoolClosed), DatabaseErrorKind::Other);
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
