//! Databases created, adopted or refused.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use super::*;
use crate::store::backend::{DatabaseErrorKind, Pool};
use crate::store::backend::{query, query_as, query_scalar};
use crate::store::migrations::SCHEMA_VERSION;

/// Creates a file at the path of the database.
async fn made_by(dir: &TempDir, sql: &str) -> PathBuf {
    let path = url(dir).file().unwrap().to_owned();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    path
}

/// Reads every file of the directory, byte for byte.
fn snapshot(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let directory = fs::read_dir(dir.join(".autopack")).unwrap();
    directory
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

/// Checks that opening fails with these words and changes nothing.
async fn is_refused(dir: &TempDir, words: &[&str]) -> StoreError {
    let before = snapshot(dir.path());
    let error = Store::open(&url(dir)).await.unwrap_err();
    assert_eq!(snapshot(dir.path()), before, "{error}");
    let text = error.to_string();
    assert!(text.contains(&url(dir).name().to_string()), "{text}");
    for word in words {
        assert!(text.contains(word), "{word}: {text}");
    }
    error
}

#[tokio::test]
async fn new_database_is_created_and_reopened() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir).await;
    assert_eq!(store.schema_version().await.unwrap(), SCHEMA_VERSION);
    assert!(store.integrity_check().await.unwrap().is_empty());
    store.import(&plan(vec![phase("a", &[])]), false, NOW).await.unwrap();
    store.close().await;
    let again = Store::open_existing(&url(&dir)).await.unwrap();
    assert_eq!(again.runs().await.unwrap().len(), 1);
}

#[tokio::test]
async fn linked_sqlite_has_the_wal_fix() {
    let engine = StoreFixture::new().await.store.engine().await.unwrap();
    let version = engine.strip_prefix("SQLite ").unwrap();
    assert!(crate::store::backend::sqlite::is_new_enough(version), "{engine}");
}

#[tokio::test]
async fn every_connection_has_the_settings() {
    let bed = StoreFixture::new().await;
    for pool in [&bed.store.writer, &bed.store.reader] {
        let one = |sql: &'static str| query_scalar::<i64>(sql).fetch_one(pool);
        assert_eq!(one("PRAGMA synchronous").await.unwrap(), 2);
        assert_eq!(one("PRAGMA foreign_keys").await.unwrap(), 1);
        assert_eq!(one("PRAGMA wal_autocheckpoint").await.unwrap(), 2500);
        let mode: String = query_scalar("PRAGMA journal_mode").fetch_one(pool).await.unwrap();
        assert_eq!(mode, "wal");
    }
    let write = query("DELETE FROM runs").execute(&bed.store.reader).await.unwrap_err();
    assert_eq!(DatabaseErrorKind::of(&write), DatabaseErrorKind::ReadOnly);
}

#[tokio::test]
async fn reading_creates_no_database() {
    let dir = TempDir::new().unwrap();
    let error = Store::open_existing(&url(&dir)).await.unwrap_err();
    assert!(matches!(error, StoreError::NoDatabase { .. }), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_processes_can_create_the_database_at_once() {
    let dir = TempDir::new().unwrap();
    let opening: Vec<_> = (0..8)
        .map(|_| {
            let url = url(&dir);
            tokio::spawn(async move { Store::open(&url).await })
        })
        .collect();
    for store in opening {
        assert_eq!(store.await.unwrap().unwrap().schema_version().await.unwrap(), SCHEMA_VERSION);
    }
}

#[tokio::test]
async fn empty_file_becomes_a_database() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join(".autopack")).unwrap();
    fs::write(url(&dir).file().unwrap(), "").unwrap();
    assert_eq!(open(&dir).await.schema_version().await.unwrap(), SCHEMA_VERSION);
}

#[tokio::test]
async fn database_of_the_python_autopack_is_unchanged() {
    let dir = TempDir::new().unwrap();
    made_by(&dir, "CREATE TABLE runs (id); CREATE TABLE tiers (id); CREATE TABLE phases (id)")
        .await;
    let error = is_refused(&dir, &["Python Autopack", "autopack import"]).await;
    assert!(matches!(error, StoreError::PythonAutopack { .. }));
}

