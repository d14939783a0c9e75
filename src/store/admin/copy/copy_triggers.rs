//! Triggers of the destination, which refuse history: an attempt begins before it ends. They are absent within the
//! transaction of the copy alone. Checks, keys and references hold throughout.

use sqlx::AssertSqlSafe;

use super::table_catalog::TABLES;
use crate::store::backend::{Connection, query, query_as};
use crate::store::error::StoreError;

/// Statements that restore the triggers.
#[must_use = "the triggers have to be restored before the commit"]
pub(super) struct SuspendedTriggers(Vec<String>);

/// Suspends the triggers of all tables. At Postgres the user has to own the tables, as the user who created them does.
pub(super) async fn suspend(database: &mut Connection) -> Result<SuspendedTriggers, StoreError> {
    if let Connection::Postgres(_) = database {
        for table in TABLES {
            run(database, format!("ALTER TABLE \"{table}\" DISABLE TRIGGER USER")).await?;
        }
        let restore = TABLES.map(|table| format!("ALTER TABLE \"{table}\" ENABLE TRIGGER USER"));
        return Ok(SuspendedTriggers(restore.into()));
    }
    let triggers: Vec<(String, String)> =
        query_as("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name")
            .fetch_all(&mut *database)
            .await?;
    for (name, _) in &triggers {
        run(database, format!("DROP TRIGGER \"{name}\"")).await?;
    }
    Ok(SuspendedTriggers(triggers.into_iter().map(|(_, sql)| sql).collect()))
}

impl SuspendedTriggers {
    pub async fn restore(self, database: &mut Connection) -> Result<(), StoreError> {
        for statement in self.0 {
            run(database, statement).await?;
        }
        Ok(())
    }
}

pub(super) async fn run(database: &mut Connection, sql: String) -> Result<(), StoreError> {
    query(AssertSqlSafe(sql)).execute(database).await?;
    Ok(())
}
