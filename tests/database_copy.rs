//! `db status`, `db migrate` and `db copy`.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::database::{execute, execute_at, texts};
use crate::support::postgres::database;
use crate::support::process::signal;
use crate::support::{Project, Ran};

const SOURCE: &str = "sqlite:///.autopack/autopack.db";
const BACK: &str = "sqlite:///back.db";

/// Phases that landed, failed, were undone, were imported as done, and wait.
fn worked() -> Project {
    let phase = |id: &str| {
        json!({"phase_id": id, "name": format!("add {id}"), "deliverables": [format!("src/{id}.txt")],
               "max_attempts": 1})
    };
    let mut done = phase("done");
    done["state"] = json!("COMPLETE");
    let mut blocked = phase("blocked");
    blocked["depends_on"] = json!(["fails"]);
    let project = Project::new()
        .agent("if phase_id != 'fails': write_deliverables()")
        .plan(json!({"phases": [phase("lands"), phase("undone"), phase("fails"), blocked, done]}));
    project.drain().exited(3);
    project.autopack(["undo", "--run-id", "run", "undone"]).succeeded();
    project
}

fn copy(project: &Project, from: &str, to: &str) -> Ran {
    project.autopack(["db", "copy", from, to])
}

fn at(project: &Project, url: &str, args: &[&str]) -> String {
    let place = ["--database-url", url];
    project.autopack(place.iter().chain(args)).succeeded().stdout
}

/// What the commands for scripts print.
fn outputs(project: &Project, url: &str) -> Vec<String> {
    [
        &["telemetry", "export"][..],
        &["report", "run", "--format", "md"],
        &["status", "--json"],
        &["phases", "list", "--run-id", "run", "--json"],
        &["phases", "show", "--run-id", "run", "undone", "--json"],
    ]
    .iter()
    .map(|args| at(project, url, args))
    .chain([metrics(project, url)])
    .collect()
}

/// Metrics of everything but the database itself.
fn metrics(project: &Project, url: &str) -> String {
    let text = at(project, url, &["metrics"]);
    text.lines().filter(|line| !line.starts_with("autopack_database_size")).collect()
}

#[test]
fn a_database_is_copied_to_postgres_and_back_and_drained_on() {
    let Some(database) = database() else { return };
    let project = worked();
    let before = outputs(&project, SOURCE);
    let ran = copy(&project, SOURCE, &database.url()).succeeded();
    assert!(ran.stdout.starts_with("copied 1 run, 5 phases, 3 attempts and "), "{ran:#?}");
    assert_eq!(outputs(&project, &database.url()), before);
    copy(&project, &database.url(), BACK).succeeded();
    assert_eq!(outputs(&project, BACK), before);
    // Ids, numbers of identities and triggers included.
    for sql in [
        "SELECT id || ' ' || phase || ' ' || started_at FROM attempts ORDER BY id",
        "SELECT name || ' ' || seq FROM sqlite_sequence",
        "SELECT name || sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name",
    ] {
        let rows = |file: &str| texts(&project.path(file), sql);
        assert_eq!(rows("back.db"), rows(".autopack/autopack.db"), "{sql}");
        assert!(!rows("back.db").is_empty(), "{sql}");
    }
    let drain = ["--database-url", &database.url(), "drain", "--run-id", "run"];
    project.autopack(drain).exited(3);
    assert_eq!(project.landed(), ["lands", "undone", "undone"]);
    let list = at(&project, &database.url(), &["phases", "list", "--run-id", "run", "--json"]);
    let list: Value = serde_json::from_str(&list).unwrap();
    let states = list.as_array().unwrap().iter().map(|p| p["state"].as_str().unwrap());
    assert_eq!(
        states.collect::<Vec<_>>(),
        ["COMPLETE", "COMPLETE", "FAILED", "QUEUED", "COMPLETE"]
    );
    // An ended attempt stays as it is in the copy, too.
    let change = "SELECT 1 FROM pg_trigger WHERE NOT tgisinternal AND tgenabled = 'D'";
    database.execute(&format!(
        "DO $$ BEGIN IF EXISTS ({change}) THEN RAISE 'a trigger is disabled'; END IF; END $$"
    ));
}

