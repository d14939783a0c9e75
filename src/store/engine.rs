//! What is known of the database's program and of its state: defects, schema version, engine.

use super::backend::{Pool, query_scalar};
use super::error::StoreError;
use super::open::Store;
use crate::schema_version::version_of;

impl Store {
    /// Returns the defects of the file, a line each; empty for a sound file. A server checks its files by itself.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn integrity_check(&self) -> Result<Vec<String>, StoreError> {
        self.named(|| async move {
            let Pool::Sqlite(reader) = &self.reader else { return Ok(Vec::new()) };
            let mut lines: Vec<String> =
                sqlx::query_scalar("PRAGMA integrity_check").fetch_all(reader).await?;
            lines.retain(|line| line != "ok");
            let strays = sqlx::query("PRAGMA foreign_key_check").fetch_all(reader).await?;
            if !strays.is_empty() {
                lines.push(format!("{} rows refer to missing rows", strays.len()));
            }
            Ok(lines)
        })
        .await
    }

    /// Returns the number of applied migrations.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn schema_version(&self) -> Result<i64, StoreError> {
        self.named(|| async move {
            match &self.reader {
                Pool::Sqlite(reader) => Ok(version_of(&mut *reader.acquire().await?).await?),
                Pool::Postgres(..) => Ok(query_scalar("SELECT version FROM autopack_schema")
                    .fetch_one(&self.reader)
                    .await?),
            }
        })
        .await
    }

    /// Returns the name and version of the database's program.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn engine(&self) -> Result<String, StoreError> {
        self.named(|| async move {
            match &self.reader {
                Pool::Sqlite(_) => {
                    let version: String =
                        query_scalar("SELECT sqlite_version()").fetch_one(&self.reader).await?;
                    Ok(format!("SQLite {version}"))
                }
                Pool::Postgres(..) => {
                    let version: String = query_scalar("SELECT current_setting('server_version')")
                        .fetch_one(&self.reader)
                        .await?;
                    // Distributions add their own version after a space.
                    Ok(format!("Postgres {}", version.split(' ').next().unwrap_or(&version)))
                }
            }
        })
        .await
    }
}
