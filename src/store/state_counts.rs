//! How many phases of a run are in each state, as a value of its own. It counts nothing itself.

use serde::{Serialize, Serializer};

use crate::phase::PhaseState;

/// How many phases are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub queued: u64,
    pub executing: u64,
    pub complete: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl Counts {
    pub fn get(&self, state: PhaseState) -> u64 {
        match state {
            PhaseState::Queued => self.queued,
            PhaseState::Executing => self.executing,
            PhaseState::Complete => self.complete,
            PhaseState::Failed => self.failed,
            PhaseState::Skipped => self.skipped,
        }
    }

    pub fn total(&self) -> u64 {
        PhaseState::ALL.into_iter().map(|state| self.get(state)).sum()
    }

    /// Those that are over.
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

/// An object, each state by its name.
impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(PhaseState::ALL.into_iter().map(|state| (state, self.get(state))))
    }
}
