//! The auto-fixer over specs of real projects: hshk99/Autopack (MIT), 100 phase specs as written and the
//! database of its runs. Skipped, saying so, where the data is not there.

use std::path::PathBuf;

use autopack::phase::autofix::{Limits, autofix};
use autopack::phase::{RawSpec, Repair};
use serde_json::{Map, Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use sqlx::{AssertSqlSafe, Row};

const LIMITS: Limits = Limits {
    workspace: Some("/home/u/project"),
    max_timeout_seconds: 3600,
    unscoped_allowed: false,
};

/// A file of the shared data, where it is there.
fn data(name: &str) -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let named = std::env::var_os("AUTOPACK_SHARED_DATA").map(PathBuf::from);
    let found =
        named.into_iter().chain([beside]).map(|dir| dir.join(name)).find(|file| file.is_file());
    if found.is_none() {
        println!(
            "skipped: {name} is not there (set AUTOPACK_SHARED_DATA to the folder that holds it)"
        );
    }
    found
}

fn specs() -> Option<Vec<Value>> {
    let text = std::fs::read_to_string(data("real_phase_specs.jsonl")?).unwrap();
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// The phases of the database as an import brings them: columns and scope in one object.
async fn phases() -> Option<Vec<Value>> {
    let options = SqliteConnectOptions::new().filename(data("python-autopack.db")?).immutable(true);
    let pool = SqlitePool::connect_with(options).await.unwrap();
    let sql = "SELECT phase_id, name, description, task_category, complexity, scope FROM phases";
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&pool).await.unwrap();
    let spec = |row: &sqlx::sqlite::SqliteRow| {
        let mut spec = Map::new();
        for column in ["phase_id", "name", "description", "task_category", "complexity"] {
            if let Some(text) = row.get::<Option<String>, _>(column) {
                spec.insert(column.to_owned(), Value::String(text));
            }
        }
        if let Some(scope) = row.get::<Option<String>, _>("scope") {
            spec.insert("scope".to_owned(), serde_json::from_str(&scope).unwrap());
        }
        Value::Object(spec)
    };
    Some(rows.iter().map(spec).collect())
}

fn fix(spec: &Value) -> Repair {
    autofix(&RawSpec(spec.clone()), None, &LIMITS)
}

#[test]
fn dump() {
    for (i, spec) in specs().into_iter().flatten().enumerate() {
        let r = fix(&spec);
        println!(
            "@@{}",
            json!({"i": i, "before": spec, "after": r.spec, "fixes": r.fixes, "unfixable": r.result.err().map(|e| e.0)})
        );
    }
}

#[tokio::test]
async fn dump_db() {
    for (i, spec) in phases().await.into_iter().flatten().enumerate() {
        let r = fix(&spec);
        println!(
            "@@{}",
            json!({"i": i, "before": spec, "after": r.spec, "fixes": r.fixes, "unfixable": r.result.err().map(|e| e.0)})
        );
    }
}
