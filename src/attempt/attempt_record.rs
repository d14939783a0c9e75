//! What becomes known of an attempt on its way, whatever its verdict.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::After;
use super::steps::memory_step::Lesson;
use crate::ci::TestResults;
use crate::phase::Usage;
use crate::phase::budget::Spent;
use crate::store::BaseKey;

/// What becomes known on the way, whatever the verdict.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub usage: Usage,
    /// What its output was expected to be, once it reached an agent.
    pub estimated_output: Option<u64>,
    pub session: Option<String>,
    pub after: After,
    pub agent_ms: Option<u64>,
    pub ci: Duration,
    pub ci_runs: u32,
    /// What the last green runs of CI said, by the plan's key.
    pub green: Vec<(String, TestResults)>,
    /// Tests that went with the attempt, since their files are its deliverables.
    pub replaced: Option<String>,
    /// The same, of the tree that landed: the base of whoever comes next.
    pub landed: Vec<(BaseKey, Arc<TestResults>)>,
    /// The patch of the work, where there is any.
    pub kept: Option<PathBuf>,
    /// From here on the branch may have been moved to it.
    pub landing: Option<String>,
    /// Paths that the attempt changed and may not change.
    pub breached: BTreeSet<String>,
    pub lesson: Lesson,
}

impl Record {
    /// For the budgets: what is unknown counts as the estimate.
    pub fn used(&self) -> Spent {
        let turned_away = matches!(self.after, After::Away { .. });
        let estimate = self.estimated_output.filter(|_| !turned_away);
        let tokens = self.usage.tokens.billed().or(estimate).unwrap_or_default();
        Spent {
            attempts: u64::from(self.estimated_output.is_some()),
            running: 0,
            tokens,
            cost_usd: self.usage.cost_usd.unwrap_or_default(),
            wall: Duration::ZERO,
        }
    }
}
