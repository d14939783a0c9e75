//! The database at a Postgres server: refuse, create, migrate; and waiting for the server.

use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::time::Instant;

use super::backend::DatabaseErrorKind;
use super::backend::Pool;
use super::backend::postgres::patience::Patience;
use super::backend::postgres::schema::{self, ENCODING, OLDEST_POSTGRES, SchemaOwner, ServerFacts};
use super::backend::postgres::server::Server;
use super::backend::postgres::session::LOCK_TIMEOUT;
use super::database_name::DatabaseName;
use super::database_probe::refuse_newer;
use super::error::StoreError;
use super::migrations::{POSTGRES_MIGRATIONS, SCHEMA_VERSION};

/// First and longest pause before a server is asked again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Longest wait for the first answers of a server. A server may accept a connection and stay silent.
const FIRST_ANSWERS: Duration = Duration::from_secs(5);
/// Longest pause that is not told.
const UNTOLD_PAUSE: Duration = Duration::from_millis(500);

/// Whether a schema is migrated under drains of an older version, which fail then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationRule {
    /// Only while no such drain is alive.
    WithoutDrains,
    /// In any case.
    Forced,
}

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
    /// Waits before the next try; `false` if the wait took longer than the patience, or the error is none that passes.
    pub async fn again(
        &mut self,
        patience: &Patience,
        database: &DatabaseName,
        error: &StoreError,
    ) -> bool {
        let StoreError::Database { kind, source, .. } = error else { return false };
        let state = match kind {
            DatabaseErrorKind::Unreachable => "does not answer",
            DatabaseErrorKind::Standby => "is a standby, which accepts no writes",
            // The server has waited for this long by itself. Only drains wait longer than that.
            DatabaseErrorKind::Busy if patience.get() > LOCK_TIMEOUT => {
                "is locked by another writer"
            }
            _ => return false,
        };
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() + self.pause > patience.get() {
            return false;
        }
        // A restart takes less; it is not worth a line.
        if self.pause > UNTOLD_PAUSE && patience.record_outage(true) {
            let limit = match patience.get().as_secs() {
                seconds @ ..60 => format!("{seconds} s"),
                seconds => format!("{} min", seconds / 60),
            };
            let cause = cause(source);
            tracing::warn!(
                "the database {database} {state} ({cause}); waiting for it, {limit} at most"
            );
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        true
    }
}

