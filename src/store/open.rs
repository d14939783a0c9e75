//! Opening the database: refuse, create, migrate; and the connection pools.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::SqlitePool;

use super::backend::postgres::patience::Patience;
use super::backend::postgres::server::Server;
use super::backend::{DatabaseErrorKind, Pool, Tx, query_scalar, sqlite};
use super::database_name::DatabaseName;
use super::database_probe::{self, DatabaseContents};
use super::database_url::{DatabaseUrl, Place};
use super::error::StoreError;
use super::migrations::{SCHEMA, SCHEMA_VERSION};
use super::server_changes::ServerChanges;
use super::server_database::{MigrationRule, ServerDatabase, Wait};
use crate::schema_version::version_of;

/// An open database. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Store {
    pub(super) writer: Pool,
    pub(super) reader: Pool,
    /// Connections for notes that may be lost.
    pub(super) notes: Pool,
    /// Changes that the server tells of.
    pub(super) changes: ServerChanges,
    /// Connections for the files of attempts. Like notes, they wait for no other writer; at a server they are those of readers,
    /// so a long transfer holds up no heartbeat.
    pub(super) artifacts: Pool,
    name: DatabaseName,
    location: Location,
}

/// Where an open database is.
#[derive(Clone, Debug)]
enum Location {
    File {
        path: Arc<Path>,
        /// Identity of the opened file; the path may later name another file or none.
        identity: (u64, u64),
    },
    Server(Patience),
}

impl Store {
    /// Opens the database, creating the file, or the schema at a server, if missing.
    ///
    /// # Errors
    /// The database cannot be created, opened or migrated, or belongs to someone else.
    pub async fn open(url: &DatabaseUrl) -> Result<Self, StoreError> {
        let path = match url.place() {
            Place::File(path) => path,
            Place::Server(server) => {
                let store = Self::at_server(server);
                let rule = MigrationRule::WithoutDrains;
                store.named(|| store.server_database(server).prepare(rule)).await?;
                return Ok(store);
            }
        };
        let contents = database_probe::probe(path).await?;
        if contents == DatabaseContents::Nothing {
            database_probe::create_directory(path)?;
        }
        Self::connect(path, contents).await
    }

    /// Migrates the schema at a server, if it has one, also under drains of an older version.
    ///
    /// # Errors
    /// As for [`Store::open`].
    pub async fn open_forced(url: &DatabaseUrl) -> Result<Self, StoreError> {
        let Place::Server(server) = url.place() else { return Self::open(url).await };
        let store = Self::at_server(server);
        let rule = MigrationRule::Forced;
        store.named(|| store.server_database(server).prepare(rule)).await?;
        Ok(store)
    }

    /// Migrates the schema at a server, if it has an older one, for commands that change it. A database in a file is migrated
    /// when it is opened.
    ///
    /// # Errors
    /// [`StoreError::OlderDrains`]; otherwise as for [`Store::open`].
    pub async fn migrate_server(url: &DatabaseUrl) -> Result<(), StoreError> {
        let Place::Server(server) = url.place() else { return Ok(()) };
        let store = Self::at_server(server);
        store.named(|| store.server_database(server).prepare_existing()).await?;
        store.close().await;
        Ok(())
    }

    /// Opens an existing database; reading commands never create a database, nor migrate one at a server.
    ///
    /// # Errors
    /// [`StoreError::NoDatabase`] if there is no database, [`StoreError::OlderSchema`]; otherwise as for [`Store::open`].
    pub async fn open_existing(url: &DatabaseUrl) -> Result<Self, StoreError> {
        let path = match url.place() {
            Place::File(path) => path,
            Place::Server(server) => {
                let store = Self::at_server(server);
                store.named(|| store.server_database(server).require()).await?;
                return Ok(store);
            }
        };
        match database_probe::probe(path).await? {
            DatabaseContents::Nothing => {
                Err(StoreError::NoDatabase { path: path.as_path().into() })
            }
            contents => Self::connect(path, contents).await,
        }
    }

