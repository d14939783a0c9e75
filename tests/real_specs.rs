//! The auto-fixer over specs of real projects: hshk99/Autopack (MIT), 100 phase specs as written and the database of
//! its runs. Skipped without the data.

use std::collections::HashSet;

use autopack::phase::autofix::{Limits, Unscoped, autofix};
use autopack::phase::{RawSpec, Repair};
use serde_json::{Map, Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use sqlx::{AssertSqlSafe, Row};

const LIMITS: Limits = Limits {
    workspace: Some("/home/u/project"),
    max_timeout_seconds: 3600,
    unscoped: Unscoped::Refuse,
};

fn specs() -> Option<Vec<Value>> {
    let text =
        std::fs::read_to_string(crate::support::shared_file("real_phase_specs.jsonl")?).unwrap();
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// The database's phases as in an import: columns and scope in one object.
async fn phases() -> Option<Vec<Value>> {
    let options = SqliteConnectOptions::new()
        .filename(crate::support::shared_file("python-autopack.db")?)
        .immutable(true);
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

/// Examines a spec: repaired or refused with a reason, once and for all, nothing lost.
fn examine(spec: &Value) -> Repair {
    let repair = fix(spec);
    let again = fix(&repair.spec);
    assert_eq!((&again.spec, &again.result), (&repair.spec, &repair.result), "{spec}");
    assert!(again.fixes.is_empty(), "{spec}: {:?}", again.fixes);
    let kept = words(&repair.spec);
    let lost: Vec<_> = words_of(spec).into_iter().filter(|word| !kept.contains(word)).collect();
    assert!(lost.is_empty(), "{lost:?} of {spec}");
    match &repair.result {
        Ok(fixed) => {
            assert!(!fixed.scope_paths().is_empty(), "{spec}");
            assert!(fixed.ci().timeout_seconds >= 600, "{spec}");
        }
        Err(why) => {
            assert!(why.0.contains("names no path"), "{spec}: {why}");
            assert!(repair.spec["deliverables"].as_array().is_none_or(Vec::is_empty), "{spec}");
        }
    }
    repair
}

fn words(value: &Value) -> HashSet<String> {
    words_of(value).into_iter().collect()
}

/// Every word of every text in a value.
fn words_of(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => {
            let words = text.split(|c: char| !c.is_alphanumeric());
            words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
        }
        Value::Array(items) => items.iter().flat_map(words_of).collect(),
        Value::Object(fields) => fields.values().flat_map(words_of).collect(),
        other => vec![other.to_string()],
    }
}

fn deliverables(spec: &Value) -> Vec<&str> {
    spec["deliverables"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn find<'a>(specs: &'a [Value], phase_id: &str) -> &'a Value {
    specs.iter().find(|spec| spec["phase_id"] == phase_id).unwrap()
}

#[test]
fn a_hundred_real_specs_are_examined() {
    let Some(specs) = specs() else { return };
    let refused = specs.iter().filter(|spec| examine(spec).result.is_err()).count();
    assert_eq!((specs.len(), refused), (100, 11));

    let sse = fix(find(&specs, "lovable-p1.5-sse-streaming")).spec;
    assert_eq!(deliverables(&sse), ["src/autopack/lovable/sse_streaming.py"]);
    assert_eq!(sse["description"], "Run/phase state + progress + approval status changes");
    let ndjson = fix(find(&specs, "build129-phase3-ndjson-format")).spec;
    assert_eq!(deliverables(&ndjson)[0], "src/autopack/ndjson_handler.py");
    assert_eq!(deliverables(&ndjson).len(), 6);
    let smoke = fix(find(&specs, "smoke-phase")).spec;
    assert_eq!(
        (deliverables(&smoke), &smoke["scope"]["paths"]),
        (vec!["README.md"], &json!(["README.md"]))
    );
}

#[tokio::test]
async fn the_phases_of_a_real_database_are_examined() {
    let Some(phases) = phases().await else { return };
    let refused: Vec<&str> = phases
        .iter()
        .filter(|spec| examine(spec).result.is_err())
        .map(|spec| spec["name"].as_str().unwrap())
        .collect();
    assert_eq!(phases.len(), 456);
    assert_eq!(
        refused,
        [
            "Phase 3: Fix Pydantic Configuration",
            "Phase 4: Fix Database Configuration",
            "Phase 5: Fix Authentication Module",
        ]
    );

    let polish = fix(find(&phases, "research-testing-polish")).spec;
    assert_eq!(deliverables(&polish)[..2], ["tests/research/unit/", "tests/research/integration/"]);
    assert_eq!(deliverables(&polish).len(), 9);
    let gates = fix(find(&phases, "build126-phase-g-quality-gates")).spec;
    assert_eq!(
        deliverables(&gates),
        ["src/autopack/quality_gate.py", "tests/test_quality_gate_enforcement.py"]
    );
    let tracer = phases.iter().find(|spec| spec["scope"].is_string()).unwrap();
    assert_eq!(deliverables(&fix(tracer).spec).len(), 11);
}