/// Returns the cause of an error, without sqlx's introduction.
fn cause(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Io(cause) => cause.to_string(),
        sqlx::Error::Database(cause) => cause.message().to_owned(),
        other => other.to_string(),
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
    pub async fn prepare(self, rule: MigrationRule) -> Result<(), StoreError> {
        if self.look().await? == Some(SCHEMA_VERSION) {
            return Ok(());
        }
        self.migrate(rule).await
    }

    /// Migrates the schema, if there is one.
    pub async fn prepare_existing(self) -> Result<(), StoreError> {
        match self.look().await? {
            Some(SCHEMA_VERSION) | None => Ok(()),
            Some(_) => self.migrate(MigrationRule::WithoutDrains).await,
        }
    }

    /// Refuses a missing or older schema: reading does not take the database away from older versions on other machines.
    pub async fn require(self) -> Result<(), StoreError> {
        let path = self.name.clone();
        match self.look().await? {
            Some(SCHEMA_VERSION) => Ok(()),
            Some(found) => Err(StoreError::OlderSchema { path, found, known: SCHEMA_VERSION }),
            None => Err(StoreError::NoDatabase { path }),
        }
    }

    /// Returns the version of our schema, if there is one, whatever it is.
    pub async fn find(self) -> Result<Option<i64>, StoreError> {
        let find = async {
            let mut connection = self.connect().await?;
            let found = schema::find(&mut connection).await?;
            // Whoever lists the connections of the server finds none of ours.
            let _ = connection.close().await;
            Ok(found)
        };
        match answered(find).await? {
            SchemaOwner::Ours(version) => Ok(Some(version)),
            found => self.checked(found),
        }
    }

    /// Returns the version of our schema; refuses schemas of others and of newer versions.
    async fn look(self) -> Result<Option<i64>, StoreError> {
        let find =
            async { schema::find(&mut self.connect().await?).await.map_err(StoreError::from) };
        self.checked(answered(find).await?)
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
    async fn migrate(self, rule: MigrationRule) -> Result<(), StoreError> {
        let mut tx = self.writer.begin_write().await?;
        let connection = tx.postgres().expect("the pool is one of a server");
        let found = self.checked(schema::find(connection).await?)?.unwrap_or(0);
        if found > 0 && found < SCHEMA_VERSION && rule == MigrationRule::WithoutDrains {
            let hosts = schema::hosts_of_live_drains(connection, found).await?;
            if !hosts.is_empty() {
                let path = self.name.clone();
                return Err(StoreError::OlderDrains { path, found, known: SCHEMA_VERSION, hosts });
            }
        }
        schema::migrate(connection, found, POSTGRES_MIGRATIONS).await?;
        Ok(tx.commit().await?)
    }
}

/// Limits the wait for the first answers of a server.
async fn answered<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let late = |_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()).into());
    tokio::time::timeout(FIRST_ANSWERS, work).await.unwrap_or_else(late)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::backend::postgres::commit::unanswered;
    use crate::store::{DatabaseUrl, Store};

    #[tokio::test(start_paused = true)]
    async fn only_drains_wait_for_a_long_writer() {
        let name = DatabaseName::from(std::path::Path::new("/a.db"));
        let patience = Server::parse("postgres://h/d").unwrap().patience();
        let error =
            |kind| StoreError::Database { path: None, kind, source: sqlx::Error::PoolClosed };
        let waits = |kind| Wait::default().again_owned(patience.clone(), name.clone(), error(kind));
        assert!(!waits(DatabaseErrorKind::Busy).await);
        assert!(waits(DatabaseErrorKind::Unreachable).await);
        assert!(waits(DatabaseErrorKind::Standby).await);
        patience.set(Duration::from_secs(15 * 60));
        assert!(waits(DatabaseErrorKind::Busy).await);
        assert!(!waits(DatabaseErrorKind::Other).await);
    }

    /// Opens a database over this address, with and without the patience of a drain. Returns the minutes that it took.
    async fn minutes_until_given_up(address: std::net::SocketAddr) -> (u64, u64) {
        let url = format!("postgres://u@{address}/x?sslmode=disable&statement-cache-capacity=0");
        let url = DatabaseUrl::parse(&url, std::path::Path::new("/")).unwrap();
        let mut minutes = Vec::new();
        for url in [url.clone(), url.for_drain()] {
            let since = Instant::now();
            let error = Store::open_existing(&url).await.unwrap_err();
            assert_eq!(error.database_kind(), Some(DatabaseErrorKind::Unreachable), "{error}");
            minutes.push(since.elapsed().as_secs() / 60);
        }
        (minutes[0], minutes[1])
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_silent_or_away_is_given_up() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap();
        let (command, drain) = minutes_until_given_up(address).await;
        assert!(command == 0 && (14..16).contains(&drain), "{command} {drain}");
        drop(silent);
        let (command, drain) = minutes_until_given_up(address).await;
        assert!(command == 0 && (14..16).contains(&drain), "{command} {drain}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_in_doubt_is_not_repeated() {
        let name = DatabaseName::from(std::path::Path::new("/a.db"));
        let patience = Server::parse("postgres://h/d").unwrap().for_drain().patience();
        let error = unanswered();
        assert_eq!(DatabaseErrorKind::of(&error), DatabaseErrorKind::Unanswered);
        let error = || StoreError::from(unanswered());
        assert!(!Wait::default().again_owned(patience, name.clone(), error()).await);
        let text = error().at(&name).to_string();
        assert!(text.contains("did not tell whether the change is stored"), "{text}");
    }

    impl Wait {
        async fn again_owned(
            mut self,
            patience: Patience,
            name: DatabaseName,
            error: StoreError,
        ) -> bool {
            self.again(&patience, &name, &error).await
        }
    }
}
