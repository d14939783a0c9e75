//! The schema in a Postgres database: the ownership mark, the version, and migrations.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Error};

use super::server::Server;
use crate::clock::TimeQuestion;

/// Oldest version with support by the developers of Postgres.
pub const OLDEST_POSTGRES: i64 = 14;
/// The encoding of a database able to store every text.
pub const ENCODING: &str = "UTF8";

/// Owner of the schema `autopack` in a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaOwner {
    /// There is no such schema.
    Nothing,
    /// Ours, with the version.
    Ours(i64),
    /// A schema of this name without our mark.
    Foreign,
}

/// Looks for our schema; changes nothing.
pub async fn find(connection: &mut PgConnection) -> Result<SchemaOwner, Error> {
    let (schema, mark): (bool, bool) = sqlx::query_as(
        "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = 'autopack'),
                EXISTS (SELECT 1 FROM pg_catalog.pg_tables
                         WHERE schemaname = 'autopack' AND tablename = 'autopack_schema')",
    )
    .persistent(false)
    .fetch_one(&mut *connection)
    .await?;
    if !mark {
        return Ok(if schema { SchemaOwner::Foreign } else { SchemaOwner::Nothing });
    }
    let version = sqlx::query_scalar("SELECT version FROM autopack.autopack_schema")
        .persistent(false)
        .fetch_one(connection)
        .await?;
    Ok(SchemaOwner::Ours(version))
}

/// Facts reported by a server about the server and the database.
#[derive(Clone, Debug)]
pub struct ServerFacts {
    /// Major version.
    pub version: i64,
    /// Encoding of the database, such as `UTF8`.
    pub encoding: String,
}

/// Requests the facts of a server. From now on, the server's clock is the clock of this process.
pub async fn server_facts(connection: &mut PgConnection) -> Result<ServerFacts, Error> {
    let question = TimeQuestion::begin();
    let (number, encoding, now_ms): (i32, String, i64) = sqlx::query_as(
        "SELECT current_setting('server_version_num')::int, current_setting('server_encoding'),
                CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
    )
    .persistent(false)
    .fetch_one(connection)
    .await?;
    question.answer(now_ms);
    Ok(ServerFacts { version: i64::from(number) / 10_000, encoding })
}

/// Applies the migrations after version `found` (0: none yet). The caller holds a writing transaction.
pub async fn migrate(
    connection: &mut PgConnection,
    found: i64,
    migrations: &[(i64, &'static str)],
) -> Result<(), Error> {
    if found == 0 {
        let mark = "CREATE SCHEMA IF NOT EXISTS autopack;
            CREATE TABLE autopack.autopack_schema (version BIGINT NOT NULL);
            INSERT INTO autopack.autopack_schema VALUES (0)";
        sqlx::raw_sql(mark).execute(&mut *connection).await?;
    }
    for (version, migration) in migrations.iter().filter(|(version, _)| *version > found) {
        sqlx::raw_sql(*migration).execute(&mut *connection).await?;
        let mark = format!("UPDATE autopack.autopack_schema SET version = {version}");
        sqlx::raw_sql(AssertSqlSafe(mark)).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Version of the schema from which heartbeats have a time of the server.
const WITH_HEARTBEAT_TIMES: i64 = 25;

/// Returns the hosts of drains that sent a heartbeat lately, in a schema of version `found`. Without times of heartbeats, every
/// registered drain counts as alive.
pub async fn hosts_of_live_drains(
    connection: &mut PgConnection,
    found: i64,
) -> Result<Vec<String>, Error> {
    let all = "SELECT DISTINCT host FROM autopack.owners WHERE NOT fenced ORDER BY host";
    let alive = "SELECT DISTINCT host FROM autopack.owners
         WHERE NOT fenced AND COALESCE(renewed_at, started_at) + 2 * COALESCE(lease_ms, 60000)
               > EXTRACT(EPOCH FROM clock_timestamp()) * 1000
         ORDER BY host";
    sqlx::query_scalar(if found < WITH_HEARTBEAT_TIMES { all } else { alive })
        .persistent(false)
        .fetch_all(connection)
        .await
}

/// Whether a database bears our mark; changes nothing. `None`: the server gave no answer.
pub async fn has_our_mark(server: &Server) -> Option<bool> {
    /// The server of an application may be unreachable from here, and every command would wait for the server.
    const LONGEST: Duration = Duration::from_secs(2);
    let look = async {
        let mut connection = server.connect().await.ok()?;
        find(&mut connection).await.ok()
    };
    let found = tokio::time::timeout(LONGEST, look).await.ok().flatten()?;
    Some(matches!(found, SchemaOwner::Ours(_)))
}
