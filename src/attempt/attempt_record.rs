//! Facts collected during an attempt, independent of the verdict.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::NextStep;
use crate::ci::TestResults;
use crate::phase::budget::BudgetUsage;
use crate::phase::scope_request::DecidedPath;
use crate::phase::{Usage, Verdict};
use crate::store::BaseKey;
use crate::workspace::MeasuredChange;

/// Facts collected during an attempt, independent of the verdict.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Tokens and cost reported by the agent.
    pub usage: Usage,
    /// Expected output tokens, set before the agent starts.
    pub estimated_output: Option<u64>,
    /// Session of the agent, for a later attempt.
    pub session: Option<String>,
    /// Consequence for the drain.
    pub next: NextStep,
    /// Run time of the agent, in milliseconds.
    pub agent_ms: Option<u64>,
    /// Total time of CI.
    pub ci: Duration,
    /// Number of CI runs.
    pub ci_runs: u32,
    /// Results of the last green CI runs, by key of the plan.
    pub green: Vec<(String, TestResults)>,
    /// Note on tests replaced by the attempt because the test files are deliverables.
    pub replaced: Option<String>,
    /// Test results for the landed tree, used as the base of later attempts.
    pub landed: Vec<(BaseKey, Arc<TestResults>)>,
    /// Path of the patch, if any work was kept.
    pub kept: Option<PathBuf>,
    /// Commit to land; once set, the branch may have moved to this commit.
    pub landing: Option<String>,
    /// Forbidden paths changed by the attempt: outside the scope, or protected.
    pub breached: BTreeSet<String>,
    /// The same paths, if only the scope forbids them.
    pub out_of_scope: Option<BTreeSet<String>>,
    /// Files that the agent asked for.
    pub requests: Vec<DecidedPath>,
    /// Why the agent's request cannot be used.
    pub request_error: Option<String>,
    /// Facts for the memory.
    pub lesson: Lesson,
}

impl Record {
    /// Returns the usage for budgets; the estimate replaces unknown values.
    pub fn used(&self) -> BudgetUsage {
        let is_rate_limited = matches!(self.next, NextStep::DeferAgent { .. });
        let estimate = self.estimated_output.filter(|_| !is_rate_limited);
        let tokens = self.usage.tokens.billed().or(estimate).unwrap_or_default();
        BudgetUsage {
            attempts: u64::from(self.estimated_output.is_some()),
            running: 0,
            tokens,
            cost_usd: self.usage.cost_usd.unwrap_or_default(),
            wall: Duration::ZERO,
        }
    }
}

/// Facts learned from an attempt, besides the verdict.
#[derive(Debug, Default)]
pub(crate) struct Lesson {
    /// Changed paths.
    pub changed: Vec<String>,
    /// Whether CI is configured.
    pub has_ci: bool,
    /// Difference from the failed attempt, for a retry with a passed verdict.
    pub fix: Option<String>,
}

/// Verdict on the work in a slot.
pub(crate) struct Judged {
    pub verdict: Verdict,
    /// `None` if the work cannot be measured.
    pub measured: Option<MeasuredChange>,
    /// Whether the work contains a secret.
    pub is_secret: bool,
}
