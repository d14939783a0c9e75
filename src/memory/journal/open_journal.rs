//! Opening the journal: creates a missing file, sets a broken file aside, rejects a foreign file.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{SqliteConnection, SqlitePool};

use super::{Journal, JournalContext, JournalError, Result};
use crate::process::FileLock;
use crate::schema_version::{Schema, version_of};
use crate::sqlite_pool::pool_options;

/// "apMe": distinguishes the journal from other SQLite databases.
const APPLICATION_ID: u32 = 0x6170_4d65;
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
const READERS: u32 = 4;
/// Checking a large journal takes a second or two.
const OPENING: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const SCHEMA: Schema = Schema {
    application_id: APPLICATION_ID,
    migrations: &[include_str!("migrations/0001_start.sql")],
};

/// An open journal, with the path of a broken predecessor.
#[derive(Debug)]
pub struct OpenJournal {
    /// The journal.
    pub journal: Journal,
    /// New path of the broken file, if any.
    pub set_aside: Option<std::path::PathBuf>,
}

impl Journal {
    /// Opens the journal, one process at a time: two processes creating or repairing the file together could set aside
    /// each other's new file.
    ///
    /// # Errors
    /// The file cannot be opened, is newer, or belongs to another program.
    pub async fn open(path: &Path) -> Result<OpenJournal> {
        let _alone = take_open_lock(path).await?;
        match Self::open_or_create(path).await {
            Err(JournalError::Sql { source, .. }) if is_corrupt(&source) => {
                let aside = set_aside(path)?;
                let journal = Self::open_or_create(path).await?;
                Ok(OpenJournal { journal, set_aside: Some(aside) })
            }
            result => Ok(OpenJournal { journal: result?, set_aside: None }),
        }
    }

    /// Counts the entries without creating, repairing or moving anything; `None` without a file.
    ///
    /// # Errors
    /// The file cannot be opened, is broken, newer, or belongs to another program.
    pub async fn count_existing(path: &Path) -> Result<Option<u64>> {
        if !path.exists() {
            return Ok(None);
        }
        let failed = |why: std::io::Error| JournalError::Open {
            path: path.to_owned(),
            why: why.to_string(),
        };
        // Check write access too, because the journal will be written.
        File::options().append(true).open(path).map_err(failed)?;
        let pool =
            pool(SqliteConnectOptions::new().filename(path).busy_timeout(BUSY_TIMEOUT), 1).await?;
        let counted = look_into(&pool, path).await;
        pool.close().await;
        match counted {
            Err(JournalError::Sql { source, .. }) if is_corrupt(&source) => {
                Err(JournalError::Broken { path: path.to_owned() })
            }
            counted => counted,
        }
    }

    async fn open_or_create(path: &Path) -> Result<Self> {
        let is_new = !path.exists();
        let options = options(path);
        let writer = pool(options.clone(), 1).await.map_err(|error| named(error, path))?;
        if !is_new {
            // Find unreadable pages here, not in the middle of a drain.
            check(&writer).await?;
        }
        identify(&writer, path).await?;
        migrate(&writer, path).await?;
        let readers = pool(options.read_only(true), READERS).await?;
        Ok(Self { writer, readers, path: path.to_owned() })
    }
}

async fn look_into(pool: &SqlitePool, path: &Path) -> Result<Option<u64>> {
    check(pool).await?;
    let id: i64 = scalar(pool, "PRAGMA application_id").await?;
    if id != i64::from(APPLICATION_ID) {
        let tables: i64 = scalar(pool, "SELECT count(*) FROM sqlite_master").await?;
        return if tables > 0 {
            Err(JournalError::Foreign { path: path.to_owned() })
        } else {
            Ok(None)
        };
    }
    let mut connection = pool.acquire().await.doing("read from")?;
    let version = schema_version(&mut connection).await.doing("read from")?;
    drop(connection);
    refuse_newer(version, path)?;
    if version == 0 {
        return Ok(None);
    }
    let entries: i64 = scalar(pool, "SELECT count(*) FROM entry").await?;
    Ok(Some(entries.unsigned_abs()))
}

/// All that is missing, in one transaction.
async fn migrate(writer: &SqlitePool, path: &Path) -> Result<()> {
    let mut connection = writer.acquire().await.doing("migrate")?;
    if version_of(&mut connection).await.doing("migrate")? == SCHEMA.version() {
        return Ok(());
    }
    drop(connection);
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await.doing("migrate")?;
    let version = schema_version(&mut tx).await.doing("migrate")?;
    refuse_newer(version, path)?;
    SCHEMA.migrate(&mut tx, version).await.doing("migrate")?;
    tx.commit().await.doing("migrate")
}

