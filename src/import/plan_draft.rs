//! A plan as read, before dependencies are checked against each other and the store.

use crate::phase::RunId;
use crate::phase::plan::{ImportedSample, LeftOutItem, PlanPhase, SourceCounts, SourcePart};

use super::error::ImportError;
use super::source_place::SourcePosition;

/// A plan with unchecked dependencies.
#[derive(Debug, Default)]
pub struct PlanDraft {
    pub(super) runs: Vec<DraftRun>,
    /// Warnings for the author.
    pub warnings: Vec<String>,
    /// Whether dependencies that form a cycle are dropped instead of refused.
    pub(super) break_cycles: bool,
    /// Errors of single phases, reported together with errors of dependencies.
    pub(super) errors: Vec<ImportError>,
}

#[derive(Debug)]
pub(super) struct DraftRun {
    pub(super) run_id: RunId,
    pub(super) source: String,
    pub(super) origin: String,
    pub(super) phases: Vec<DraftPhase>,
    pub(super) samples: Vec<ImportedSample>,
    pub(super) counts: SourceCounts,
    pub(super) part: SourcePart,
    pub(super) left_out: Vec<LeftOutItem>,
    /// Whether the source has put away the whole run: its items are left out.
    pub(super) is_put_away: bool,
}

#[derive(Debug)]
pub(super) struct DraftPhase {
    pub(super) place: SourcePosition,
    /// Number of the phase in the source.
    pub(super) number: usize,
    /// The phase, with `depends_on` still empty.
    pub(super) phase: PlanPhase,
    /// Rank of an item of another tool; `None` in plans.
    pub(super) rank: Option<i64>,
}

impl PlanDraft {
    /// Returns the ids of the runs in the plan.
    pub fn run_ids(&self) -> impl Iterator<Item = &RunId> {
        self.runs.iter().map(|run| &run.run_id)
    }
}
