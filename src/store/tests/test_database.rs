//! A database of a test: a file in a temporary directory; or, with `AUTOPACK_TEST_DATABASE=postgres`, one at the server
//! `AUTOPACK_TEST_POSTGRES`.

use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tempfile::TempDir;

use super::*;

pub struct TestDatabase {
    dir: TempDir,
    at: Option<AtServer>,
}

/// A database made for the test, removed with it.
struct AtServer {
    server: String,
    name: String,
}

impl TestDatabase {
    pub async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let wanted = std::env::var("AUTOPACK_TEST_DATABASE").unwrap_or_default();
        let at = match wanted.as_str() {
            "postgres" => Some(AtServer::new(&dir).await),
            _ => None,
        };
        Self { dir, at }
    }

    pub fn url(&self) -> DatabaseUrl {
        match &self.at {
            Some(at) => DatabaseUrl::parse(&at.url(), self.dir.path()).unwrap(),
            None => url(&self.dir),
        }
    }

    /// Ends the connections at the server over which somebody listens.
    pub async fn end_listeners(&self) {
        let at = self.at.as_ref().expect("a server");
        let name = &at.name;
        at.execute(format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND query LIKE 'LISTEN%'"
        ))
        .await;
    }

    pub async fn open(&self) -> Store {
        Store::open(&self.url()).await.unwrap()
    }
}

impl AtServer {
    async fn new(dir: &TempDir) -> Self {
        let server = std::env::var("AUTOPACK_TEST_POSTGRES")
            .expect("AUTOPACK_TEST_POSTGRES is the URL of a server for tests");
        let directory = dir.path().file_name().unwrap().to_string_lossy().into_owned();
        let name = format!("autopack_test_{}_{directory}", std::process::id());
        let at = Self { server, name };
        at.execute(format!("CREATE DATABASE {:?}", at.name)).await;
        at
    }

    fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').unwrap();
        format!("{server}/{}", self.name)
    }

    async fn execute(&self, sql: String) {
        let options: sqlx::postgres::PgConnectOptions = self.server.parse().unwrap();
        let mut connection = options.connect().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}

impl Drop for AtServer {
    fn drop(&mut self) {
        let runtime =
            || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let drop = self.execute(format!("DROP DATABASE {:?} WITH (FORCE)", self.name));
        // A test's own runtime runs nothing while it is being left.
        std::thread::scope(|scope| {
            scope.spawn(|| runtime().block_on(drop));
        });
    }
}