    /// Opens an existing database of any version, and leaves it as it is. `None` if there is no database.
    ///
    /// # Errors
    /// The database cannot be read, or belongs to someone else.
    pub async fn open_unmigrated(url: &DatabaseUrl) -> Result<Option<Self>, StoreError> {
        let store = match url.place() {
            Place::File(path) if !database_probe::is_ours(path).await? => return Ok(None),
            Place::File(path) => Self::of_file(path, sqlite::lazy_writer(path))?,
            Place::Server(server) => {
                let store = Self::at_server(server);
                if store.named(|| store.server_database(server).find()).await?.is_none() {
                    return Ok(None);
                }
                store
            }
        };
        Ok(Some(store))
    }

    /// Returns how the database is named to people.
    pub fn name(&self) -> &DatabaseName {
        &self.name
    }

    /// Returns the absolute path of the database, if it is a file.
    pub fn file(&self) -> Option<&Path> {
        match &self.location {
            Location::File { path, .. } => Some(path),
            Location::Server(_) => None,
        }
    }

    /// Returns the interval of polls: `file`, or for a server, which many machines ask, `server`.
    pub fn poll_interval(&self, file: Duration, server: Duration) -> Duration {
        match &self.location {
            Location::File { .. } => file,
            Location::Server(_) => server,
        }
    }

    /// Whether the database is at a server, which machines share.
    pub fn is_at_server(&self) -> bool {
        matches!(self.location, Location::Server(_))
    }

    /// From now on, operations wait for a server that is not reachable as long as those of a drain. Without effect for a file.
    pub fn wait_as_drain(&self) {
        self.wait_for_server(Patience::OF_DRAINS);
    }

    /// Sets how long operations wait for a server that is not reachable. Without effect for a file.
    pub fn wait_for_server(&self, time: Duration) {
        if let Location::Server(patience) = &self.location {
            patience.set(time);
        }
    }

    /// Closes all connections, readers first: the writer closes last and checkpoints the WAL.
    pub async fn close(self) {
        self.notes.close().await;
        self.reader.close().await;
        self.writer.close().await;
    }

    /// Returns the pool of heartbeats. At a server they do not wait for the writers' lock, which a large import of another machine
    /// may hold for longer than a lease.
    pub(super) fn heartbeat_pool(&self) -> &Pool {
        match &self.location {
            Location::File { .. } => &self.writer,
            Location::Server(_) => &self.notes,
        }
    }

    /// Begins a writing transaction, which excludes other writers.
    pub(super) async fn begin(&self) -> Result<Tx, StoreError> {
        self.require_file()?;
        Ok(self.writer.begin_write().await?)
    }

    /// Checks that the path still names the opened file. SQLite does not notice a removed file, and everything written
    /// would be lost with the last connection.
    pub(super) fn require_file(&self) -> Result<(), StoreError> {
        let Location::File { path, identity } = &self.location else { return Ok(()) };
        match file_at(path) {
            Ok(file) if file == *identity => Ok(()),
            _ => Err(StoreError::Gone { path: self.name.clone() }),
        }
    }

    /// Runs `work`; adds the name of the database to errors. If a server cannot be reached, waits and runs `work` again:
    /// a transaction that did not commit left nothing.
    pub(super) async fn named<T, F>(&self, mut work: impl FnMut() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut wait = Wait::default();
        loop {
            // Boxed, because callers hold several of these.
            let error = match Box::pin(work()).await {
                Ok(done) => {
                    self.record_answer();
                    return Ok(done);
                }
                Err(error) => error,
            };
            let waits = match &self.location {
                Location::Server(patience) => wait.again(patience, &self.name, &error).await,
                Location::File { .. } => false,
            };
            if !waits {
                return Err(self.name_primary(self.name_in(error)).await);
            }
        }
    }