#[tokio::test]
async fn database_of_another_application_is_unchanged() {
    let dir = TempDir::new().unwrap();
    made_by(&dir, "CREATE TABLE customers (id)").await;
    is_refused(&dir, &["another application", "customers", "--database-url"]).await;
    let dir = TempDir::new().unwrap();
    made_by(&dir, "PRAGMA journal_mode = WAL; CREATE TABLE customers (id)").await;
    is_refused(&dir, &["another application", "customers"]).await;
    let dir = TempDir::new().unwrap();
    made_by(&dir, "PRAGMA application_id = 42").await;
    is_refused(&dir, &["another application", "0x2a"]).await;
}

#[tokio::test]
async fn newer_schema_is_unchanged() {
    let dir = TempDir::new().unwrap();
    open(&dir).await.close().await;
    made_by(&dir, "PRAGMA user_version = 99").await;
    is_refused(&dir, &["version 99", "newer autopack"]).await;
}

#[tokio::test]
async fn newer_schema_in_the_wal_is_refused() {
    let dir = TempDir::new().unwrap();
    open(&dir).await.close().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(url(&dir).file().unwrap());
    let mut newer = options.connect().await.unwrap();
    sqlx::raw_sql("PRAGMA user_version = 99").execute(&mut newer).await.unwrap();
    let error = Store::open_existing(&url(&dir)).await.unwrap_err();
    assert!(matches!(error, StoreError::NewerSchema { found: 99, .. }), "{error}");
}

#[tokio::test]
async fn the_first_write_opens_the_writer() {
    let dir = TempDir::new().unwrap();
    open(&dir).await.close().await;
    let store = Store::open_existing(&url(&dir)).await.unwrap();
    let writers = || match &store.writer {
        Pool::Sqlite(writer) => writer.size(),
        Pool::Postgres(_) => unreachable!("the database is a file"),
    };
    assert!(store.runs().await.unwrap().is_empty());
    assert_eq!(writers(), 0);
    store.import(&plan(vec![phase("a", &[])]), false, NOW).await.unwrap();
    assert_eq!(writers(), 1);
    assert_eq!(store.runs().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_dropped_transaction_leaves_its_connection_to_the_next_one() {
    let bed = StoreFixture::new().await;
    let Pool::Sqlite(readers) = &bed.store.reader else { unreachable!("the database is a file") };
    for _ in 0..3 {
        let mut tx = bed.store.reader.begin().await.unwrap();
        let _: i64 = query_scalar("SELECT COUNT(*) FROM runs").fetch_one(&mut *tx).await.unwrap();
        let connections = readers.size();
        drop(tx);
        while readers.num_idle() < readers.size() as usize {
            tokio::task::yield_now().await;
        }
        assert_eq!(readers.size(), connections);
    }
}

/// Two ended attempts of phase 1, an attempt without a started agent, and a running attempt.
#[tokio::test]
async fn usage_from_before_the_totals_is_counted() {
    let dir = TempDir::new().unwrap();
    let schema = [
        include_str!("../migrations/0001_initial.sql"),
        include_str!("../migrations/0002_memory_backend.sql"),
        include_str!("../migrations/0003_session.sql"),
        include_str!("../migrations/0004_footprint.sql"),
        include_str!("../migrations/0005_estimate.sql"),
        include_str!("../migrations/0006_activity.sql"),
    ];
    let rows = "INSERT INTO runs (id, run_id, source, created_at) VALUES (1, 'r', 'x', 0), (2, 'idle', 'x', 0);
        INSERT INTO phases (id, run, phase_id, position, state, name, raw_spec)
        VALUES (1, 1, 'a', 0, 'QUEUED', 'a', '{}');
        INSERT INTO attempts (phase, attempt, owner, started_at, ended_at, outcome, agent, input_tokens, output_tokens,
                              estimated_output_tokens, cost_usd, category, complexity, deliverables)
        VALUES (1, 1, 'o', 10, 14, 'failed', 'x', 3, 4, 9, 0.5, '', '', '[]'),
               (1, 2, 'o', 20, 25, 'failed', 'x', NULL, NULL, 9, NULL, '', '', '[]'),
               (1, 3, 'o', 30, 37, 'crashed', NULL, NULL, NULL, 9, NULL, '', '', '[]'),
               (1, 4, 'o', 40, NULL, NULL, 'x', NULL, NULL, 9, NULL, '', '', '[]')";
    let marks = format!(
        "PRAGMA application_id = {}; PRAGMA user_version = 6",
        crate::store::backend::sqlite::APPLICATION_ID
    );
    made_by(&dir, &format!("{} {rows}; {marks}", schema.concat())).await;
    let store = open(&dir).await;
    let spent: Vec<(i64, i64, f64, i64)> =
        query_as("SELECT spent_attempts, spent_tokens, spent_usd, spent_ms FROM runs ORDER BY id")
            .fetch_all(&store.reader)
            .await
            .unwrap();
    assert_eq!(spent, [(2, 16, 0.5, 9), (0, 0, 0.0, 0)]);
}

#[tokio::test]
async fn other_files_are_unchanged() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join(".autopack")).unwrap();
    fs::write(url(&dir).file().unwrap(), "dear diary").unwrap();
    is_refused(&dir, &["not an SQLite database"]).await;
}

