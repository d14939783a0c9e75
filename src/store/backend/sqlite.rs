//! SQLite specifics: connection settings, file header, version, error codes.

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::ConnectOptions as _;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use super::error_kind::DatabaseErrorKind;
use crate::sqlite_pool::pool_options;

/// Application id "apck", at offset 68 of every autopack database.
pub(in crate::store) const APPLICATION_ID: u32 = 0x6170_636b;

/// Oldest safe version: 3.7.0 to 3.51.2 can corrupt a WAL database with two writing connections.
pub(in crate::store) const OLDEST_SQLITE: (u32, u32, u32) = (3, 51, 3);

/// Longest wait for a write of another process. Imports of a hundred thousand phases take seconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest wait of a task for the writer of its own process; longer, because each earlier task may wait `BUSY_TIMEOUT`.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(600);
const READERS: u32 = 4;
/// Longest wait for a returned connection before another one is opened, which takes about as long.
const RETURN_TIMEOUT: Duration = Duration::from_millis(2);
/// Number of rows read ahead. With sqlx's default of 50, the reader and the consumer wake each other constantly.
pub(in crate::store) const ROW_BUFFER: usize = 1024;

/// Number of WAL pages before a commit checkpoints: 10 MB. A phase writes about twenty pages; with SQLite's default of
/// 1000, one claim in fifty would wait for a checkpoint.
const WAL_PAGES: &str = "2500";

/// Classifies an error by SQLite's result code; the low byte is the primary code:
/// <https://www.sqlite.org/rescode.html>.
pub(super) fn kind_of(code: &str) -> DatabaseErrorKind {
    match code.parse::<u32>().ok().map(|code| code & 0xff) {
        Some(13) => DatabaseErrorKind::Full,
        Some(10) => DatabaseErrorKind::Io,
        Some(5 | 6) => DatabaseErrorKind::Busy,
        Some(11 | 26) => DatabaseErrorKind::Corrupt,
        Some(8) => DatabaseErrorKind::ReadOnly,
        Some(14) => DatabaseErrorKind::CannotOpen,
        _ => DatabaseErrorKind::Other,
    }
}

/// Opens the single writer: transactions queue here in order, not in SQLite's busy handler. Creates the file if missing,
/// and retries: switching to WAL mode briefly needs exclusive access and does not always wait for other connections.
pub(in crate::store) async fn writer(path: &Path) -> Result<SqlitePool, sqlx::Error> {
    const TRIES: u32 = 200;
    const PAUSE: Duration = Duration::from_millis(25);
    let mut tries = 0;
    loop {
        match pool(1).connect_with(options(path)).await {
            // A pool timeout has waited long enough.
            Err(error @ sqlx::Error::Database(_))
                if DatabaseErrorKind::of(&error) == DatabaseErrorKind::Busy && tries < TRIES =>
            {
                tries += 1;
                tokio::time::sleep(PAUSE).await;
            }
            writer => return writer,
        }
    }
}

/// Creates the single writer, opened on first use.
pub(in crate::store) fn lazy_writer(path: &Path) -> SqlitePool {
    pool(1).connect_lazy_with(options(path).create_if_missing(false))
}

/// Creates the readers, opened on first use. Uses `query_only` instead of a read-only connection, because a read-only
/// connection closing last leaves the WAL files behind.
pub(in crate::store) fn readers(path: &Path) -> SqlitePool {
    let options = options(path)
        .create_if_missing(false)
        .row_buffer_size(ROW_BUFFER)
        .pragma("query_only", "ON");
    pool(READERS).connect_lazy_with(options)
}

/// Creates the connection for notes that may be lost: no waiting for locks or the disk. Does not weaken the durability
/// of the writer's commits.
pub(in crate::store) fn notes(path: &Path) -> SqlitePool {
    let options = options(path)
        .create_if_missing(false)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(Duration::ZERO);
    pool(1).connect_lazy_with(options)
}

/// Waits a moment for a connection in use. sqlx checks a returned connection in a task of its own; until then, the next
/// statement of the same caller would open another connection, which starts a thread and reads the whole schema.
pub(super) async fn wait_for_returned(pool: &SqlitePool) {
    let may_open_another =
        || pool.num_idle() == 0 && (1..pool.options().get_max_connections()).contains(&pool.size());
    let until = Instant::now() + RETURN_TIMEOUT;
    while may_open_another() && Instant::now() < until {
        tokio::task::yield_now().await;
    }
}

fn pool(connections: u32) -> SqlitePoolOptions {
    pool_options()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .acquire_slow_threshold(BUSY_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
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
pub(in crate::store) fn read_only_options(path: &Path, through_wal: bool) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .immutable(!through_wal)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
}

/// Header fields in the first 100 bytes of a database file:
/// <https://www.sqlite.org/fileformat.html#the_database_header>.
pub(in crate::store) struct Header {
    pub application_id: u32,
    pub user_version: u32,
    /// Whether the file is in WAL mode.
    pub is_wal: bool,
}

impl Header {
    pub(in crate::store) const LENGTH: usize = 100;

    pub(in crate::store) fn parse(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
        bytes.starts_with(b"SQLite format 3\0").then_some(())?;
        let is_wal = bytes.get(18..20)? == [2, 2];
        Some(Self { user_version: number(60)?, application_id: number(68)?, is_wal })
    }
}

/// Checks that this version does not have the bug of [`OLDEST_SQLITE`].
pub(in crate::store) fn is_new_enough(version: &str) -> bool {
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
    fn only_a_database_has_a_header() {
        assert!(Header::parse(b"SQLite format 3").is_none());
        assert!(Header::parse(&[0; 100]).is_none());
        let mut bytes = [0; 100];
        bytes[..16].copy_from_slice(b"SQLite format 3\0");
        bytes[68..72].copy_from_slice(&APPLICATION_ID.to_be_bytes());
        let header = Header::parse(&bytes).unwrap();
        assert_eq!((header.application_id, header.user_version), (APPLICATION_ID, 0));
        assert!(!header.is_wal);
        bytes[18..20].fill(2);
        assert!(Header::parse(&bytes).unwrap().is_wal);
    }
}
