//! Telemetry, from an attempt to an export, and from samples to a learned estimate.

mod calibrate;
mod export;
mod generator;
mod learning;
mod samples;

use autopack::phase::Sample;
use autopack::store::{DatabaseUrl, Store};
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};

use crate::support::Project;

/// The samples as exported.
fn exported(project: &Project, args: &[&str]) -> Vec<Value> {
    let all: Vec<&str> = ["telemetry", "export"].iter().chain(args).copied().collect();
    let ran = project.autopack(all).succeeded();
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The project's database, opened without the store.
async fn database(project: &Project) -> SqliteConnection {
    let file = project.path(".autopack/autopack.db");
    SqliteConnectOptions::new().filename(file).connect().await.unwrap()
}

async fn execute(project: &Project, sql: &str) {
    let mut connection = database(project).await;
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// A project whose database has these samples and nothing else.
async fn holding(samples: &[Sample]) -> Project {
    let project = Project::new();
    let url = DatabaseUrl::parse("sqlite:///.autopack/autopack.db", &project.root()).unwrap();
    Store::open(&url).await.unwrap().close().await;
    add(&project, samples).await;
    project
}

async fn add(project: &Project, samples: &[Sample]) {
    let mut connection = database(project).await;
    let mut tx = connection.begin().await.unwrap();
    for sample in samples {
        insert(&mut tx, sample).await;
    }
    tx.commit().await.unwrap();
    connection.close().await.unwrap();
}

async fn insert(tx: &mut SqliteConnection, sample: &Sample) {
    sqlx::query(
        "INSERT INTO samples (run_id, phase_id, attempt, timestamp, category, complexity, deliverables,
                predicted_output_tokens, actual_output_tokens, input_tokens, agent, model, success, truncated,
                description_chars, existing_bytes)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(sample.run_id.as_str())
    .bind(sample.phase_id.as_str())
    .bind(sample.attempt)
    .bind(sample.timestamp.0)
    .bind(&sample.category)
    .bind(&sample.complexity)
    .bind(serde_json::to_string(&sample.deliverables).unwrap())
    .bind(sample.predicted_output_tokens.map(|n| n as i64))
    .bind(sample.actual_output_tokens.map(|n| n as i64))
    .bind(sample.input_tokens.map(|n| n as i64))
    .bind(&sample.agent)
    .bind(&sample.model)
    .bind(sample.success)
    .bind(sample.truncated)
    .bind(sample.description_chars.map(|n| n as i64))
    .bind(sample.existing_bytes.as_ref().map(|bytes| serde_json::to_string(bytes).unwrap()))
    .execute(tx)
    .await
    .unwrap();
}
