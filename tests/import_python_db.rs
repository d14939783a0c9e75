//! The Python Autopack's database as a source: the real one if present, and small ones made here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use autopack::import::{self, Existing, ImportError};
use autopack::phase::plan::{Plan, PlanPhase, PlanRun};
use autopack::phase::{FailureKind, PhaseState, RunId};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};

async fn read(file: &Path, run: Option<&str>) -> Result<Plan, ImportError> {
    import::read(file, &import::ReadOptions::of_run(run.map(RunId::new).as_ref()))
        .await?
        .resolve(&Existing::default())
}

fn run<'a>(plan: &'a Plan, id: &str) -> &'a PlanRun {
    plan.runs.iter().find(|run| run.run_id.as_str() == id).unwrap()
}

fn phase<'a>(run: &'a PlanRun, id: &str) -> &'a PlanPhase {
    run.phases.iter().find(|phase| phase.phase_id.as_str() == id).unwrap()
}

/// 456 phases of 70 runs (hshk99/Autopack, MIT).
fn real_database() -> Option<PathBuf> {
    crate::support::shared_file("python-autopack.db")
}

fn listing(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn the_real_database_is_imported_completely_and_not_modified() {
    let Some(real) = real_database() else { return };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a copy #1?.db");
    let bytes = std::fs::read(real).unwrap();
    std::fs::write(&file, &bytes).unwrap();
    let plan = read(&file, None).await.unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
    assert_eq!(listing(directory.path()), ["a copy #1?.db"]);

    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for phase in plan.runs.iter().flat_map(|run| &run.phases) {
        *states.entry(phase.state.as_str()).or_default() += 1;
    }
    assert_eq!(states, BTreeMap::from([("COMPLETE", 141), ("FAILED", 157), ("QUEUED", 158)]));
    assert_eq!(plan.runs.iter().filter(|run| !run.phases.is_empty()).count(), 70);

    let gate = phase(run(&plan, "fileorg-p2-20251208n"), "fileorg-p2-country-australia");
    assert_eq!(gate.state, PhaseState::Queued);
    assert_eq!(gate.note.as_deref(), Some("was GATE in the Python Autopack; queued again"));
    let failures: Vec<_> = plan
        .runs
        .iter()
        .flat_map(|run| &run.phases)
        .filter_map(|p| p.last_failure.as_ref())
        .collect();
    assert_eq!(failures.len(), 51);
    assert!(failures.iter().all(|failure| failure.kind == FailureKind::Imported));

    let mut samples: Vec<(&str, &str)> = plan
        .runs
        .iter()
        .flat_map(|run| run.samples.iter().map(|s| (s.origin.as_str(), run.run_id.as_str())))
        .collect();
    samples.sort_unstable();
    let homes: Vec<&str> = samples.iter().map(|(_, run)| *run).collect();
    assert_eq!(samples[0].0, "token_estimation_v2_events/1");
    assert_eq!(
        homes,
        [
            "autopack-diagnostics-parity-v2",
            "lovable-p2-quality-ux",
            "lovable-p2-quality-ux",
            "lovable-p2-quality-ux",
            "build129-p3-week1-telemetry",
            "build129-p3-week1-telemetry",
        ]
    );
}

#[tokio::test]
async fn one_run_of_the_real_database_comes_tier_by_tier() {
    let Some(real) = real_database() else { return };
    let plan = read(&real, Some("research-system-v2")).await.unwrap();
    assert_eq!(plan.runs.len(), 1);
    let order: Vec<&str> = plan.runs[0].phases.iter().map(|p| p.phase_id.as_str()).collect();
    insta::assert_debug_snapshot!(order);
    let error = read(&real, Some("nope")).await.unwrap_err().to_string();
    assert!(error.contains("has no run `nope`; existing runs: "), "{error}");
    assert!(error.contains("research-system-v29"), "{error}");
}

async fn database(file: &Path, statements: &[&str]) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    for statement in statements {
        let statement = AssertSqlSafe((*statement).to_owned());
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    connection
}

/// The minimum that a phase can have.
const OLD: [&str; 2] = [
    "CREATE TABLE runs (id VARCHAR NOT NULL)",
    "CREATE TABLE phases (id INTEGER, phase_id VARCHAR, run_id VARCHAR, state VARCHAR, scope JSON)",
];

async fn made(statements: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("old.db");
    let all: Vec<&str> = OLD.iter().chain(statements).copied().collect();
    database(&file, &all).await.close().await.unwrap();
    (directory, file)
}

#[tokio::test]
async fn an_older_version_without_tiers_and_events_is_read() {
    let (_directory, file) = made(&[
        "INSERT INTO runs VALUES ('r')",
        "INSERT INTO phases VALUES (1, 'a', 'r', 'QUEUED', '{\"paths\":[\"src\"]}')",
        "INSERT INTO phases VALUES (2, 'b', 'r', 'DOING', '{broken')",
        "INSERT INTO phases VALUES (3, 'c', 'dangling', NULL, X'FF41')",
    ])
    .await;
    let plan = read(&file, None).await.unwrap();
    let found: Vec<String> = plan
        .runs
        .iter()
        .flat_map(|run| run.phases.iter().map(move |p| format!("{} {}", run.run_id, p.spec.0)))
        .collect();
    assert_eq!(
        found,
        [
            r#"r {"phase_id":"a","scope":{"paths":["src"]}}"#,
            r#"r {"phase_id":"b","scope":"{broken"}"#,
            "dangling {\"phase_id\":\"c\",\"scope\":\"\u{fffd}A\"}",
        ]
    );
    let notes = &plan.runs[0].phases[1].note.as_deref().unwrap();
    assert!(notes.starts_with("was DOING in the Python Autopack; queued again; its scope is not"));
}

#[tokio::test]
async fn bad_rows_are_refused_by_table_and_row() {
    for (rows, expected) in [
        ("(7, NULL, 'r', 'QUEUED', NULL)", "row 7 of table phases: `phase_id` is empty"),
        ("(7, 'a', '', 'QUEUED', NULL)", "row 7 of table phases: `run_id` is empty"),
        ("(7, 'a', 'r', '', NULL), (9, 'a', 'r', '', NULL)", "row 7 of table phases and "),
    ] {
        let (_directory, file) = made(&[&format!("INSERT INTO phases VALUES {rows}")]).await;
        let error = read(&file, None).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn pending_journal_entries_are_read_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("live.db");
    let mut all = vec!["PRAGMA journal_mode = WAL", "PRAGMA wal_autocheckpoint = 0"];
    all.extend(OLD);
    all.push("INSERT INTO phases VALUES (1, 'a', 'r', 'QUEUED', NULL)");
    let connection = database(&file, &all).await;
    let wal = directory.path().join("live.db-wal");
    let before = std::fs::read(&wal).unwrap();
    assert_eq!(read(&file, None).await.unwrap().runs[0].phases.len(), 1);
    assert_eq!(std::fs::read(&wal).unwrap(), before);
    connection.close().await.unwrap();
}

#[tokio::test]
async fn other_databases_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("app.db");
    database(&file, &["CREATE TABLE users (id)", "CREATE TABLE orders (id)"])
        .await
        .close()
        .await
        .unwrap();
    let error = read(&file, None).await.unwrap_err().to_string();
    assert!(
        error.ends_with(
            "it is not a database of the Python Autopack: table `runs` is missing; tables found: orders, users"
        ),
        "{error}"
    );
    let own = directory.path().join("own.db");
    let table = "CREATE TABLE phases (raw_spec)";
    database(&own, &[table]).await.close().await.unwrap();
    assert!(read(&own, None).await.unwrap_err().to_string().contains("autopack's own"));
    std::fs::write(&file, b"SQLite format 3\0 and then nonsense").unwrap();
    assert!(
        read(&file, None).await.unwrap_err().to_string().starts_with("cannot import the database")
    );
    let (_directory, empty) = made(&[]).await;
    assert!(
        read(&empty, None).await.unwrap_err().to_string().contains("has no items of the format")
    );
    let missing = read(&directory.path().join("missing.yaml"), None).await.unwrap_err().to_string();
    assert!(missing.contains("missing.yaml: No such file"), "{missing}");
}
