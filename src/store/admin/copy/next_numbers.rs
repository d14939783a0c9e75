//! Numbers that a database gives to rows: none is given twice, even if its row is gone.

use sqlx::AssertSqlSafe;

use super::copy_triggers::run;
use super::table_catalog::Table;
use crate::store::backend::{Connection, query, query_scalar};
use crate::store::error::StoreError;

/// Continues the numbers of a table at the destination where the source would.
pub(super) async fn continue_numbers(
    table: &Table,
    from: &mut Connection,
    to: &mut Connection,
) -> Result<(), StoreError> {
    let Some(column) = &table.identity else { return Ok(()) };
    let Some(last) = last_number(table.name, column, from).await? else { return Ok(()) };
    let name = table.name;
    if let Connection::Postgres(_) = to {
        // Unlike `setval`, this ends with the transaction.
        let next = last + 1;
        let sql = format!("ALTER TABLE \"{name}\" ALTER COLUMN \"{column}\" RESTART WITH {next}");
        return run(to, sql).await;
    }
    query("DELETE FROM sqlite_sequence WHERE name = ?").bind(name).execute(&mut *to).await?;
    query("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)")
        .bind(name)
        .bind(last)
        .execute(to)
        .await?;
    Ok(())
}

/// The last number given in a table, as far as the database remembers it.
async fn last_number(
    table: &str,
    column: &str,
    database: &mut Connection,
) -> Result<Option<i64>, StoreError> {
    let present: Option<i64> =
        query_scalar(AssertSqlSafe(format!("SELECT MAX(\"{column}\") FROM \"{table}\"")))
            .fetch_one(&mut *database)
            .await?;
    let given: Option<i64> = match database {
        Connection::Sqlite(_) => {
            query_scalar("SELECT seq FROM sqlite_sequence WHERE name = ?")
                .bind(table)
                .fetch_optional(database)
                .await?
        }
        Connection::Postgres(_) => {
            let sequence: String =
                query_scalar("SELECT pg_get_serial_sequence('autopack.' || ?, ?)")
                    .bind(table)
                    .bind(column)
                    .fetch_one(&mut *database)
                    .await?;
            // A sequence that was set, such as by an earlier copy, and not used has the next number.
            let last = format!(
                "SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM {sequence}"
            );
            Some(query_scalar(AssertSqlSafe(last)).fetch_one(database).await?)
        }
    };
    Ok(present.max(given).filter(|last| *last > 0))
}
