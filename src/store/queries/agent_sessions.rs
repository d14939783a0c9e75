//! Sessions of agents, for a person who continues one.

use crate::phase::{PhaseId, RunId};
use crate::store::backend::query_as;
use crate::store::error::StoreError;
use crate::store::open::Store;

/// Session of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentSession {
    /// Name of the agent.
    pub agent: String,
    /// Id of its session, if it has one.
    pub session: Option<String>,
}

impl Store {
    /// Returns the agent that worked last on a phase, with its session.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn last_agent_session(
        &self,
        run: &RunId,
        phase: &PhaseId,
    ) -> Result<Option<AgentSession>, StoreError> {
        self.named(|| async move {
            let row: Option<(String, Option<String>)> = query_as(
                "SELECT a.agent, a.session FROM attempts a
                   JOIN phases p ON p.id = a.phase JOIN runs r ON r.id = p.run
                  WHERE r.run_id = ? AND p.phase_id = ? AND a.agent IS NOT NULL AND a.purpose IS NULL
                        AND NOT a.by_person
                  ORDER BY a.attempt DESC LIMIT 1",
            )
            .bind(run.as_str())
            .bind(phase.as_str())
            .fetch_optional(&self.reader)
            .await?;
            Ok(row.map(|(agent, session)| AgentSession { agent, session }))
        })
        .await
    }
}
