//! Memory upkeep of a drain: stores the plans at the start, and moves to Qdrant between batches if needed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Drain;
use crate::attempt::{AttemptError, DrainContext, plan, topic_of};
use crate::memory::{Entry, EntryId, Memory};
use crate::phase::{PhaseState, RunId};
use crate::store::{PhaseRow, Store, StoreError};

impl Drain<'_> {
    /// Between two batches: checks for a changed backend and records the state for other commands.
    pub(super) async fn update_memory(&mut self) -> Result<(), AttemptError> {
        if let Some(line) = self.context.memory.at_batch().await {
            self.context.progress.note(&line);
        }
        let backend = self.context.memory.backend();
        if self.recorded_backend != Some(backend) {
            self.context.store.record_memory_backend(&self.request.runs, backend.as_str()).await?;
            self.recorded_backend = Some(backend);
        }
        Ok(())
    }
}

/// Time the first phase waits for the plans of the others. A backlog of thousands continues in the background.
const A_MOMENT: Duration = Duration::from_millis(200);
/// Entries between two checks whether the drain has ended.
const PART: usize = 256;

/// Task storing the plans in the memory.
pub(super) struct PlanWriter {
    writing: JoinHandle<()>,
    is_ending: Arc<AtomicBool>,
}

impl PlanWriter {
    /// Stores the plans of the queued phases of these runs, so that earlier phases can recall later ones.
    pub async fn remember(context: &DrainContext, runs: &[RunId]) -> Option<Self> {
        if !context.memory.is_on() {
            return None;
        }
        let is_ending = Arc::new(AtomicBool::new(false));
        let (store, memory, runs) = (context.store.clone(), context.memory.clone(), runs.to_vec());
        let stop_flag = Arc::clone(&is_ending);
        let mut writing = tokio::spawn(async move {
            for run in &runs {
                if let Err(error) = plan_run(&store, &memory, run, &stop_flag).await {
                    tracing::warn!("memory: cannot store the plans of {run}: {error}");
                }
            }
        });
        match timeout(A_MOMENT, &mut writing).await {
            Ok(_) => None,
            Err(_) => Some(Self { writing, is_ending }),
        }
    }

    /// Ends the task. The next drain stores the remaining plans.
    pub async fn end(self) {
        self.is_ending.store(true, Ordering::SeqCst);
        let _ = self.writing.await;
    }
}

async fn plan_run(
    store: &Store,
    memory: &Memory,
    run: &RunId,
    is_ending: &AtomicBool,
) -> Result<(), StoreError> {
    let queued = store.phases(run, Some(PhaseState::Queued)).await?;
    let mut planned = BTreeMap::new();
    for part in queued.chunks(PART) {
        if is_ending.load(Ordering::SeqCst) {
            break;
        }
        let plans: Vec<Entry> = part.iter().map(entry).collect();
        planned.extend(
            part.iter().map(|row| &row.phase_id).zip(plans.iter().map(|p| memory.id_of(p))),
        );
        memory.remember_all(plans).await;
    }
    // A phase complete by now may have removed its plan before the plan was stored.
    let passed = store.phases(run, Some(PhaseState::Complete)).await?;
    let stale: Vec<EntryId> =
        passed.iter().filter_map(|row| planned.remove(&row.phase_id).flatten()).collect();
    memory.forget(&stale).await;
    Ok(())
}

/// Builds the entry of a phase. Repaired specs have all fields in place; other specs contribute only the name.
fn entry(row: &PhaseRow) -> Entry {
    let spec = &row.spec.0;
    let description = spec["description"].as_str().unwrap_or_default();
    let deliverables = spec["deliverables"].as_array().into_iter().flatten();
    let paths: Vec<&str> = deliverables.filter_map(|path| path.as_str()).collect();
    plan(&row.run_id, &row.phase_id, topic_of(&row.name, description, &paths))
}
