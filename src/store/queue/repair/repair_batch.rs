//! Repair of a batch of queued phases on all processors. Does not access the database.

use std::sync::Arc;

use sqlx::FromRow;

use crate::parallel;
use crate::phase::{Failure, FixedSpec, PhaseId, RawSpec, RunId};
use crate::store::Fixer;
use crate::store::columns::json;
use crate::store::error::StoreError;

use super::repair_change::{Change, StoredRepair};
use super::{RepairCounts, RepairedPhase};

/// Smallest part worth a thread: starting a thread takes as long as two or three repairs.
const FEW: usize = 64;

/// Input of a repair, from a queued phase.
#[derive(FromRow)]
pub(super) struct QueuedPhase {
    pub id: i64,
    phase_id: String,
    spec: String,
    spec_version: i64,
    is_repaired: bool,
    fixes: String,
    unfixable: Option<String>,
    last_failure: Option<String>,
}

/// Result of a batch, in order.
#[derive(Default)]
pub(super) struct Batch {
    pub counts: RepairCounts,
    /// Changes to store.
    pub changes: Vec<Change>,
    /// Phases changed or found unfixable by the auto-fixer.
    pub repaired: Vec<RepairedPhase>,
}

impl Batch {
    /// Repairs the rows. If several cannot be read, returns the first error.
    pub fn of(rows: &[QueuedPhase], run_id: &RunId, fix: &Fixer<'_>) -> Result<Self, StoreError> {
        let mut whole = Self::default();
        for part in parallel::of_parts(rows, FEW, |part| Self::repair(part, run_id, fix)) {
            whole.append(part?);
        }
        Ok(whole)
    }

    fn repair(rows: &[QueuedPhase], run_id: &RunId, fix: &Fixer<'_>) -> Result<Self, StoreError> {
        let mut batch = Self::default();
        rows.iter().try_for_each(|row| batch.add(row, run_id, fix))?;
        Ok(batch)
    }

    fn append(&mut self, mut part: Self) {
        self.counts.add(part.counts);
        self.changes.append(&mut part.changes);
        self.repaired.append(&mut part.repaired);
    }

    fn add(
        &mut self,
        row: &QueuedPhase,
        run_id: &RunId,
        fix: &Fixer<'_>,
    ) -> Result<(), StoreError> {
        let name = || format!("phase {} of run {run_id}", row.phase_id);
        let before = RawSpec(json(&row.spec, name)?);
        let last_failure: Option<Failure> =
            row.last_failure.as_deref().map(|text| json(text, name)).transpose()?;
        let repair = fix(&before, last_failure.as_ref());
        let stored = StoredRepair {
            id: row.id,
            spec_version: row.spec_version,
            is_repaired: row.is_repaired,
            fixes: &row.fixes,
            unfixable: row.unfixable.as_deref(),
        };
        let change = stored.change(&before, &repair, name)?;
        let needs_scope = repair.result.as_ref().is_ok_and(FixedSpec::needs_scope);
        self.counts.examined += 1;
        self.counts.needs_scope += u64::from(needs_scope);
        if change.is_none() && repair.result.is_ok() && !needs_scope {
            return Ok(());
        }
        self.counts.changed += u64::from(!repair.fixes.is_empty());
        self.counts.unfixable += u64::from(repair.result.is_err());
        self.changes.extend(change);
        self.repaired.push(RepairedPhase {
            run_id: run_id.clone(),
            phase_id: PhaseId::new(row.phase_id.clone()),
            before: before.0,
            after: Arc::clone(&repair.spec),
            fixes: repair.fixes,
            defaults: repair.defaults,
            unfixable: repair.result.err().map(|why| why.0),
            needs_scope,
        });
        Ok(())
    }
}