#[test]
fn a_copy_between_files_needs_no_server() {
    let project = worked();
    let before = outputs(&project, SOURCE);
    let copied = project.json(["db", "copy", SOURCE, BACK, "--json"]);
    assert_eq!((&copied["rows"]["runs"], &copied["rows"]["attempts"]), (&json!(1), &json!(3)));
    // A table that a new migration adds is copied, too.
    let all = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name";
    let mut tables: Vec<&String> = copied["rows"].as_object().unwrap().keys().collect();
    tables.sort();
    assert_eq!(tables, texts(&project.path("back.db"), all).iter().collect::<Vec<_>>());
    assert_eq!(outputs(&project, BACK), before);
    for (from, to, problem, hint) in [
        (SOURCE, SOURCE, "to itself", ""),
        (SOURCE, BACK, "its table runs has rows already (1)", "choose an empty database"),
        ("sqlite:///none.db", "sqlite:///new.db", "there is no database at", ""),
        ("mysql://me:hunter2@db/x", BACK, "SRC: cannot use a database URL", "write sqlite:///path"),
        (SOURCE, "postgres://me:hunter2@h/d?sslmod=x", "unknown parameter", "write postgres://"),
    ] {
        let ran = copy(&project, from, to).exited(1);
        assert!(ran.stderr.contains(problem) && ran.stderr.contains(hint), "{ran:#?}");
        assert!(!ran.stderr.contains("hunter2"), "{ran:#?}");
    }
    assert!(!project.path("new.db").exists());
}

#[test]
fn a_source_with_a_registered_drain_is_refused_and_named() {
    let project = worked();
    execute(
        &project,
        "INSERT INTO owners (owner, pid, boot_id, host, lock_path, runs, started_at, heartbeat_boot_ms)
         VALUES ('7-1', 7, 'b', 'build-3', '/none', '[\"run\"]', 0, 0)",
    );
    let ran = copy(&project, SOURCE, BACK).exited(1);
    assert!(ran.stderr.contains("process 7 on build-3 (run)"), "{ran:#?}");
    assert!(ran.stderr.contains("autopack stop"), "{ran:#?}");
    assert!(!project.path("back.db").exists());
    let status = project.json(["db", "status", "--json"]);
    assert_eq!(status["drains"][0]["host"], "build-3");
}

#[test]
fn a_killed_copy_leaves_nothing() {
    let Some(database) = database() else { return };
    let project = worked();
    at(&project, &database.url(), &["db", "migrate"]);
    // Attempts, copied after runs and phases, wait for a lock.
    let lock = database.session("SELECT pg_advisory_lock(7)");
    database.execute(
        "ALTER TABLE autopack.attempts ADD CHECK (pg_advisory_xact_lock_shared(7)::text IS NOT NULL)",
    );
    let mut child = project.spawn(["db", "copy", SOURCE, &database.url()]);
    let waits = "SELECT COUNT(*)::text FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    while database.texts(waits) == ["0"] {
        assert!(child.try_wait().unwrap().is_none(), "the copy did not wait");
    }
    signal(&child, "-KILL");
    child.wait().unwrap();
    let rows = || {
        let status = at(&project, &database.url(), &["db", "status", "--json"]);
        let status: Value = serde_json::from_str(&status).unwrap();
        (status["runs"].as_u64(), status["phases"].as_u64(), status["attempts"].as_u64())
    };
    assert_eq!(rows(), (Some(0), Some(0), Some(0)));
    drop(lock);
    copy(&project, SOURCE, &database.url()).succeeded();
    assert_eq!(rows(), (Some(1), Some(5), Some(3)));
}

#[test]
fn nul_characters_are_replaced_and_told() {
    let Some(database) = database() else { return };
    let project = worked();
    execute(&project, "UPDATE phases SET note = 'x' || char(0) || 'y' WHERE phase_id = 'fails'");
    let ran = copy(&project, SOURCE, &database.url()).succeeded();
    let told = "replaced NUL characters, which Postgres does not store, in 1 text of phases.note";
    assert!(ran.stderr.contains(told), "{ran:#?}");
    copy(&project, &database.url(), BACK).succeeded();
    let notes = "SELECT note FROM phases WHERE phase_id = 'fails'";
    assert_eq!(texts(&project.path("back.db"), notes), ["x\u{fffd}y"]);
}

