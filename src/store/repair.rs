//! The auto-fixer over all queued phases, in batches, however many there are.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use serde_json::Value;
use sqlx::{FromRow, QueryBuilder, Sqlite, SqliteConnection};

use crate::phase::{Failure, Footprint, PhaseId, RawSpec, Repair, RunId};

use super::Fixer;
use super::error::StoreError;
use super::open::Store;
use super::rows::{PhaseRecord, json, to_json};
use super::sqlite::ROW_BUFFER;

/// Phases read, repaired and written at a time: bounds memory, and how long others wait for the writer. As many as a
/// reader holds ready, so that it never waits for whoever repairs them.
const BATCH: usize = ROW_BUFFER;
/// Rows of one UPDATE: a statement for each would cost more than what it does.
const ROWS: usize = 128;
/// Repaired in a row, before the writer of the batch before is looked after.
const IN_A_ROW: usize = 32;

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

/// Of a queued phase, what its repair is made from.
#[derive(FromRow)]
struct Queued {
    id: i64,
    phase_id: String,
    spec: String,
    spec_version: i64,
    fixes: String,
    unfixable: Option<String>,
    last_failure: Option<String>,
}

/// A batch that was repaired, and not written yet.
#[derive(Default)]
struct Batch {
    /// The last row that was examined; `None` at the end.
    last: Option<i64>,
    examined: u64,
    /// Of those that the auto-fixer had something to say about.
    changes: Vec<Change>,
    repaired: Vec<Repaired>,
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
            let mut counts = RepairCounts::default();
            for (row, run) in self.runs_or_all(run).await? {
                let mut batch = self.repair_after(row, &run, i64::MIN, fix).await?;
                while let Some(last) = batch.last {
                    // The next ones are read and repaired while these are written.
                    let changes = if dry_run { &[] } else { &*batch.changes };
                    let (saved, next) = futures_util::join!(
                        self.save_repairs(changes),
                        self.repair_after(row, &run, last, fix)
                    );
                    saved?;
                    counts.add(&batch);
                    batch.repaired.into_iter().for_each(&mut *on);
                    batch = next?;
                }
            }
            Ok(counts)
        })
        .await
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

    /// Repairs the batch behind a row, outside of any transaction.
    async fn repair_after(
        &self,
        run: i64,
        run_id: &RunId,
        after: i64,
        fix: &Fixer<'_>,
    ) -> Result<Batch, StoreError> {
        let mut rows = sqlx::query_as::<_, Queued>(
            "SELECT id, phase_id, COALESCE(spec, raw_spec) AS spec, spec_version, fixes, unfixable, last_failure
               FROM phases WHERE run = ? AND state = 'QUEUED' AND id > ? ORDER BY id LIMIT ?",
        )
        .bind(run)
        .bind(after)
        .bind(BATCH as i64)
        .fetch(&self.reader);
        let mut batch = Batch::default();
        while let Some(row) = rows.try_next().await? {
            batch.last = Some(row.id);
            batch.examined += 1;
            batch.repair(row, run_id, fix)?;
            if batch.examined.is_multiple_of(IN_A_ROW as u64) {
                tokio::task::yield_now().await;
            }
        }
        Ok(batch)
    }

    async fn save_repairs(&self, changes: &[Change]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        for some in changes.chunks(ROWS) {
            write(&mut tx, some).await?;
        }
        Ok(tx.commit().await?)
    }
}

impl RepairCounts {
    fn add(&mut self, batch: &Batch) {
        let count = |of: fn(&Repaired) -> bool| {
            batch.repaired.iter().filter(|repaired| of(repaired)).count() as u64
        };
        self.examined += batch.examined;
        self.changed += count(|repaired| !repaired.fixes.is_empty());
        self.unfixable += count(|repaired| repaired.unfixable.is_some());
    }
}

