//! The drain's side of the memory: what is planned goes in at its start; between batches it may move to Qdrant.

use super::Drain;
use crate::execute::{Site, Trouble, plan, topic_of};
use crate::memory::Entry;
use crate::phase::{PhaseState, RunId};
use crate::store::PhaseRow;

impl Drain<'_> {
    /// Between two batches: what serves may have changed, and whoever looks at the run wants to know.
    pub(super) async fn tend_memory(&mut self) -> Result<(), Trouble> {
        if let Some(line) = self.site.memory.at_batch().await {
            self.site.progress.note(&line);
        }
        let backend = self.site.memory.backend();
        if self.memory_noted != Some(backend) {
            self.site.store.note_memory_backend(&self.request.runs, backend.as_str()).await?;
            self.memory_noted = Some(backend);
        }
        Ok(())
    }
}

/// What the queued phases of these runs are going to do, for those that run before them.
pub(super) async fn remember_plans(site: &Site, runs: &[RunId]) -> Result<(), Trouble> {
    if !site.memory.is_on() {
        return Ok(());
    }
    for run in runs {
        let queued = site.store.phases(run, Some(PhaseState::Queued)).await?;
        site.memory.remember_all(queued.iter().map(entry).collect()).await;
    }
    Ok(())
}

/// Repaired specs have their fields where they belong; of others there is the name.
fn entry(row: &PhaseRow) -> Entry {
    let spec = &row.spec.0;
    let description = spec["description"].as_str().unwrap_or_default();
    let deliverables = spec["deliverables"].as_array().into_iter().flatten();
    let paths: Vec<&str> = deliverables.filter_map(|path| path.as_str()).collect();
    plan(&row.run_id, &row.phase_id, topic_of(&row.name, description, &paths))
}
