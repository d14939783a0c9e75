//! Direct access to the database, as another program might have.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _};

use super::Project;

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

async fn connect(database: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(database)
        .create_if_missing(true)
        .busy_timeout(Duration::from_secs(60));
    SqliteConnection::connect_with(&options).await.unwrap()
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}
