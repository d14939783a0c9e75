//! Facts about a database for the operator.

use std::path::Path;

use crate::store::backend::{Pool, query_as, query_scalar};
use crate::store::error::StoreError;
use crate::store::migrations::SCHEMA_VERSION;
use crate::store::open::Store;

use super::in_flight::OwnerRow;

/// A database of any version of the schema.
#[derive(Clone, Debug)]
pub struct DatabaseFacts {
    /// Name and version of the database's program.
    pub engine: String,
    /// Version of the schema.
    pub schema_version: i64,
    /// Number of runs.
    pub runs: u64,
    /// Number of phases.
    pub phases: u64,
    /// Number of attempts.
    pub attempts: u64,
    /// Size on disk.
    pub bytes: u64,
    /// Registered drains; none are read from another version of the schema.
    pub owners: Vec<OwnerRow>,
    /// Connections of this user to a server, except the connection of this query.
    pub connections: Vec<Connections>,
}

/// Connections of a machine to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connections {
    /// Address of the machine; `None` for the server's own socket.
    pub address: Option<String>,
    /// Number of connections.
    pub count: u64,
}

impl Store {
    /// Reads the facts about the database. Also works for databases opened without migration.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn database_facts(&self) -> Result<DatabaseFacts, StoreError> {
        // First, while this process has a single connection.
        let connections = self.connections().await?;
        let schema_version = self.schema_version().await?;
        let count = |sql: &'static str| {
            self.named(move || async move {
                let rows: i64 = query_scalar(sql).fetch_one(&self.reader).await?;
                Ok(rows.unsigned_abs())
            })
        };
        Ok(DatabaseFacts {
            engine: self.engine().await?,
            schema_version,
            runs: count("SELECT COUNT(*) FROM runs").await?,
            phases: count("SELECT COUNT(*) FROM phases").await?,
            attempts: count("SELECT COUNT(*) FROM attempts").await?,
            bytes: self.database_bytes().await?,
            owners: match schema_version == SCHEMA_VERSION {
                true => self.owners().await?,
                false => Vec::new(),
            },
            connections,
        })
    }

    /// Returns the size on disk.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn database_bytes(&self) -> Result<u64, StoreError> {
        if let Some(path) = self.file() {
            return Ok(size_of(path));
        }
        self.named(|| async move {
            let bytes: i64 = query_scalar(
                "SELECT COALESCE(SUM(pg_total_relation_size(c.oid)), 0)::bigint
                   FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = 'autopack' AND c.relkind = 'r'",
            )
            .fetch_one(&self.reader)
            .await?;
            Ok(bytes.unsigned_abs())
        })
        .await
    }

    async fn connections(&self) -> Result<Vec<Connections>, StoreError> {
        if matches!(self.reader, Pool::Sqlite(_)) {
            return Ok(Vec::new());
        }
        self.named(|| async move {
            let rows: Vec<(Option<String>, i64)> = query_as(
                "SELECT host(client_addr), COUNT(*) FROM pg_stat_activity
                  WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
                  GROUP BY client_addr ORDER BY client_addr",
            )
            .fetch_all(&self.reader)
            .await?;
            let connections = |(address, count): (Option<String>, i64)| Connections {
                address,
                count: count.unsigned_abs(),
            };
            Ok(rows.into_iter().map(connections).collect())
        })
        .await
    }
}

/// Size of the file and of the part not yet written back into the file.
fn size_of(path: &Path) -> u64 {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    [path, Path::new(&log)]
        .iter()
        .filter_map(|path| std::fs::metadata(path).ok())
        .map(|file| file.len())
        .sum()
}
