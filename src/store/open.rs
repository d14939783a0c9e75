//! Opening the database: refuse, create, migrate; and the connection pools.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Transaction;
use sqlx::sqlite::{Sqlite, SqlitePool};

use super::database_probe::{self, DatabaseContents};
use super::database_url::DatabaseUrl;
use super::error::StoreError;
use super::migrations::{SCHEMA, SCHEMA_VERSION};
use super::sqlite::{self, DatabaseErrorKind};
use crate::schema_version::version_of;

/// An open database. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Store {
    pub(super) writer: SqlitePool,
    pub(super) reader: SqlitePool,
    /// Connections for notes that may be lost.
    pub(super) notes: SqlitePool,
    path: Arc<Path>,
    /// Identity of the opened file; the path may later name another file or none.
    file: (u64, u64),
}

pub(super) type Tx = Transaction<'static, Sqlite>;

impl Store {
    /// Opens the database, creating the file if missing.
    ///
    /// # Errors
    /// The database cannot be created, opened or migrated, or belongs to someone else.
    pub async fn open(url: &DatabaseUrl) -> Result<Self, StoreError> {
        let path = url.path();
        if database_probe::probe(path).await? == DatabaseContents::Nothing {
            database_probe::create_directory(path)?;
        }
        Self::connect(path).await.map_err(|error| error.at(path))
    }

    /// Opens an existing database; reading commands never create a database.
    ///
    /// # Errors
    /// [`StoreError::NoDatabase`] if there is no database; otherwise as for [`Store::open`].
    pub async fn open_existing(url: &DatabaseUrl) -> Result<Self, StoreError> {
        let path = url.path();
        match database_probe::probe(path).await? {
            DatabaseContents::Nothing => Err(StoreError::NoDatabase { path: path.to_owned() }),
            DatabaseContents::Usable => Self::connect(path).await.map_err(|error| error.at(path)),
        }
    }

    /// Returns the absolute path of the database.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Closes all connections, readers first: the writer closes last and checkpoints the WAL.
    pub async fn close(self) {
        self.notes.close().await;
        self.reader.close().await;
        self.writer.close().await;
    }

    /// Returns the defects of the file, a line each; empty for a sound file.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn integrity_check(&self) -> Result<Vec<String>, StoreError> {
        self.named(async {
            let mut lines: Vec<String> =
                sqlx::query_scalar("PRAGMA integrity_check").fetch_all(&self.reader).await?;
            lines.retain(|line| line != "ok");
            let strays = sqlx::query("PRAGMA foreign_key_check").fetch_all(&self.reader).await?;
            if !strays.is_empty() {
                lines.push(format!("{} rows refer to missing rows", strays.len()));
            }
            Ok(lines)
        })
        .await
    }

    /// Returns the number of applied migrations.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn schema_version(&self) -> Result<i64, StoreError> {
        self.named(async { Ok(version_of(&mut *self.reader.acquire().await?).await?) }).await
    }

    /// Returns the version of the SQLite library.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn sqlite_version(&self) -> Result<String, StoreError> {
        self.named(async {
            Ok(sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&self.reader).await?)
        })
        .await
    }

    /// Begins an immediate transaction. Upgrading a deferred transaction would fail with BUSY without waiting.
    pub(super) async fn begin(&self) -> Result<Tx, StoreError> {
        self.require_file()?;
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Checks that the path still names the opened file. SQLite does not notice a removed file, and everything written
    /// would be lost with the last connection.
    pub(super) fn require_file(&self) -> Result<(), StoreError> {
        match file_at(&self.path) {
            Ok(file) if file == self.file => Ok(()),
            _ => Err(StoreError::Gone { path: self.path.to_path_buf() }),
        }
    }

    /// Runs `work`; adds the path of the database to errors.
    pub(super) async fn named<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        work.await.map_err(|error| match error {
            // A new connection may notice the removed file before anything is written.
            StoreError::Database { .. } => {
                self.require_file().err().unwrap_or(error.at(&self.path))
            }
            error => error,
        })
    }

    async fn connect(path: &Path) -> Result<Self, StoreError> {
        let writer = first_connection(path).await?;
        let cannot_look = |error: io::Error| StoreError::CannotOpen {
            path: path.to_owned(),
            why: error.to_string(),
        };
        let store = Self {
            file: file_at(path).map_err(cannot_look)?,
            writer,
            reader: sqlite::readers(path),
            notes: sqlite::notes(path),
            path: path.into(),
        };
        store.refuse_old_sqlite().await?;
        store.migrate().await?;
        Ok(store)
    }

    async fn refuse_old_sqlite(&self) -> Result<(), StoreError> {
        let found: String =
            sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&self.writer).await?;
        if sqlite::is_new_enough(&found) {
            return Ok(());
        }
        let (major, minor, patch) = sqlite::OLDEST_SQLITE;
        Err(StoreError::OldSqlite { found, needed: format!("{major}.{minor}.{patch}") })
    }

    /// Applies all missing migrations in one transaction, so two processes opening a new database concurrently create
    /// the schema once.
    async fn migrate(&self) -> Result<(), StoreError> {
        if version_of(&mut *self.writer.acquire().await?).await? == SCHEMA_VERSION {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        database_probe::refuse_foreign(&mut tx, &self.path).await?;
        let version = version_of(&mut tx).await?;
        database_probe::refuse_newer(&self.path, version)?;
        if version < 0 {
            return Err(StoreError::bad_row("user_version", format!("{version} is negative")));
        }
        // Pragmas take no bound values; both numbers are constants of autopack.
        SCHEMA.migrate(&mut tx, version).await?;
        Ok(tx.commit().await?)
    }
}

/// Returns device and inode.
fn file_at(path: &Path) -> io::Result<(u64, u64)> {
    std::fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Opens the first connection, retrying: switching to WAL mode briefly needs exclusive access and does not always wait
/// for other connections.
async fn first_connection(path: &Path) -> Result<SqlitePool, sqlx::Error> {
    const TRIES: u32 = 200;
    const PAUSE: Duration = Duration::from_millis(25);
    let mut tries = 0;
    loop {
        match sqlite::writer(path).await {
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
