//! Direct access to the database, as another program might have.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _};

use super::Project;
use super::process::signal;

/// Runs statements on the project's database.
pub fn execute(project: &Project, sql: &str) {
    execute_at(&project.path(".autopack/autopack.db"), sql);
}

/// Runs statements on a database, which is created if missing.
pub fn execute_at(database: &Path, sql: &str) {
    block_on(async {
        let mut db = connect(database).await;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut db).await.unwrap();
        db.close().await.unwrap();
    });
}

/// The rows of one text column.
pub fn texts(database: &Path, sql: &str) -> Vec<String> {
    block_on(async {
        let mut db = connect(database).await;
        let sql = AssertSqlSafe(sql.to_owned());
        let rows = sqlx::query_scalar(sql).fetch_all(&mut db).await.unwrap();
        db.close().await.unwrap();
        rows
    })
}

/// Stops a drain, with all that it does, at a moment in which it keeps nobody else from writing to the database.
pub fn stop_between_writes(project: &Project, drain: &Child) {
    stop_between_writes_at(&project.path(".autopack/autopack.db"), drain);
}

/// The same, for a database elsewhere.
pub fn stop_between_writes_at(database: &Path, drain: &Child) {
    let stat = format!("/proc/{}/stat", drain.id());
    let is_stopped = || fs::read_to_string(&stat).unwrap().contains(") T ");
    loop {
        signal(drain, "-STOP");
        while !is_stopped() {
            std::thread::yield_now();
        }
        if can_write(database) {
            return;
        }
        signal(drain, "-CONT");
    }
}

fn can_write(database: &Path) -> bool {
    block_on(async {
        let mut db = connect_for(database, Duration::ZERO).await;
        let tried = sqlx::raw_sql("BEGIN IMMEDIATE; ROLLBACK").execute(&mut db).await;
        db.close().await.unwrap();
        tried.is_ok()
    })
}

async fn connect(database: &Path) -> SqliteConnection {
    connect_for(database, Duration::from_secs(60)).await
}

async fn connect_for(database: &Path, busy_timeout: Duration) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(database)
        .create_if_missing(true)
        .busy_timeout(busy_timeout);
    SqliteConnection::connect_with(&options).await.unwrap()
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}
