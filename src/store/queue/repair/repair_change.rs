//! Database changes of a repair: the rows of a bulk `UPDATE`, independent of the time of writing.

use crate::phase::autofix::authors_scope;
use crate::phase::{Footprint, RawSpec, Repair};
use crate::store::backend::{Connection, QueryBuilder};
use crate::store::columns::{json, to_json};
use crate::store::error::StoreError;
use crate::store::rows::PhaseRecord;

/// Results of earlier repairs of a phase.
pub(super) struct StoredRepair<'a> {
    pub id: i64,
    pub spec_version: i64,
    /// Whether the spec was repaired before, or attempted.
    pub is_repaired: bool,
    pub fixes: &'a str,
    pub unfixable: Option<&'a str>,
}

/// A repair to be stored beside the spec.
pub(super) struct Change {
    id: i64,
    /// Version of the repaired spec.
    spec_version: i64,
    spec: String,
    fixes: String,
    unfixable: Option<String>,
    footprint: Option<String>,
}

impl StoredRepair<'_> {
    /// Compares a repair with the stored results; `None` if nothing changes.
    pub fn change(
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
            footprint: self.footprint(before, repair),
        }))
    }
}

impl StoredRepair<'_> {
    /// Returns the footprint of a phase that was never repaired before; otherwise the next claim computes it.
    fn footprint(&self, before: &RawSpec, repair: &Repair) -> Option<String> {
        let spec = repair.result.as_ref().ok().filter(|_| !self.is_repaired)?;
        Some(to_json(&match authors_scope(before) {
            true => Footprint::of(spec),
            false => Footprint::of_deliverables(spec),
        }))
    }
}

/// Stores a repair beside the spec as written.
pub(in crate::store) async fn save_repair(
    tx: &mut Connection,
    row: &PhaseRecord,
    before: &RawSpec,
    repair: &Repair,
) -> Result<(), StoreError> {
    let stored = StoredRepair {
        id: row.id,
        spec_version: row.spec_version,
        is_repaired: row.spec.is_some() || row.executions > 0,
        fixes: &row.fixes,
        unfixable: row.unfixable.as_deref(),
    };
    match stored.change(before, repair, || row.name())? {
        Some(change) => write(tx, &[change]).await,
        None => Ok(()),
    }
}

/// Stores each change whose phase is still QUEUED with the repaired version of the spec.
pub(super) async fn write(tx: &mut Connection, changes: &[Change]) -> Result<(), StoreError> {
    let mut update =
        QueryBuilder::new("WITH new (id, spec_version, spec, fixes, unfixable, footprint) AS (");
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
