//! The database at a Postgres server: refuse, create, migrate; and waiting for the server.

use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::time::Instant;

use super::backend::DatabaseErrorKind;
use super::backend::Pool;
use super::backend::postgres::schema::{self, ENCODING, OLDEST_POSTGRES, SchemaOwner, ServerFacts};
use super::backend::postgres::server::{Patience, Server};
use super::database_name::DatabaseName;
use super::database_probe::refuse_newer;
use super::error::StoreError;
use super::migrations::{POSTGRES_MIGRATIONS, SCHEMA_VERSION};

/// First and longest pause before a server is asked again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Longest pause that is not told.
const UNTOLD_PAUSE: Duration = Duration::from_millis(500);

/// A wait for a server.
#[derive(Debug)]
pub(super) struct Wait {
    /// The first failure.
    since: Option<Instant>,
    pause: Duration,
}

impl Default for Wait {
    fn default() -> Self {
        Self { since: None, pause: FIRST_PAUSE }
    }
}

impl Wait {
    /// Waits before the next try; `false` if the wait took longer than the patience.
    pub async fn again(&mut self, patience: &Patience, database: &DatabaseName) -> bool {
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() + self.pause > patience.get() {
            return false;
        }
        // A restart takes less; it is not worth a line.
        if self.pause > UNTOLD_PAUSE && patience.record_outage(true) {
            tracing::warn!("the database {database} does not answer; waiting for it");
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        true
    }
}

/// A database at a server, named in errors.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerDatabase<'a> {
    pub server: &'a Server,
    pub name: &'a DatabaseName,
    /// Connections for writing transactions.
    pub writer: &'a Pool,
}

impl ServerDatabase<'_> {
    /// Creates or migrates the schema.
    pub async fn prepare(self) -> Result<(), StoreError> {
        if self.look().await? == Some(SCHEMA_VERSION) {
            return Ok(());
        }
        self.migrate().await
    }

    /// Migrates the schema, if there is one.
    pub async fn require(self) -> Result<(), StoreError> {
        match self.look().await? {
            Some(SCHEMA_VERSION) => Ok(()),
            Some(_) => self.migrate().await,
            None => Err(StoreError::NoDatabase { path: self.name.clone() }),
        }
    }

    /// Returns the version of our schema, if there is one, whatever it is.
    pub async fn find(self) -> Result<Option<i64>, StoreError> {
        let mut connection = self.connect().await?;
        let found = schema::find(&mut connection).await?;
        // Whoever lists the connections of the server finds none of ours.
        let _ = connection.close().await;
        match found {
            SchemaOwner::Ours(version) => Ok(Some(version)),
            found => self.checked(found),
        }
    }

    /// Returns the version of our schema; refuses schemas of others and of newer versions.
    async fn look(self) -> Result<Option<i64>, StoreError> {
        let mut connection = self.connect().await?;
        self.checked(schema::find(&mut connection).await?)
    }

    /// Returns a connection that reads; refuses servers and databases that autopack cannot use.
    async fn connect(self) -> Result<PgConnection, StoreError> {
        let mut connection = self.server.connect().await.map_err(|error| self.refused(error))?;
        let ServerFacts { version, encoding } = schema::server_facts(&mut connection).await?;
        if version < OLDEST_POSTGRES {
            let why = format!("the server is Postgres {version}; use {OLDEST_POSTGRES} or newer");
            return Err(StoreError::CannotOpen { path: self.name.clone(), why });
        }
        if encoding != ENCODING {
            let why = format!(
                "its encoding is {encoding}, which cannot store every text; create one with `CREATE DATABASE autopack \
                 ENCODING 'UTF8' TEMPLATE template0`, and copy an old one there with `autopack db copy`"
            );
            return Err(StoreError::CannotOpen { path: self.name.clone(), why });
        }
        Ok(connection)
    }

    fn checked(self, found: SchemaOwner) -> Result<Option<i64>, StoreError> {
        let path = self.name.clone();
        match found {
            SchemaOwner::Nothing => Ok(None),
            SchemaOwner::Ours(version) => refuse_newer(&path, version).map(|()| Some(version)),
            SchemaOwner::Foreign => {
                let what = "it has a schema `autopack` without autopack's tables".to_owned();
                Err(StoreError::OtherApplication { path, what })
            }
        }
    }

    /// What a server says when it lets nobody in, in its own words: a wrong password, no such database.
    fn refused(self, error: sqlx::Error) -> StoreError {
        match (DatabaseErrorKind::of(&error), &error) {
            (DatabaseErrorKind::Other, sqlx::Error::Database(said)) => {
                StoreError::CannotOpen { path: self.name.clone(), why: said.message().to_owned() }
            }
            (DatabaseErrorKind::Other, sqlx::Error::Tls(why)) => {
                StoreError::CannotOpen { path: self.name.clone(), why: format!("TLS: {why}") }
            }
            _ => error.into(),
        }
    }

    /// Applies the missing migrations in one transaction, so two processes opening a new database create the schema once.
    async fn migrate(self) -> Result<(), StoreError> {
        let mut tx = self.writer.begin_write().await?;
        let connection = tx.postgres().expect("the pool is one of a server");
        let found = self.checked(schema::find(connection).await?)?.unwrap_or(0);
        schema::migrate(connection, found, POSTGRES_MIGRATIONS).await?;
        Ok(tx.commit().await?)
    }
}
