//! What a drain writes about a run as a whole: where it is executed, and what serves its memory.

use crate::phase::RunId;
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::queries::run_facts::RunFacts;

impl Store {
    /// Settles where the run is executed, unless that is settled. Returns what holds, for the caller to compare.
    pub async fn settle_run_facts(
        &self,
        run: &RunId,
        facts: &RunFacts,
    ) -> Result<RunFacts, StoreError> {
        self.named(async {
            let mut tx = self.begin().await?;
            sqlx::query(
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

    /// The run's repository was moved, from one identity to another. `false`: it is elsewhere by now, and stays there.
    pub async fn move_run(&self, run: &RunId, from: &str, to: &str) -> Result<bool, StoreError> {
        self.named(async {
            let moved = sqlx::query("UPDATE runs SET repo = ? WHERE run_id = ? AND repo = ?")
                .bind(to)
                .bind(run.as_str())
                .bind(from)
                .execute(&self.writer)
                .await?;
            Ok(moved.rows_affected() == 1)
        })
        .await
    }

    /// What serves the memory of a drain of these runs, for whoever looks at them.
    pub async fn note_memory_backend(
        &self,
        runs: &[RunId],
        backend: &str,
    ) -> Result<(), StoreError> {
        self.named(async {
            let mut tx = self.begin().await?;
            for run in runs {
                sqlx::query("UPDATE runs SET memory_backend = ? WHERE run_id = ?")
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
