//! Runs the auto-fixer over all queued phases, in batches to support any number of phases.
//!
//! While a batch is repaired, the next batch is read and the previous batch is written, each in a task of its own.

mod repair_batch;
mod repair_change;

use std::sync::Arc;

use serde_json::Value;
use tokio::task::JoinSet;

use crate::phase::{PhaseId, RunId};
use crate::store::backend::query_as;

use crate::store::Fixer;
use crate::store::backend::sqlite::ROW_BUFFER;
use crate::store::error::StoreError;
use crate::store::open::Store;

use repair_batch::{Batch, QueuedPhase};
use repair_change::Change;

pub(in crate::store) use repair_change::save_repair;

/// Number of phases read, repaired and written at a time; bounds memory, and how long others wait for the writer.
/// Equals the read-ahead of a reader, so reading never waits for repairs.
const BATCH: usize = ROW_BUFFER;
/// Rows per UPDATE: single statements would cost more than the update itself.
const ROWS: usize = 128;

/// A phase changed or found unfixable by the auto-fixer.
#[derive(Clone, Debug, PartialEq)]
pub struct RepairedPhase {
    /// Run of the phase.
    pub run_id: RunId,
    /// Id of the phase.
    pub phase_id: PhaseId,
    /// Spec before the repair.
    pub before: Value,
    /// Spec after the repair.
    pub after: Arc<Value>,
    /// Repairs of what the author wrote.
    pub fixes: Vec<String>,
    /// Values that the author left to their defaults, filled in.
    pub defaults: Vec<String>,
    /// Reason why the spec cannot be executed.
    pub unfixable: Option<String>,
    /// Whether a scope is proposed before the phase runs.
    pub needs_scope: bool,
}

/// Number of phases handled by a repair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RepairCounts {
    /// Phases examined.
    pub examined: u64,
    /// Phases with repairs; filled in defaults do not count.
    pub changed: u64,
    /// Phases found unfixable.
    pub unfixable: u64,
    /// Phases whose scope has to be proposed first.
    pub needs_scope: u64,
}

/// Observer of repairs, and the counts reported so far.
struct RepairProgress<'a> {
    on: &'a mut (dyn FnMut(RepairedPhase) + Send),
    counts: RepairCounts,
    dry_run: bool,
}

impl RepairCounts {
    /// Adds the counts of another repair.
    pub fn add(&mut self, more: Self) {
        self.examined += more.examined;
        self.changed += more.changed;
        self.unfixable += more.unfixable;
        self.needs_scope += more.needs_scope;
    }
}

impl Store {
    /// Repairs the QUEUED phases of one run or all runs, and passes each changed or unfixable phase to `on`. A phase
    /// claimed meanwhile is left to the claim, which repairs the phase too. `dry_run` stores nothing.
    ///
    /// # Errors
    /// The run is unknown, a spec cannot be read, or the database cannot be written.
    pub async fn repair_queued(
        &self,
        run: Option<&RunId>,
        fix: &Fixer<'_>,
        dry_run: bool,
        on: &mut (dyn FnMut(RepairedPhase) + Send),
    ) -> Result<RepairCounts, StoreError> {
        let runs = self.named(|| self.runs_or_all(run)).await?;
        self.once(async {
            let mut progress = RepairProgress { on, counts: RepairCounts::default(), dry_run };
            for (row, run) in runs {
                let mut saving = None;
                let repaired = self.repair_run(row, &run, fix, &mut progress, &mut saving).await;
                // Also after an error in a later batch.
                if let Some(last) = saving {
                    last.end(&mut progress).await?;
                }
                repaired?;
            }
            Ok(progress.counts)
        })
        .await
    }

    /// Repairs one run; `saving` is the batch still being written at the end.
    async fn repair_run(
        &self,
        row: i64,
        run: &RunId,
        fix: &Fixer<'_>,
        progress: &mut RepairProgress<'_>,
        saving: &mut Option<PendingBatch>,
    ) -> Result<(), StoreError> {
        let mut rows = self.clone().queued_after(row, i64::MIN).await?;
        while let Some(last) = rows.last() {
            let reading = PrefetchTask::of(self.clone().queued_after(row, last.id));
            let batch = Batch::of(&rows, run, fix);
            if let Some(before) = saving.take() {
                before.end(progress).await?;
            }
            *saving = Some(PendingBatch::of(self, batch?, progress.dry_run));
            rows = reading.end().await?;
        }
        Ok(())
    }

    async fn runs_or_all(&self, run: Option<&RunId>) -> Result<Vec<(i64, RunId)>, StoreError> {
        if let Some(run) = run {
            let row = self.run_row(&mut *self.reader.acquire().await?, run).await?;
            return Ok(vec![(row, run.clone())]);
        }
        let all: Vec<(i64, String)> =
            query_as("SELECT id, run_id FROM runs ORDER BY id").fetch_all(&self.reader).await?;
        Ok(all.into_iter().map(|(row, name)| (row, RunId::new(name))).collect())
    }

    /// Returns the batch after a row; empty at the end.
    async fn queued_after(self, run: i64, after: i64) -> Result<Vec<QueuedPhase>, StoreError> {
        self.named(|| async {
            let rows = query_as(
                "SELECT id, phase_id, COALESCE(spec, raw_spec) AS spec, spec IS NOT NULL OR executions > 0 AS is_repaired,
                        spec_version, fixes, unfixable, last_failure
                   FROM phases WHERE run = ? AND state = 'QUEUED' AND id > ? ORDER BY id LIMIT ?",
            );
            Ok(rows.bind(run).bind(after).bind(BATCH as i64).fetch_all(&self.reader).await?)
        })
        .await
    }

    async fn save_repairs(self, changes: Vec<Change>) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        // A batch is one transaction, and repeated as a whole.
        self.named(|| async {
            let mut tx = self.begin().await?;
            for some in changes.chunks(ROWS) {
                repair_change::write(&mut tx, some).await?;
            }
            Ok(tx.commit().await?)
        })
        .await
    }
}

/// A task aborted when dropped.
struct PrefetchTask<T>(JoinSet<Result<T, StoreError>>);

impl<T: Send + 'static> PrefetchTask<T> {
    fn of(work: impl Future<Output = Result<T, StoreError>> + Send + 'static) -> Self {
        let mut tasks = JoinSet::new();
        tasks.spawn(work);
        Self(tasks)
    }

    async fn end(mut self) -> Result<T, StoreError> {
        match self.0.join_next().await {
            Some(Ok(result)) => result,
            Some(Err(join)) if join.is_panic() => std::panic::resume_unwind(join.into_panic()),
            // Only a runtime shutting down cancels a task, and such a runtime polls nothing any more.
            Some(Err(_)) | None => std::future::pending().await,
        }
    }
}

/// A batch being written to the database.
struct PendingBatch {
    writing: PrefetchTask<()>,
    counts: RepairCounts,
    repaired: Vec<RepairedPhase>,
}

impl PendingBatch {
    fn of(store: &Store, batch: Batch, dry_run: bool) -> Self {
        let Batch { counts, changes, repaired } = batch;
        let changes = if dry_run { Vec::new() } else { changes };
        Self { writing: PrefetchTask::of(store.clone().save_repairs(changes)), counts, repaired }
    }

    /// Waits for the write, then reports the phases; unwritten phases are not reported.
    async fn end(self, progress: &mut RepairProgress<'_>) -> Result<(), StoreError> {
        self.writing.end().await?;
        progress.counts.add(self.counts);
        self.repaired.into_iter().for_each(&mut *progress.on);
        Ok(())
    }
}
