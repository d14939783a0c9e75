//! What CI said at a commit, kept so that it need not be run there again.

use crate::phase::{RunId, UnixMs};

use super::error::StoreError;
use super::open::Store;

impl Store {
    /// What was kept for this commit and this way of running CI.
    pub async fn baseline(
        &self,
        run: &RunId,
        commit: &str,
        command_key: &str,
    ) -> Result<Option<String>, StoreError> {
        self.named(async {
            Ok(sqlx::query_scalar(
                "SELECT b.result FROM baselines b JOIN runs r ON r.id = b.run
                  WHERE r.run_id = ? AND b.commit_id = ? AND b.command_key = ?",
            )
            .bind(run.as_str())
            .bind(commit)
            .bind(command_key)
            .fetch_optional(&self.reader)
            .await?)
        })
        .await
    }

    /// Keeps a result; a later one for the same commit replaces it.
    pub async fn put_baseline(
        &self,
        run: &RunId,
        commit: &str,
        command_key: &str,
        result: &str,
        now: UnixMs,
    ) -> Result<(), StoreError> {
        self.named(async {
            let mut tx = self.begin().await?;
            let run = self.run_row(&mut tx, run).await?;
            sqlx::query(
                "INSERT INTO baselines (run, commit_id, command_key, result, created_at) VALUES (?, ?, ?, ?, ?)
                 ON CONFLICT (run, commit_id, command_key)
                 DO UPDATE SET result = excluded.result, created_at = excluded.created_at",
            )
            .bind(run)
            .bind(commit)
            .bind(command_key)
            .bind(result)
            .bind(now.0)
            .execute(&mut *tx)
            .await?;
            Ok(tx.commit().await?)
        })
        .await
    }
}