impl Batch {
    fn repair(&mut self, row: Queued, run_id: &RunId, fix: &Fixer<'_>) -> Result<(), StoreError> {
        let name = || format!("phase {} of run {run_id}", row.phase_id);
        let before = RawSpec(json(&row.spec, name)?);
        let last_failure: Option<Failure> =
            row.last_failure.as_deref().map(|text| json(text, name)).transpose()?;
        let repair = fix(&before, last_failure.as_ref());
        let held = Held {
            id: row.id,
            spec_version: row.spec_version,
            fixes: &row.fixes,
            unfixable: row.unfixable.as_deref(),
        };
        let change = held.change(&before, &repair, name)?;
        if change.is_none() && repair.result.is_ok() {
            return Ok(());
        }
        self.changes.extend(change);
        self.repaired.push(Repaired {
            run_id: run_id.clone(),
            phase_id: PhaseId::new(row.phase_id),
            before: before.0,
            after: repair.spec,
            fixes: repair.fixes,
            unfixable: repair.result.err().map(|why| why.0),
        });
        Ok(())
    }
}

/// What a phase holds of repairs before this one.
struct Held<'a> {
    id: i64,
    spec_version: i64,
    fixes: &'a str,
    unfixable: Option<&'a str>,
}

/// A repair as it is written beside the spec.
struct Change {
    id: i64,
    /// Of the spec that was repaired.
    spec_version: i64,
    spec: String,
    fixes: String,
    unfixable: Option<String>,
    footprint: Option<String>,
}

impl Held<'_> {
    /// `None`: it is held already.
    fn change(
        &self,
        before: &RawSpec,
        repair: &Repair,
        name: impl Fn() -> String,
    ) -> Result<Option<Change>, StoreError> {
        let unfixable = repair.result.as_ref().err().map(|why| why.0.as_str());
        let same = before.0 == *repair.spec && self.unfixable == unfixable;
        if same && repair.fixes.is_empty() {
            return Ok(None);
        }
        let mut fixes: Vec<String> = json(self.fixes, name)?;
        fixes.extend_from_slice(&repair.fixes);
        Ok(Some(Change {
            id: self.id,
            spec_version: self.spec_version,
            spec: to_json(&*repair.spec),
            fixes: to_json(&fixes),
            unfixable: unfixable.map(str::to_owned),
            footprint: repair.result.as_ref().ok().map(|spec| to_json(&Footprint::of(spec))),
        }))
    }
}

/// Keeps a repair beside the spec as written.
pub(super) async fn save_repair(
    tx: &mut SqliteConnection,
    row: &PhaseRecord,
    before: &RawSpec,
    repair: &Repair,
) -> Result<(), StoreError> {
    let held = Held {
        id: row.id,
        spec_version: row.spec_version,
        fixes: &row.fixes,
        unfixable: row.unfixable.as_deref(),
    };
    match held.change(before, repair, || row.name())? {
        Some(change) => write(tx, &[change]).await,
        None => Ok(()),
    }
}

/// Each if its phase is still QUEUED with the spec that was repaired.
async fn write(tx: &mut SqliteConnection, changes: &[Change]) -> Result<(), StoreError> {
    let mut update = QueryBuilder::<Sqlite>::new(
        "WITH new (id, spec_version, spec, fixes, unfixable, footprint) AS (",
    );
    update.push_values(changes, |mut row, change| {
        row.push_bind(change.id)
            .push_bind(change.spec_version)
            .push_bind(&change.spec)
            .push_bind(&change.fixes)
            .push_bind(&change.unfixable)
            .push_bind(&change.footprint);
    });
    update.push(
        ") UPDATE phases SET spec = new.spec, spec_version = phases.spec_version + 1, fixes = new.fixes,
                  unfixable = new.unfixable, footprint = new.footprint
             FROM new
            WHERE phases.id = new.id AND phases.state = 'QUEUED' AND phases.spec_version = new.spec_version",
    );
    update.build().execute(tx).await?;
    Ok(())
}
