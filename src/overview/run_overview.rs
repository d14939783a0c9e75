//! A run with everything an overview shows, read from the store.

use super::failure_groups::{self, FailureGroup};
use super::waiting_groups::{WaitingGroup, fold_waiting};
use crate::phase::PhaseState;
use crate::phase::budget::{BudgetUsage, Budgets, Level};
use crate::store::{
    CleanOutcome, Landing, LastDrain, QueueMember, RunSummary, Store, StoreError, Waiting,
};

/// Overview of a run.
#[derive(Clone, Debug)]
pub struct RunOverview {
    /// Counts, usage and the clean test.
    pub summary: RunSummary,
    /// Whether a drain works on the run now.
    pub is_draining: bool,
    /// End of the last drain.
    pub end: Option<LastDrain>,
    /// Landings of the run's COMPLETE phases, oldest first.
    pub landings: Vec<Landing>,
    /// FAILED phases by reason, largest group first.
    pub failures: Vec<FailureGroup>,
    /// Waiting phases by reason, largest group first.
    pub waiting: Vec<WaitingGroup>,
    /// The merge queue, in the order of landing.
    pub merge_queue: Vec<QueueMember>,
    /// Result of the final test, in lines.
    pub final_test: Vec<String>,
    /// Budgets in the configuration.
    pub budgets: Budgets,
    /// Branch or ref to review; `None` without a landing, or if nothing of the branch is green in a clean clone.
    pub tip: Option<String>,
    /// Your branch, if it has everything that landed.
    pub merged_into: Option<String>,
}

/// Reads the overview of a run. `waiting`: its waiting phases. `budgets`: the budgets in the configuration.
///
/// # Errors
///
/// The database cannot be read.
pub async fn read_run(
    store: &Store,
    summary: RunSummary,
    waiting: &[Waiting],
    budgets: Budgets,
) -> Result<RunOverview, StoreError> {
    let run = &summary.run_id;
    let failures = match summary.counts.failed {
        0 => Vec::new(),
        _ => {
            let failed = store.phases(run, Some(PhaseState::Failed)).await?;
            let common = summary.last_drain.as_ref().and_then(|end| end.common_failure.as_ref());
            failure_groups::group_failures(&failed, &store.phase_usages(run).await?, common)
        }
    };
    let landings = match summary.counts.complete {
        0 => Vec::new(),
        _ => store.landings(run).await?,
    };
    Ok(RunOverview {
        tip: green_tip(&summary).filter(|_| !landings.is_empty()),
        end: summary.last_drain.clone(),
        is_draining: false,
        merged_into: None,
        merge_queue: store.merge_queue(run).await?,
        final_test: Vec::new(),
        landings,
        failures,
        waiting: fold_waiting(waiting),
        budgets,
        summary,
    })
}

/// Returns the branch of the run, or its last green commit if CI is red in a clean clone.
fn green_tip(run: &RunSummary) -> Option<String> {
    match &run.clean_test {
        Some(test) if test.outcome == CleanOutcome::RedInCleanClone && !run.is_untested => {
            test.last_green.clone()
        }
        _ => run.facts.as_ref().map(|facts| facts.branch.clone()),
    }
}

impl RunOverview {
    /// Returns the landings since the last look; all landings before the first look.
    pub fn new_landings(&self) -> &[Landing] {
        let seen = self.summary.looked_at.map_or(0, |at| {
            self.landings.iter().take_while(|landing| landing.ended_at <= at).count()
        });
        &self.landings[seen..]
    }

    /// Returns why the last drain stopped; `None` while a drain is running.
    pub fn stop_cause(&self) -> Option<&str> {
        let end = self.end.as_ref().filter(|_| !self.is_draining)?;
        // The advice names a spent budget that has to be raised.
        end.message.as_deref().filter(|_| self.budget_to_raise().is_none())
    }

    /// Returns the failure that ended an earlier drain, if it explains FAILED phases.
    pub fn earlier_cause(&self) -> Option<&str> {
        let last = self.summary.last_drain.as_ref()?;
        let failure = last.common_failure.as_ref()?;
        let is_explained = self.failures.iter().any(|group| group.has_common_cause);
        let is_earlier = last.message.as_deref() != Some(&failure.message);
        (is_explained && is_earlier).then_some(&failure.message)
    }

    /// Returns the key and the reason of a spent budget that would end the next drain at once.
    pub fn budget_to_raise(&self) -> Option<(String, String)> {
        if let Some(end) = &self.end
            && let Some(stop) = end.budget.as_ref().filter(|stop| stop.budgets == self.budgets)
        {
            return Some((stop.key.clone(), end.message.clone().unwrap_or_default()));
        }
        let spent = &self.summary.spent;
        let next = match spent.attempts {
            0 => BudgetUsage::default(),
            _ => spent.next_attempt(0),
        };
        let exhausted = self.budgets.run.refuses(Level::Run, spent, &next)?;
        Some((exhausted.key(), exhausted.why))
    }
}
