//! Landed phases of a run, with commit and time.

use crate::phase::{PhaseId, RunId, UnixMs};
use crate::store::backend::query_as;
use crate::store::error::StoreError;
use crate::store::open::Store;

/// A COMPLETE phase whose change landed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landing {
    /// Id of the phase.
    pub phase_id: PhaseId,
    /// Landed commit.
    pub commit: String,
    /// End of the attempt.
    pub ended_at: UnixMs,
}

impl Store {
    /// Returns the landings of a run's COMPLETE phases, oldest first.
    ///
    /// # Errors
    /// The run is unknown, or the database cannot be read.
    pub async fn landings(&self, run: &RunId) -> Result<Vec<Landing>, StoreError> {
        self.named(|| async move {
            let mut connection = self.reader.acquire().await?;
            let run = self.run_row(&mut connection, run).await?;
            let rows: Vec<(String, String, i64)> = query_as(
                "SELECT p.phase_id, a.landing_commit, a.ended_at
                   FROM phases p JOIN attempts a ON a.phase = p.id AND a.attempt = p.executions
                  WHERE p.run = ? AND p.state = 'COMPLETE' AND a.outcome = 'landed'
                    AND a.landing_commit IS NOT NULL AND a.ended_at IS NOT NULL
                  ORDER BY a.ended_at, a.id",
            )
            .bind(run)
            .fetch_all(&mut *connection)
            .await?;
            Ok(rows
                .into_iter()
                .map(|(phase, commit, ended_at)| Landing {
                    phase_id: PhaseId::new(phase),
                    commit,
                    ended_at: UnixMs(ended_at),
                })
                .collect())
        })
        .await
    }
}
