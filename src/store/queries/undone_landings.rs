//! Landings that `autopack undo` took back.

use sqlx::FromRow;

use crate::phase::RunId;
use crate::store::backend::query_as;
use crate::store::error::StoreError;
use crate::store::open::Store;

/// A landing that an undo took back.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct TakenBackLanding {
    /// Id of the phase.
    pub phase_id: String,
    /// Commit that had landed.
    pub landing_commit: String,
    /// Commit of the revert.
    pub reverted_by: String,
}

impl Store {
    /// Returns the landings of a run that were taken back, in plan order.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn taken_back_landings(
        &self,
        run: &RunId,
    ) -> Result<Vec<TakenBackLanding>, StoreError> {
        self.named(|| async move {
            Ok(query_as(
                "SELECT p.phase_id, a.landing_commit, u.reverted_by
                   FROM phases p
                   JOIN undone_attempts u ON u.phase = p.id
                   JOIN attempts a ON a.phase = p.id AND a.attempt = u.attempt
                  WHERE p.run = (SELECT id FROM runs WHERE run_id = ?)
                    AND a.outcome = 'landed' AND a.landing_commit IS NOT NULL
                  ORDER BY p.position, a.attempt",
            )
            .bind(run.as_str())
            .fetch_all(&self.reader)
            .await?)
        })
        .await
    }
}
