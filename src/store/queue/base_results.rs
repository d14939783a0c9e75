//! CI results of a tree, kept to avoid repeating the CI run.

use crate::phase::{RunId, UnixMs};
use crate::store::backend::{query, query_scalar};

use crate::store::error::StoreError;
use crate::store::open::Store;

/// Number of results kept per run and command: enough for the last landings.
const KEPT: u32 = 32;

/// Everything the CI result depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BaseKey {
    /// Id of the git tree.
    pub tree: String,
    /// CI command.
    pub command: String,
    /// Setup of the checkout.
    pub setup: String,
    /// Environment variables visible to CI.
    pub environment: String,
}

impl Store {
    /// Returns the result stored for this key by this run or another run of the same repository.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn base_result(
        &self,
        run: &RunId,
        key: &BaseKey,
    ) -> Result<Option<String>, StoreError> {
        self.named(|| async move {
            Ok(query_scalar(
                "SELECT b.result FROM base_results b
                   JOIN runs r ON r.id = b.run
                   JOIN runs own ON own.run_id = ?
                  WHERE b.tree = ? AND b.command_key = ? AND b.setup_key = ? AND b.environment_key = ?
                    AND (r.id = own.id OR r.repo = own.repo)
                  ORDER BY b.created_at DESC LIMIT 1",
            )
            .bind(run.as_str())
            .bind(&key.tree)
            .bind(&key.command)
            .bind(&key.setup)
            .bind(&key.environment)
            .fetch_optional(&self.reader)
            .await?)
        })
        .await
    }

    /// Returns all results of the run at this tree, latest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn base_results_at(
        &self,
        run: &RunId,
        tree: &str,
    ) -> Result<Vec<String>, StoreError> {
        self.named(|| async move {
            Ok(query_scalar(
                "SELECT b.result FROM base_results b JOIN runs r ON r.id = b.run
                  WHERE r.run_id = ? AND b.tree = ? ORDER BY b.created_at DESC",
            )
            .bind(run.as_str())
            .bind(tree)
            .fetch_all(&self.reader)
            .await?)
        })
        .await
    }

    /// Stores a result, replacing an earlier result for the same key, and deletes the command's oldest results.
    ///
    /// # Errors
    /// The run is unknown, or the database cannot be written.
    pub async fn put_base_result(
        &self,
        run: &RunId,
        key: &BaseKey,
        result: &str,
        now: UnixMs,
    ) -> Result<(), StoreError> {
        self.named(|| async move {
            let mut tx = self.begin().await?;
            let run = self.run_row(&mut tx, run).await?;
            query(
                "INSERT INTO base_results
                        (run, tree, command_key, setup_key, environment_key, result, created_at)
                 VALUES (?, ?, ?, ?, ?, ?, ?)
                 ON CONFLICT (run, tree, command_key, setup_key, environment_key)
                 DO UPDATE SET result = excluded.result, created_at = excluded.created_at",
            )
            .bind(run)
            .bind(&key.tree)
            .bind(&key.command)
            .bind(&key.setup)
            .bind(&key.environment)
            .bind(result)
            .bind(now.0)
            .execute(&mut *tx)
            .await?;
            query(
                "DELETE FROM base_results
                  WHERE run = ? AND command_key = ? AND created_at <
                        (SELECT created_at FROM base_results WHERE run = ? AND command_key = ?
                          ORDER BY created_at DESC LIMIT 1 OFFSET ?)",
            )
            .bind(run)
            .bind(&key.command)
            .bind(run)
            .bind(&key.command)
            .bind(KEPT - 1)
            .execute(&mut *tx)
            .await?;
            Ok(tx.commit().await?)
        })
        .await
    }
}
