//! The auto-fixer over all queued phases, in batches, however many there are.
//!
//! While one batch is repaired, the one after it is read and the one before it is written, each by a task of its own.

mod repair_batch;
mod repair_change;

use std::sync::Arc;

use serde_json::Value;
use tokio::task::JoinSet;

use crate::phase::{PhaseId, RunId};

use crate::store::Fixer;
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::sqlite::ROW_BUFFER;

use repair_batch::{Batch, Queued};
use repair_change::Change;

pub(in crate::store) use repair_change::save_repair;

/// Phases read, repaired and written at a time: bounds memory, and how long others wait for the writer. As many as a
/// reader holds ready, so that it never waits for whoever repairs them.
const BATCH: usize = ROW_BUFFER;
/// Rows of one UPDATE: a statement for each would cost more than what it does.
const ROWS: usize = 128;

/// A phase that the auto-fixer had something to say about.
#[derive(Clone, Debug, PartialEq)]
pub struct Repaired {
    pub run_id: RunId,
    pub phase_id: PhaseId,
    pub before: Value,
    pub after: Arc<Value>,
    pub fixes: Vec<String>,
    pub unfixable: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RepairCounts {
    pub examined: u64,
    pub changed: u64,
    pub unfixable: u64,
}

/// Whom to tell, and what was told so far.
struct Told<'a> {
    on: &'a mut (dyn FnMut(Repaired) + Send),
    counts: RepairCounts,
    dry_run: bool,
}

impl RepairCounts {
    fn add(&mut self, more: Self) {
        self.examined += more.examined;
        self.changed += more.changed;
        self.unfixable += more.unfixable;
    }
}

impl Store {
    /// Repairs what is QUEUED, of one run or of all, and hands each phase that changed or is unfixable to `on`.
    /// A phase that is claimed meanwhile is left to its claim, which repairs it too. `dry_run` only looks.
    pub async fn repair_queued(
        &self,
        run: Option<&RunId>,
        fix: &Fixer<'_>,
        dry_run: bool,
        on: &mut (dyn FnMut(Repaired) + Send),
    ) -> Result<RepairCounts, StoreError> {
        self.named(async {
            let mut told = Told { on, counts: RepairCounts::default(), dry_run };
            for (row, run) in self.runs_or_all(run).await? {
                let mut saving = None;
                let repaired = self.repair_run(row, &run, fix, &mut told, &mut saving).await;
                // Also where something went wrong after it.
                if let Some(last) = saving {
                    last.end(&mut told).await?;
                }
                repaired?;
            }
            Ok(told.counts)
        })
        .await
    }

    /// `saving` is the batch that is being written when this ends.
    async fn repair_run(
        &self,
        row: i64,
        run: &RunId,
        fix: &Fixer<'_>,
        told: &mut Told<'_>,
        saving: &mut Option<Saving>,
    ) -> Result<(), StoreError> {
        let mut rows = self.clone().queued_after(row, i64::MIN).await?;
        while let Some(last) = rows.last() {
            let reading = Ahead::of(self.clone().queued_after(row, last.id));
            let batch = Batch::of(&rows, run, fix);
            if let Some(before) = saving.take() {
                before.end(told).await?;
            }
            *saving = Some(Saving::of(self, batch?, told.dry_run));
            rows = reading.end().await?;
        }
        Ok(())
    }

    async fn runs_or_all(&self, run: Option<&RunId>) -> Result<Vec<(i64, RunId)>, StoreError> {
        if let Some(run) = run {
            let row = self.run_row(&mut *self.reader.acquire().await?, run).await?;
            return Ok(vec![(row, run.clone())]);
        }
        let all: Vec<(i64, String)> = sqlx::query_as("SELECT id, run_id FROM runs ORDER BY id")
            .fetch_all(&self.reader)
            .await?;
        Ok(all.into_iter().map(|(row, name)| (row, RunId::new(name))).collect())
    }

    /// The batch behind a row; empty at the end.
    async fn queued_after(self, run: i64, after: i64) -> Result<Vec<Queued>, StoreError> {
        let rows = sqlx::query_as(
            "SELECT id, phase_id, COALESCE(spec, raw_spec) AS spec, spec_version, fixes, unfixable, last_failure
               FROM phases WHERE run = ? AND state = 'QUEUED' AND id > ? ORDER BY id LIMIT ?",
        );
        Ok(rows.bind(run).bind(after).bind(BATCH as i64).fetch_all(&self.reader).await?)
    }

    async fn save_repairs(self, changes: Vec<Change>) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        for some in changes.chunks(ROWS) {
            repair_change::write(&mut tx, some).await?;
        }
        Ok(tx.commit().await?)
    }
}

/// A task that ends with whoever waits for it.
struct Ahead<T>(JoinSet<Result<T, StoreError>>);

impl<T: Send + 'static> Ahead<T> {
    fn of(work: impl Future<Output = Result<T, StoreError>> + Send + 'static) -> Self {
        let mut tasks = JoinSet::new();
        tasks.spawn(work);
        Self(tasks)
    }

    async fn end(mut self) -> Result<T, StoreError> {
        match self.0.join_next().await {
            Some(Ok(result)) => result,
            Some(Err(join)) if join.is_panic() => std::panic::resume_unwind(join.into_panic()),
            // Only a runtime that is shutting down ends a task of its own accord, and that polls nobody any more.
            Some(Err(_)) | None => std::future::pending().await,
        }
    }
}

/// A batch on its way into the database.
struct Saving {
    writing: Ahead<()>,
    counts: RepairCounts,
    repaired: Vec<Repaired>,
}

impl Saving {
    fn of(store: &Store, batch: Batch, dry_run: bool) -> Self {
        let Batch { counts, changes, repaired } = batch;
        let changes = if dry_run { Vec::new() } else { changes };
        Self { writing: Ahead::of(store.clone().save_repairs(changes)), counts, repaired }
    }

    /// What was not written is handed to nobody.
    async fn end(self, told: &mut Told<'_>) -> Result<(), StoreError> {
        self.writing.end().await?;
        told.counts.add(self.counts);
        self.repaired.into_iter().for_each(&mut *told.on);
        Ok(())
    }
}
