//! Writes of a drain about a run as a whole: its repository, branch and base, and the backend of its memory.

use crate::phase::RunId;
use crate::store::backend::query;
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::queries::run_facts::RunFacts;

impl Store {
    /// Stores the repository, branch and base of a run without them. Returns the stored values, for the caller to compare.
    ///
    /// # Errors
    ///
    /// Fails when the database cannot be read or written.
    pub async fn record_run_facts(
        &self,
        run: &RunId,
        facts: &RunFacts,
    ) -> Result<RunFacts, StoreError> {
        self.named(|| async move {
            let mut tx = self.begin().await?;
            query(
                "UPDATE runs SET repo = ?, branch = ?, base_commit = ? WHERE run_id = ? AND repo IS NULL",
            )
            .bind(&facts.repo)
            .bind(&facts.branch)
            .bind(&facts.base_commit)
            .bind(run.as_str())
            .execute(&mut *tx)
            .await?;
            let settled = self.facts_of(&mut tx, run).await?;
            tx.commit().await?;
            Ok(settled.unwrap_or_else(|| facts.clone()))
        })
        .await
    }

    /// Records that the run's repository moved from one identity to another. Returns `false`, and changes nothing, if the
    /// run belongs to a third repository by now.
    ///
    /// # Errors
    ///
    /// Fails when the database cannot be read or written.
    pub async fn move_run(&self, run: &RunId, from: &str, to: &str) -> Result<bool, StoreError> {
        self.named(|| async move {
            let moved = query("UPDATE runs SET repo = ? WHERE run_id = ? AND repo = ?")
                .bind(to)
                .bind(run.as_str())
                .bind(from)
                .execute(&self.writer)
                .await?;
            Ok(moved.rows_affected() == 1)
        })
        .await
    }

    /// Records the backend of the memory of a drain of these runs, for `status`.
    ///
    /// # Errors
    ///
    /// Fails when the database cannot be read or written.
    pub async fn record_memory_backend(
        &self,
        runs: &[RunId],
        backend: &str,
    ) -> Result<(), StoreError> {
        self.named(|| async move {
            let mut tx = self.begin().await?;
            for run in runs {
                query("UPDATE runs SET memory_backend = ? WHERE run_id = ?")
                    .bind(backend)
                    .bind(run.as_str())
                    .execute(&mut *tx)
                    .await?;
            }
            Ok(tx.commit().await?)
        })
        .await
    }
}
