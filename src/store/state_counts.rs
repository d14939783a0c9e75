//! Number of phases per state. A plain value; the counting happens elsewhere.

use serde::{Serialize, Serializer};

use crate::phase::PhaseState;

/// Number of phases per state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateCounts {
    /// Phases in state QUEUED.
    pub queued: u64,
    /// Phases in state EXECUTING.
    pub executing: u64,
    /// Phases in state COMPLETE.
    pub complete: u64,
    /// Phases in state FAILED.
    pub failed: u64,
    /// Phases in state SKIPPED.
    pub skipped: u64,
}

impl StateCounts {
    /// Returns the number of phases in a state.
    pub fn get(&self, state: PhaseState) -> u64 {
        match state {
            PhaseState::Queued => self.queued,
            PhaseState::Executing => self.executing,
            PhaseState::Complete => self.complete,
            PhaseState::Failed => self.failed,
            PhaseState::Skipped => self.skipped,
        }
    }

    /// Returns the number of all phases.
    pub fn total(&self) -> u64 {
        PhaseState::ALL.into_iter().map(|state| self.get(state)).sum()
    }

    /// Returns the number of phases in a final state.
    pub fn settled(&self) -> u64 {
        self.complete + self.failed + self.skipped
    }

    pub(super) fn set(&mut self, state: PhaseState, count: u64) {
        *match state {
            PhaseState::Queued => &mut self.queued,
            PhaseState::Executing => &mut self.executing,
            PhaseState::Complete => &mut self.complete,
            PhaseState::Failed => &mut self.failed,
            PhaseState::Skipped => &mut self.skipped,
        } = count;
    }
}

/// Serializes as an object with the state names as keys.
impl Serialize for StateCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(PhaseState::ALL.into_iter().map(|state| (state, self.get(state))))
    }
}
