//! The auto-fixer over all queued phases, in batches, however many there are.

use serde_json::Value;
use sqlx::SqliteConnection;

use crate::phase::{Footprint, PhaseId, RawSpec, Repair, RunId};

use super::Fixer;
use super::error::StoreError;
use super::open::Store;
use super::rows::{PhaseRecord, json, select_phases, to_json};

/// Phases read, repaired and written at a time: bounds memory, and how long others wait for the writer.
const BATCH: i64 = 256;

/// A phase that the auto-fixer had something to say about.
#[derive(Clone, Debug, PartialEq)]
pub struct Repaired {
    pub run_id: RunId,
    pub phase_id: PhaseId,
    pub before: Value,
    pub after: Value,
    pub fixes: Vec<String>,
    pub unfixable: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RepairCounts {
    pub examined: u64,
    pub changed: u64,
    pub unfixable: u64,
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
            for run in self.runs_or_all(run).await? {
                let mut after = i64::MIN;
                loop {
                    let rows = self.queued_after(run, after).await?;
                    let Some(last) = rows.last() else { break };
                    after = last.id;
                    self.repair_batch(rows, fix, dry_run, &mut counts, on).await?;
                }
            }
            Ok(counts)
        })
        .await
    }

    async fn runs_or_all(&self, run: Option<&RunId>) -> Result<Vec<i64>, StoreError> {
        if let Some(run) = run {
            return Ok(vec![self.run_row(&mut *self.reader.acquire().await?, run).await?]);
        }
        Ok(sqlx::query_scalar("SELECT id FROM runs ORDER BY id").fetch_all(&self.reader).await?)
    }

    async fn queued_after(&self, run: i64, after: i64) -> Result<Vec<PhaseRecord>, StoreError> {
        let query = select_phases!(
            "WHERE p.run = ? AND p.state = 'QUEUED' AND p.id > ? ORDER BY p.id LIMIT ?"
        );
        let rows = sqlx::query_as(query).bind(run).bind(after).bind(BATCH);
        Ok(rows.fetch_all(&self.reader).await?)
    }

    /// The fixer runs outside of the transaction; each write is refused where the phase moved meanwhile.
    async fn repair_batch(
        &self,
        rows: Vec<PhaseRecord>,
        fix: &Fixer<'_>,
        dry_run: bool,
        counts: &mut RepairCounts,
        on: &mut (dyn FnMut(Repaired) + Send),
    ) -> Result<(), StoreError> {
        let mut news = Vec::new();
        for row in rows {
            let before = row.current_spec()?;
            let repair = fix(&before, row.last_failure()?.as_ref());
            counts.examined += 1;
            if differs(&row, &before, &repair) || repair.result.is_err() {
                news.push((row, before, repair));
            }
        }
        if !dry_run && !news.is_empty() {
            let mut tx = self.begin().await?;
            for (row, before, repair) in &news {
                save_repair(&mut tx, row, before, repair).await?;
            }
            tx.commit().await?;
        }
        for (row, before, repair) in news {
            let repaired = Repaired {
                run_id: RunId::new(row.run_id),
                phase_id: PhaseId::new(row.phase_id),
                before: before.0,
                after: repair.spec,
                fixes: repair.fixes,
                unfixable: repair.result.err().map(|why| why.0),
            };
            counts.changed += u64::from(!repaired.fixes.is_empty());
            counts.unfixable += u64::from(repaired.unfixable.is_some());
            on(repaired);
        }
        Ok(())
    }
}

fn differs(row: &PhaseRecord, before: &RawSpec, repair: &Repair) -> bool {
    let unfixable = repair.result.as_ref().err().map(|why| why.0.as_str());
    before.0 != repair.spec || row.unfixable.as_deref() != unfixable || !repair.fixes.is_empty()
}

/// Keeps a repair beside the spec as written, if the phase is still QUEUED with the spec that was repaired.
pub(super) async fn save_repair(
    tx: &mut SqliteConnection,
    row: &PhaseRecord,
    before: &RawSpec,
    repair: &Repair,
) -> Result<(), StoreError> {
    if !differs(row, before, repair) {
        return Ok(());
    }
    let mut fixes: Vec<String> = json(&row.fixes, || row.name())?;
    fixes.extend_from_slice(&repair.fixes);
    sqlx::query(
        "UPDATE phases SET spec = ?, spec_version = spec_version + 1, fixes = ?, unfixable = ?, footprint = ?
          WHERE id = ? AND state = 'QUEUED' AND spec_version = ?",
    )
    .bind(to_json(&repair.spec))
    .bind(to_json(&fixes))
    .bind(repair.result.as_ref().err().map(|why| why.0.as_str()))
    .bind(repair.result.as_ref().ok().map(|spec| to_json(&Footprint::of(spec))))
    .bind(row.id)
    .bind(row.spec_version)
    .execute(tx)
    .await?;
    Ok(())
}
