//! Worker pool: running attempts of this drain, each a task with a slot of its own.
//!
//! Only the batch loop claims, counts and decides, so nothing here is shared.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::{Id, JoinSet};
use tracing::Instrument as _;

use crate::attempt::{AttemptError, AttemptResult, DrainContext, execute};
use crate::phase::budget::BudgetUsage;
use crate::store::Claim;

use super::phase_stops::AttemptStop;

#[derive(Default)]
pub(super) struct WorkerPool {
    attempts: JoinSet<AttemptResult>,
    /// Estimated output tokens of each attempt.
    expected: HashMap<Id, u64>,
}

impl WorkerPool {
    /// Starts an attempt as a task.
    pub fn start(
        &mut self,
        context: &Arc<DrainContext>,
        claim: Claim,
        drain_spent: BudgetUsage,
        stop: AttemptStop,
    ) {
        let expected = context.expected_output(&claim);
        let context = Arc::clone(context);
        let attempt = async move {
            let own = stop.watch();
            stop.during(execute(&context, claim, drain_spent, &own)).await
        };
        let id = self.attempts.spawn(attempt.in_current_span()).id();
        self.expected.insert(id, expected);
    }

    /// Returns the number of busy workers.
    pub fn len(&self) -> usize {
        self.attempts.len()
    }

    /// Returns whether no worker is busy.
    pub fn is_empty(&self) -> bool {
        self.attempts.is_empty()
    }

    /// Returns the usage of a drain plus the estimates for running attempts.
    pub fn with_estimates(&self, spent: BudgetUsage) -> BudgetUsage {
        spent.with_running(self.len() as u64, self.expected.values().sum())
    }

    /// Waits for the next attempt to finish; returns `None` if no worker is busy. Cancel safe.
    pub async fn next(&mut self) -> Option<AttemptResult> {
        let (id, result) = match self.attempts.join_next_with_id().await? {
            Ok(result) => result,
            // The phase stays EXECUTING, and the next drain handles the attempt as a crash.
            Err(error) => {
                let why = anyhow::anyhow!("an attempt broke off: {error}");
                (error.id(), AttemptResult::unfinished(AttemptError::Internal(why)))
            }
        };
        self.expected.remove(&id);
        Some(result)
    }
}