    /// Runs `work` a single time, because its parts are told or stored as they are done; adds the name of the database to
    /// errors.
    pub(super) async fn once<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        work.await.map_err(|error| self.name_in(error))
    }

    /// Adds the name of the database to an error. A new connection may notice the removed file before anything is written.
    fn name_in(&self, error: StoreError) -> StoreError {
        let gone = error.database_kind().and_then(|_| self.require_file().err());
        gone.unwrap_or_else(|| error.at(&self.name))
    }

    /// Adds the primary's address to the error of a standby, if it tells.
    async fn name_primary(&self, error: StoreError) -> StoreError {
        if error.database_kind() != Some(DatabaseErrorKind::Standby) {
            return error;
        }
        let primary = query_scalar::<Option<String>>(
            "SELECT sender_host || ':' || sender_port FROM pg_catalog.pg_stat_wal_receiver LIMIT 1",
        );
        let primary = primary.fetch_optional(&self.reader).await.ok().flatten().flatten();
        StoreError::Standby { path: self.name.clone(), primary }
    }

    /// Tells the end of an outage that was told.
    fn record_answer(&self) {
        if let Location::Server(patience) = &self.location
            && patience.record_outage(false)
        {
            tracing::warn!("the database {} answers again", self.name);
        }
    }

    fn server_database<'a>(&'a self, server: &'a Server) -> ServerDatabase<'a> {
        ServerDatabase { server, name: &self.name, writer: &self.writer }
    }

    fn at_server(server: &Server) -> Self {
        let patience = server.patience();
        let reader = Pool::readers_at(server);
        Self {
            writer: Pool::writer_at(server, &patience),
            artifacts: reader.for_notes(),
            reader,
            notes: Pool::notes_at(server),
            name: server.into(),
            location: Location::Server(patience),
            changes: ServerChanges::default(),
        }
    }

    fn of_file(path: &Path, writer: SqlitePool) -> Result<Self, StoreError> {
        let cannot_look =
            |error: io::Error| StoreError::CannotOpen { path: path.into(), why: error.to_string() };
        let notes = Pool::Sqlite(sqlite::notes(path));
        Ok(Self {
            location: Location::File {
                path: path.into(),
                identity: file_at(path).map_err(cannot_look)?,
            },
            writer: Pool::Sqlite(writer),
            reader: Pool::Sqlite(sqlite::readers(path)),
            artifacts: notes.clone(),
            notes,
            name: path.into(),
            changes: ServerChanges::default(),
        })
    }

    async fn connect(path: &Path, contents: DatabaseContents) -> Result<Self, StoreError> {
        let connected = async {
            // Most commands only read: the first write opens the writer.
            if contents == DatabaseContents::Current {
                let store = Self::of_file(path, sqlite::lazy_writer(path))?;
                // The WAL may hold another version than the file.
                if store.schema_version().await? == SCHEMA_VERSION {
                    store.refuse_old_sqlite(&store.reader).await?;
                    return Ok(store);
                }
                store.close().await;
            }
            let writer = sqlite::writer(path).await?;
            let store = Self::of_file(path, writer.clone())?;
            store.refuse_old_sqlite(&store.writer).await?;
            store.migrate(&writer).await?;
            Ok(store)
        };
        connected.await.map_err(|error: StoreError| error.at(&path.into()))
    }

    async fn refuse_old_sqlite(&self, pool: &Pool) -> Result<(), StoreError> {
        let found: String = query_scalar("SELECT sqlite_version()").fetch_one(pool).await?;
        if sqlite::is_new_enough(&found) {
            return Ok(());
        }
        let (major, minor, patch) = sqlite::OLDEST_SQLITE;
        Err(StoreError::OldSqlite { found, needed: format!("{major}.{minor}.{patch}") })
    }

    /// Applies all missing migrations in one transaction, so two processes opening a new database concurrently create
    /// the schema once.
    async fn migrate(&self, writer: &SqlitePool) -> Result<(), StoreError> {
        if version_of(&mut *writer.acquire().await?).await? == SCHEMA_VERSION {
            return Ok(());
        }
        self.require_file()?;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
        let path = self.file().expect("only files are opened with a pool of SQLite");
        database_probe::refuse_foreign(&mut tx, path).await?;
        let version = version_of(&mut tx).await?;
        database_probe::refuse_newer(&self.name, version)?;
        if version < 0 {
            return Err(StoreError::bad_row("user_version", format!("{version} is negative")));
        }
        SCHEMA.migrate(&mut tx, version).await?;
        Ok(tx.commit().await?)
    }
}

/// Returns device and inode.
fn file_at(path: &Path) -> io::Result<(u64, u64)> {
    std::fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}
