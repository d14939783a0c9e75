//! Items put away in a source: deleted, archived, or no work. They are no phases. An update settles the phases created
//! from them by an earlier import.

use crate::phase::plan::LeftOutItem;
use crate::phase::{PhaseId, PhaseState, RunId};

use super::drafting::PlanDraftBuilder;

impl PlanDraftBuilder {
    /// Leaves out an item abandoned in the source, and counts the item under the source's word. An update skips the
    /// phase of the item.
    pub(super) fn leave_out(&mut self, run_id: Option<&str>, id: &str, word: &str) {
        let run = self.run_of(run_id);
        self.count_left_out(&run, word);
        let note = format!("{word:?} in {}: skipped", self.short_source());
        self.settle(&run, PhaseId::new(id), PhaseState::Skipped, note);
    }

    /// Counts something left out of the plan.
    pub(super) fn count_left_out(&mut self, run: &RunId, word: &str) {
        *self.run_mut(run).counts.dropped.entry(word.to_owned()).or_default() += 1;
    }

    /// Reads a finished part of the source that was put away. An update completes the phases of the items. Nothing is
    /// read if the run is in use again.
    pub(super) fn put_away(&mut self, run: &RunId, read: impl FnOnce(&mut Self)) {
        if !self.has_run(run) {
            self.run_mut(run).is_put_away = true;
            self.quietly(read);
        }
    }

    /// Leaves out an item of a run that was put away.
    pub(super) fn settle_put_away(&mut self, run: &RunId, phase: PhaseId) {
        let note = format!("archived in {}", self.short_source());
        self.settle(run, phase, PhaseState::Complete, note);
    }

    fn settle(&mut self, run: &RunId, phase_id: PhaseId, state: PhaseState, note: String) {
        self.run_mut(run).left_out.push(LeftOutItem { phase_id, state, note });
    }
}
