//! Ids of runs and phases for shell completion: read at once, without creating, migrating or waiting for anything.

use std::time::Duration;

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, ConnectOptions as _};

use crate::phase::{PhaseId, RunId};
use crate::store::backend::sqlite::read_only_options;
use crate::store::database_probe::{OwningApplication, find_owning_application, has_wal};
use crate::store::database_url::DatabaseUrl;
use crate::store::queries::id_lookup::RUNS_BY_USE;

/// Longest wait for another process.
const BUSY_TIMEOUT: Duration = Duration::from_millis(200);
/// Maximum number of ids of a kind.
const MOST: u32 = 1000;

/// A database, open for reading ids.
pub struct NameListing(SqliteConnection);

impl NameListing {
    /// Opens the database; `None` if there is none, or it cannot be read now.
    pub async fn open(url: &DatabaseUrl) -> Option<Self> {
        let path = url.file()?;
        if find_owning_application(path).await != OwningApplication::Autopack {
            return None;
        }
        let options = read_only_options(path, has_wal(path)).busy_timeout(BUSY_TIMEOUT);
        Some(Self(options.connect().await.ok()?))
    }

    /// Returns the ids of the runs, the one used last first.
    pub async fn runs(&mut self) -> Vec<RunId> {
        let sql = format!("{RUNS_BY_USE} LIMIT {MOST}");
        let ids: Result<Vec<String>, _> =
            sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut self.0).await;
        ids.unwrap_or_default().into_iter().map(RunId::new).collect()
    }

    /// Returns the ids of the phases of a run, in plan order.
    pub async fn phases(&mut self, run: &RunId) -> Vec<PhaseId> {
        let ids: Result<Vec<String>, _> = sqlx::query_scalar(
            "SELECT p.phase_id FROM phases p JOIN runs r ON r.id = p.run
              WHERE r.run_id = ? ORDER BY p.position LIMIT ?",
        )
        .bind(run.as_str())
        .bind(MOST)
        .fetch_all(&mut self.0)
        .await;
        ids.unwrap_or_default().into_iter().map(PhaseId::new).collect()
    }
}
