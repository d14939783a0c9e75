//! What an import changed.

use crate::phase::{PhaseId, PhaseState};

use super::source_removals::RemovedPhase;

/// Result of an import, in phases except for `runs` and `samples`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// New runs.
    pub runs: u64,
    /// New phases.
    pub added: u64,
    /// Phases with a replaced spec.
    pub updated: u64,
    /// Phases present with the same spec.
    pub unchanged: u64,
    /// Phases present with another spec; `--update` replaces the spec.
    pub differing: u64,
    /// Phases present with another spec, in state COMPLETE or EXECUTING and therefore never replaced.
    pub kept: u64,
    /// New telemetry samples.
    pub samples: u64,
    /// Added and updated phases that are done in the plan's source, and therefore COMPLETE.
    pub done: u64,
    /// Added and updated phases that were given up in the plan's source, and therefore SKIPPED.
    pub skipped: u64,
    /// Executing phases that were done or given up in the plan's source: their attempts end uncounted, then they are
    /// settled.
    pub stopped: u64,
    /// Phases settled by an earlier import from the same source, which is open there again: QUEUED, or
    /// EXECUTING and no longer settled after the attempt.
    pub reopened: u64,
    /// Phases that the source no longer has, left as they are.
    pub removed: Vec<RemovedPhase>,
    /// Phases that the source no longer has, SKIPPED by this import.
    pub pruned: Vec<PhaseId>,
}

impl ImportReport {
    pub(super) fn count_settled(&mut self, state: PhaseState) {
        match state {
            PhaseState::Complete => self.done += 1,
            _ => self.skipped += 1,
        }
    }
}
