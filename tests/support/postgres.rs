//! Databases at the Postgres server for tests, `AUTOPACK_TEST_POSTGRES`.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tokio::runtime::Runtime;

use super::skip;

/// A database of a test, removed with the value.
pub struct PostgresDatabase {
    server: String,
    name: String,
}

impl PostgresDatabase {
    /// Creates an empty database; skips the test, or fails it, without a server.
    #[track_caller]
    pub fn create() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let Ok(server) = std::env::var("AUTOPACK_TEST_POSTGRES") else {
            skip("postgres", "AUTOPACK_TEST_POSTGRES names no server");
            return None;
        };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("autopack_suite_{}_{number}", std::process::id());
        execute_at(&server, &format!("CREATE DATABASE {name}"));
        Some(Self { server, name })
    }

    pub fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').unwrap();
        format!("{server}/{}", self.name)
    }

    /// Runs statements there.
    pub fn execute(&self, sql: &str) {
        execute_at(&self.url(), sql);
    }
}

/// A connection that keeps its locks until the value is dropped.
pub struct PostgresSession {
    runtime: Runtime,
    connection: Option<PgConnection>,
}

impl PostgresDatabase {
    /// Opens a connection and runs statements there.
    pub fn session(&self, sql: &str) -> PostgresSession {
        let runtime = runtime();
        let connection = runtime.block_on(async {
            let mut connection = connect(&self.url()).await;
            sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
            connection
        });
        PostgresSession { runtime, connection: Some(connection) }
    }

    /// The number that a query returns.
    pub fn number(&self, sql: &str) -> i64 {
        runtime().block_on(async {
            let mut connection = connect(&self.url()).await;
            let sql = AssertSqlSafe(sql.to_owned());
            let number = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
            connection.close().await.unwrap();
            number
        })
    }
}

impl Drop for PostgresSession {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            let _ = self.runtime.block_on(connection.close());
        }
    }
}

impl Drop for PostgresDatabase {
    fn drop(&mut self) {
        execute_at(&self.server, &format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

fn execute_at(url: &str, sql: &str) {
    runtime().block_on(async {
        let mut connection = connect(url).await;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
}

async fn connect(url: &str) -> PgConnection {
    let options: PgConnectOptions = url.parse().unwrap();
    options.connect().await.unwrap()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}