#[test]
fn an_older_schema_is_told_checked_and_migrated_and_not_copied() {
    let project = Project::new();
    let database = project.path(".autopack/old.db");
    older(&database);
    let db = |args: &[&str]| {
        let url = ["--database-url", "sqlite:///.autopack/old.db", "db"];
        project.autopack(url.iter().chain(args))
    };
    let status = db(&["status", "--json"]).json();
    assert_eq!((&status["schema_version"], &status["runs"]), (&json!(23), &json!(0)));
    let known = status["known_schema_version"].as_i64().unwrap();
    let ran = copy(&project, "sqlite:///.autopack/old.db", BACK).exited(1);
    assert!(ran.stderr.contains("its schema has version 23"), "{ran:#?}");
    assert!(ran.stderr.contains("autopack db migrate"), "{ran:#?}");
    let ran = db(&["migrate", "--check"]).exited(1);
    assert!(ran.stdout.contains(&format!("a migration to version {known} is pending")), "{ran:#?}");
    let ran = db(&["migrate"]).succeeded();
    assert!(ran.stdout.contains(&format!("from schema version 23 to {known}")), "{ran:#?}");
    db(&["migrate", "--check"]).succeeded();
    assert_eq!(db(&["status", "--json"]).json()["schema_version"], known);
    execute_at(&database, &format!("PRAGMA user_version = {}", known + 1));
    let ran = copy(&project, "sqlite:///.autopack/old.db", BACK).exited(1);
    assert!(ran.stderr.contains("use a newer autopack"), "{ran:#?}");
    let ran = db(&["status"]).succeeded();
    assert!(ran.stdout.contains("use a newer autopack"), "{ran:#?}");
    db(&["migrate", "--check"]).exited(1);
    db(&["migrate"]).exited(1);
}

/// A database as the version before the last migration of SQLite alone made it.
fn older(database: &Path) {
    std::fs::create_dir_all(database.parent().unwrap()).unwrap();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/migrations");
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "sql"));
    files.sort();
    for file in &files[..23] {
        execute_at(database, &std::fs::read_to_string(file).unwrap());
    }
    execute_at(database, "PRAGMA application_id = 1634755435; PRAGMA user_version = 23");
}

#[test]
fn a_database_that_does_not_exist_is_told_and_created() {
    let project = Project::new();
    let status = project.json(["db", "status", "--json"]);
    assert_eq!((&status["exists"], &status["origin"]), (&json!(false), &json!("default")));
    assert!(!project.path(".autopack/autopack.db").exists());
    project.autopack(["db", "migrate", "--check"]).exited(1);
    let ran = project.autopack(["db", "migrate"]).succeeded();
    assert!(ran.stdout.starts_with("created "), "{ran:#?}");
    let shown = project.autopack(["db", "status"]).succeeded().stdout;
    assert!(shown.contains("contents     0 runs, 0 phases, 0 attempts"), "{shown}");
}

#[test]
fn a_run_begun_at_a_server_goes_on_in_a_file() {
    let Some(database) = database() else { return };
    let project = Project::new().agent("write_deliverables()");
    let plan = project.outside("plan.json");
    let phase = |id: &str| json!({"phase_id": id, "deliverables": [format!("src/{id}.txt")]});
    std::fs::write(&plan, json!({"phases": [phase("a"), phase("b")]}).to_string()).unwrap();
    let plan = plan.to_str().unwrap();
    at(&project, &database.url(), &["import", plan, "--run-id", "run"]);
    let one = ["drain", "--run-id", "run", "--batch-size", "1", "--max-batches", "1"];
    at(&project, &database.url(), &one);
    copy(&project, &database.url(), BACK).succeeded();
    at(&project, BACK, &["drain", "--run-id", "run"]);
    assert_eq!(project.landed(), ["a", "b"]);
}
