//! Pools of SQLite connections, for both databases.

use sqlx::Connection as _;
use sqlx::sqlite::SqlitePoolOptions;

/// Returns the options of a pool that replaces connections in a transaction without an owner.
///
/// SQLite ends a transaction by itself when the disk is full, unnoticed by sqlx. The connection would answer each later
/// transaction with an error, even after space was freed.
pub fn pool_options() -> SqlitePoolOptions {
    SqlitePoolOptions::new().after_release(|connection, _| {
        Box::pin(async move {
            // A dropped transaction is rolled back before the answer to the ping; such a connection stays.
            connection.ping().await?;
            Ok(!connection.is_in_transaction())
        })
    })
}
