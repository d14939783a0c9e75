//! Issues of a tracker against the stored phases of its run: new ones, and those with another content. Within the
//! transaction, because another synchronization or the operator may have changed the run meanwhile.

use std::collections::HashMap;

use sqlx::FromRow;

use crate::phase::PhaseId;
use crate::phase::changed_issue::merge_changed_issue;
use crate::phase::plan::{PlanPhase, PlanRun};
use crate::store::backend::{Connection, query_as};
use crate::store::columns::json;
use crate::store::error::StoreError;

#[derive(FromRow)]
struct StoredIssue {
    phase_id: String,
    raw_spec: String,
    /// Digest of the issue's content when the phase was last written.
    digest: Option<String>,
    /// Whether the phase is an issue of the tracker.
    is_tracked: bool,
}

/// Leaves new and changed issues in the plan. Returns the issues whose ids other phases of the run have.
pub(super) async fn keep_changed(
    tx: &mut Connection,
    row: i64,
    tracker: &str,
    plan: &mut PlanRun,
) -> Result<Vec<PhaseId>, StoreError> {
    let rows: Vec<StoredIssue> = query_as(
        "SELECT phase_id, raw_spec, json_extract(raw_spec, '$.tracker.digest') AS digest,
                COALESCE(json_extract(raw_spec, '$.tracker.name') = ? AND json_type(raw_spec, '$.tracker.issue') = 'integer', FALSE)
                    AS is_tracked
           FROM phases WHERE run = ?",
    )
    .bind(tracker)
    .bind(row)
    .fetch_all(tx)
    .await?;
    let stored: HashMap<&str, &StoredIssue> =
        rows.iter().map(|stored| (stored.phase_id.as_str(), stored)).collect();
    let (mut kept, mut taken) = (Vec::new(), Vec::new());
    for phase in plan.phases.drain(..) {
        match stored.get(phase.phase_id.as_str()) {
            None => kept.push(phase),
            Some(stored) if !stored.is_tracked => taken.push(phase.phase_id),
            Some(stored) => kept.extend(changed(stored, phase, plan.run_id.as_str())?),
        }
    }
    plan.phases = kept;
    Ok(taken)
}

/// Returns the phase with the new content of its issue; `None` if the content is the same.
fn changed(
    stored: &StoredIssue,
    issue: PlanPhase,
    run: &str,
) -> Result<Option<PlanPhase>, StoreError> {
    if issue.spec.0["tracker"]["digest"].as_str() == stored.digest.as_deref() {
        return Ok(None);
    }
    let name = || format!("phase {} of run {run}", stored.phase_id);
    let spec = merge_changed_issue(&json(&stored.raw_spec, name)?, &issue.spec);
    let max_attempts = spec.0["max_attempts"].as_u64().and_then(|count| u32::try_from(count).ok());
    Ok(Some(PlanPhase { spec, max_attempts, ..issue }))
}
