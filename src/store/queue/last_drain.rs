//! End of a run's last drain, and the last look at a run: written for the next look.

use serde::{Deserialize, Serialize};

use crate::phase::budget::Budgets;
use crate::phase::{FailureKind, PhaseId, RunId, UnixMs};
use crate::store::backend::query;
use crate::store::columns::to_json;
use crate::store::error::StoreError;
use crate::store::open::Store;

/// End of a drain.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LastDrain {
    /// Stop reason, as in the JSON events.
    pub reason: String,
    /// Stop reason in words, if the name alone does not tell.
    pub message: Option<String>,
    /// Exit code of the drain.
    pub exit_code: u8,
    /// Time of the end.
    pub ended_at: UnixMs,
    /// Duration of the drain in milliseconds.
    pub duration_ms: u64,
    /// Tokens used by the drain, over all its runs; estimated where unknown.
    pub tokens: u64,
    /// Known cost of the drain in US dollars, over all its runs.
    pub cost_usd: f64,
    /// The budget that ended the drain, if the next drain would end in the same way.
    pub budget: Option<BudgetStop>,
    /// Whether the final test found no CI.
    pub has_no_ci: bool,
    /// Failure of several phases that ended this drain, or an earlier one if nothing has landed since.
    pub common_failure: Option<CommonFailure>,
}

/// Failure of several phases that ended a drain: its cause is none of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommonFailure {
    /// Kind of the failures; `None` if the cause is not known, as after a sample.
    pub kind: Option<FailureKind>,
    /// The phases, in the order of their ends.
    pub phases: Vec<PhaseId>,
    /// Cause and remedy, for people.
    pub message: String,
}

impl CommonFailure {
    /// Whether one of these phases with this failure failed for the common cause.
    pub fn explains(&self, kind: Option<FailureKind>, phases: &[PhaseId]) -> bool {
        self.kind.is_some() && self.kind == kind && phases.iter().any(|id| self.phases.contains(id))
    }
}

/// An exhausted budget that stops every drain until it is raised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BudgetStop {
    /// Key of the reached limit in the configuration.
    pub key: String,
    /// Budgets of that drain; with others, the next drain may go on.
    pub budgets: Budgets,
}

impl Store {
    /// Records the end of a drain of this run.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn record_drain_end(&self, run: &RunId, end: &LastDrain) -> Result<(), StoreError> {
        self.named(|| async move {
            query("UPDATE runs SET last_drain = ?1 WHERE run_id = ?2")
                .bind(to_json(end))
                .bind(run.as_str())
                .execute(&self.writer)
                .await?;
            Ok(())
        })
        .await
    }

    /// Records that a person has seen these runs as of `at`. Waits for neither locks nor the disk: a lost look
    /// only means that the next look lists the same landings again.
    ///
    /// # Errors
    /// The database is busy, full or cannot be written.
    pub async fn record_look(&self, runs: &[RunId], at: UnixMs) -> Result<(), StoreError> {
        self.named(|| async move {
            query(
                "UPDATE runs SET looked_at = ?1
                  WHERE run_id IN (SELECT value FROM json_each(?2))",
            )
            .bind(at.0)
            .bind(to_json(&runs))
            .execute(&self.notes)
            .await?;
            Ok(())
        })
        .await
    }
}