#[tokio::test]
async fn damaged_database_is_named() {
    let dir = TempDir::new().unwrap();
    open(&dir).await.close().await;
    let mut bytes = fs::read(url(&dir).file().unwrap()).unwrap();
    bytes[100..4096].fill(0xa5);
    fs::write(url(&dir).file().unwrap(), bytes).unwrap();
    let store = Store::open(&url(&dir)).await;
    let error = match store {
        Ok(store) => store.runs().await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.database_kind(), Some(DatabaseErrorKind::Corrupt), "{error}");
    assert!(error.to_string().contains("autopack.db: it is damaged"), "{error}");
}

#[tokio::test]
async fn read_only_file_or_directory_is_refused() {
    let dir = TempDir::new().unwrap();
    open(&dir).await.close().await;
    let directory = dir.path().join(".autopack");
    for (place, read_only, writable) in
        [(url(&dir).file().unwrap(), 0o444, 0o644), (&directory, 0o555, 0o755)]
    {
        fs::set_permissions(place, fs::Permissions::from_mode(read_only)).unwrap();
        let error = is_refused(&dir, &["read-only", "--database-url"]).await;
        assert!(matches!(error, StoreError::ReadOnly { .. }));
        fs::set_permissions(place, fs::Permissions::from_mode(writable)).unwrap();
    }
    open(&dir).await;
}

#[tokio::test]
async fn missing_parent_directory_is_refused() {
    let dir = TempDir::new().unwrap();
    let url = DatabaseUrl::parse("sqlite:///data/state/x.db", dir.path()).unwrap();
    let error = Store::open(&url).await.unwrap_err().to_string();
    assert!(error.contains("cannot create its directory"), "{error}");
}

/// SQLite rolls back only the statement if it keeps a statement journal (many rows at once), else the whole transaction
/// behind sqlx's back (a single large row): both must leave the writer usable.
#[tokio::test]
async fn full_disk_is_reported_and_recoverable() {
    let rows = (0..500).map(|n| phase(&format!("p{n}"), &[])).collect();
    let one_row =
        PlanRun { source: "x".repeat(100_000), ..plan_run("large", vec![phase("p", &[])]) };
    for run in [plan_run("many", rows), one_row] {
        let bed = StoreFixture::with(vec![phase("a", &[])]).await;
        let plan = Plan { runs: vec![run] };
        limit(&bed, 1).await;
        let error = bed.store.import(&plan, false, NOW).await.unwrap_err();
        assert_eq!(error.database_kind(), Some(DatabaseErrorKind::Full), "{error}");
        assert!(error.to_string().contains("the disk is full"), "{error}");
        assert_eq!(bed.store.runs().await.unwrap().len(), 1);
        limit(&bed, u32::MAX - 1).await;
        assert_eq!(bed.store.import(&plan, false, NOW).await.unwrap().runs, 1);
        let claim = bed.claim().await;
        assert_eq!(bed.finish(claim, passed()).await, PhaseState::Complete);
    }
}

/// Limits the number of pages on the writer's present connection; never below the present number.
async fn limit(bed: &StoreFixture, pages: u32) {
    let sql = AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
    query(sql).execute(&bed.store.writer).await.unwrap();
}
