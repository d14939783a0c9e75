//! The schema of a SQLite database of autopack: numbered migrations, and the number of those that were applied
//! (`user_version`).

use sqlx::{AssertSqlSafe, SqliteConnection};

/// A kind of database. Migrations are never edited: a database of an earlier version applies the missing ones.
pub struct Schema {
    /// Tells our files from any other SQLite database.
    pub application_id: u32,
    /// In order.
    pub migrations: &'static [&'static str],
}

impl Schema {
    /// Version of a database to which all migrations were applied.
    pub const fn version(&self) -> i64 {
        self.migrations.len() as i64
    }

    /// Applies the migrations behind version `found`. The caller holds a transaction, and has refused databases of
    /// others and of newer versions.
    ///
    /// # Errors
    /// A migration fails: the transaction must not be committed.
    pub async fn migrate(
        &self,
        transaction: &mut SqliteConnection,
        found: i64,
    ) -> Result<(), sqlx::Error> {
        let applied = usize::try_from(found).map_err(|_| {
            sqlx::Error::Protocol(format!("the schema version of the database is {found}"))
        })?;
        for migration in self.migrations.iter().skip(applied) {
            sqlx::raw_sql(*migration).execute(&mut *transaction).await?;
        }
        // Pragmas take no bound values; both numbers are ours.
        let mark = format!(
            "PRAGMA application_id = {}; PRAGMA user_version = {}",
            self.application_id,
            self.version()
        );
        sqlx::raw_sql(AssertSqlSafe(mark)).execute(transaction).await?;
        Ok(())
    }
}

/// The number of migrations that were applied to a database.
///
/// # Errors
/// The database cannot be read.
pub async fn version_of(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("PRAGMA user_version").fetch_one(connection).await
}