/// Journals of earlier versions of autopack count their migrations in a table.
async fn schema_version(connection: &mut SqliteConnection) -> sqlx::Result<i64> {
    let version = version_of(connection).await?;
    let has_table = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = '_sqlx_migrations')";
    if version > 0 || !sqlx::query_scalar(has_table).fetch_one(&mut *connection).await? {
        return Ok(version);
    }
    let newest = "SELECT coalesce(max(version), 0) FROM _sqlx_migrations";
    sqlx::query_scalar(newest).fetch_one(connection).await
}

fn refuse_newer(version: i64, path: &Path) -> Result<()> {
    if version > SCHEMA.version() {
        return Err(JournalError::Newer { path: path.to_owned() });
    }
    Ok(())
}

async fn scalar(pool: &SqlitePool, sql: &'static str) -> Result<i64> {
    sqlx::query_scalar(sql).fetch_one(pool).await.doing("read from")
}

async fn take_open_lock(path: &Path) -> Result<FileLock> {
    let failed = |why: String| JournalError::Open { path: path.to_owned(), why };
    let lock = path.with_extension("db.open.lock");
    let deadline = Instant::now() + OPENING;
    loop {
        match FileLock::try_lock(&lock) {
            Ok(Some(lock)) => return Ok(lock),
            Ok(None) if Instant::now() < deadline => tokio::time::sleep(LOOK_AGAIN).await,
            Ok(None) => return Err(failed("another process is still opening it".into())),
            Err(why) => return Err(failed(format!("cannot lock {}: {why}", lock.display()))),
        }
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
}

async fn pool(options: SqliteConnectOptions, connections: u32) -> Result<SqlitePool> {
    pool_options()
        .max_connections(connections)
        .acquire_timeout(BUSY_TIMEOUT * 2)
        .connect_with(options)
        .await
        .doing("open")
}

/// Adds the path to an error of opening, because SQLite's message names no file; a broken file is left to the caller.
fn named(error: JournalError, path: &Path) -> JournalError {
    match error {
        JournalError::Sql { source, .. } if !is_corrupt(&source) => {
            let why = match source.as_database_error() {
                Some(error) => error.message().to_owned(),
                None => source.to_string(),
            };
            JournalError::Open { path: path.to_owned(), why }
        }
        other => other,
    }
}

async fn check(pool: &SqlitePool) -> Result<()> {
    let answer: String =
        sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(pool).await.doing("check")?;
    if answer == "ok" {
        return Ok(());
    }
    let source = sqlx::Error::Protocol(format!("{CORRUPT}: {answer}"));
    Err(JournalError::Sql { doing: "check", source })
}

const CORRUPT: &str = "corrupt";

async fn identify(pool: &SqlitePool, path: &Path) -> Result<()> {
    let id: i64 =
        sqlx::query_scalar("PRAGMA application_id").fetch_one(pool).await.doing("open")?;
    if id == i64::from(APPLICATION_ID) {
        return Ok(());
    }
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_master")
        .fetch_one(pool)
        .await
        .doing("open")?;
    if tables > 0 {
        return Err(JournalError::Foreign { path: path.to_owned() });
    }
    Ok(())
}

/// Checks for SQLITE_CORRUPT (11) and SQLITE_NOTADB (26), or a failed integrity check.
fn is_corrupt(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().and_then(|code| code.parse::<i32>().ok());
            code.is_some_and(|code| matches!(code & 0xff, 11 | 26))
        }
        sqlx::Error::Protocol(message) => message.starts_with(CORRUPT),
        _ => false,
    }
}

/// Moves a broken file aside. Nothing is deleted, so the file can be inspected.
fn set_aside(path: &Path) -> Result<std::path::PathBuf> {
    let aside = (1..)
        .map(|n| path.with_extension(format!("db.broken-{n}")))
        .find(|aside| !aside.exists())
        .unwrap_or_else(|| path.with_extension("db.broken"));
    let failed = |why: std::io::Error| JournalError::Open {
        path: path.to_owned(),
        why: format!("it is damaged and cannot be moved to {}: {why}", aside.display()),
    };
    std::fs::rename(path, &aside).map_err(failed)?;
    for suffix in ["-wal", "-shm"] {
        let with = |path: &Path| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            name
        };
        // These files belong to the broken file; the new file must not replay them.
        match std::fs::rename(with(path), with(&aside)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(error));
            }
            _ => {}
        }
    }
    Ok(aside)
}
