//! Comparison of imported phases with stored phases: what an import changes.

use std::collections::{BTreeSet, HashMap};

use sqlx::FromRow;

use crate::phase::plan::{PlanPhase, PlanRun};
use crate::phase::{PhaseId, PhaseState, RawSpec};
use crate::store::backend::{Connection, query_as};
use crate::store::columns::{json, parse};
use crate::store::error::StoreError;
use crate::store::queue::dependencies::edges;

use super::evidence::IMPORT;

/// A phase already in the run.
pub(super) struct ExistingPhase {
    pub(super) id: i64,
    pub(super) state: PhaseState,
    /// Whether the phase comes from the same source.
    pub(super) is_of_source: bool,
    spec: RawSpec,
    name: String,
    max_attempts: Option<i64>,
    needs: BTreeSet<PhaseId>,
    /// Whether an import from the same source settled the phase.
    is_settled_by_source: bool,
    /// Whether an import from the same source stops the attempt and settles the phase after it.
    is_stopped_by_source: bool,
}

#[derive(FromRow)]
struct ExistingPhaseRecord {
    id: i64,
    phase_id: String,
    state: String,
    raw_spec: String,
    name: String,
    max_attempts: Option<i64>,
    of_source: Option<bool>,
    settled_by_source: Option<bool>,
    stopped_by_source: Option<bool>,
}

/// Returns the phases of the run by id.
pub(super) async fn existing_phases(
    tx: &mut Connection,
    row: i64,
    run: &PlanRun,
) -> Result<HashMap<PhaseId, ExistingPhase>, StoreError> {
    let rows: Vec<ExistingPhaseRecord> = query_as(
        "SELECT id, phase_id, state, raw_spec, name, max_attempts, source = ?3 AS of_source,
                evidence = ?2 AND source = ?3 AS settled_by_source, settle_as IS NOT NULL AND source = ?3 AS stopped_by_source
           FROM phases WHERE run = ?1",
    )
    .bind(row)
    .bind(IMPORT)
    .bind(&run.origin)
    .fetch_all(&mut *tx)
    .await?;
    let mut needs: HashMap<i64, BTreeSet<PhaseId>> = HashMap::new();
    for (phase, need) in edges(tx, row).await? {
        needs.entry(phase).or_default().insert(need);
    }
    rows.into_iter()
        .map(|row| {
            let name = || format!("phase {} of run {}", row.phase_id, run.run_id);
            let existing = ExistingPhase {
                id: row.id,
                is_of_source: row.of_source.unwrap_or_default(),
                state: parse(&row.state, name)?,
                spec: json(&row.raw_spec, name)?,
                needs: needs.remove(&row.id).unwrap_or_default(),
                max_attempts: row.max_attempts,
                is_settled_by_source: row.settled_by_source.unwrap_or_default(),
                is_stopped_by_source: row.stopped_by_source.unwrap_or_default(),
                name: row.name,
            };
            Ok((PhaseId::new(row.phase_id), existing))
        })
        .collect()
}

/// Returns the settled state stated by the plan's source. The note distinguishes such a phase from a state exported by
/// another autopack.
pub(super) fn settled_by_source(phase: &PlanPhase) -> Option<PhaseState> {
    phase.note.as_ref()?;
    Some(phase.state).filter(|state| matches!(state, PhaseState::Complete | PhaseState::Skipped))
}

/// Comparison of an imported phase with the stored phase.
pub(super) enum StoredComparison {
    /// Done or given up in the source, open in the store.
    Settled,
    /// Done or given up in the source, executing here.
    Stop,
    /// Settled by an earlier import, open in the source again.
    Reopened,
    /// To be settled after its attempt by an earlier import, open in the source again.
    Resumed,
    Same,
    Differs,
    MovedOn,
    Replace,
}

impl ExistingPhase {
    /// Compares the phase with the plan; `update` allows changes.
    pub(super) fn compare(&self, phase: &PlanPhase, update: bool) -> StoredComparison {
        let same = self.spec == phase.spec
            && self.name == phase.name
            && self.max_attempts == phase.max_attempts.map(i64::from)
            && self.needs.iter().eq(phase.depends_on.iter().collect::<BTreeSet<_>>());
        let open = matches!(self.state, PhaseState::Queued | PhaseState::Failed);
        let is_settled_there = settled_by_source(phase).is_some();
        let settled = open && is_settled_there;
        let is_reopened = self.is_settled_by_source
            && self.state.satisfies_dependents()
            && phase.state == PhaseState::Queued;
        let is_resumed = self.is_stopped_by_source && phase.state == PhaseState::Queued;
        match self.state {
            _ if is_reopened && update => StoredComparison::Reopened,
            PhaseState::Executing if is_resumed && update => StoredComparison::Resumed,
            PhaseState::Executing if is_settled_there && update => StoredComparison::Stop,
            _ if settled && update => StoredComparison::Settled,
            _ if settled => StoredComparison::Differs,
            _ if same => StoredComparison::Same,
            PhaseState::Complete | PhaseState::Executing => StoredComparison::MovedOn,
            _ if update => StoredComparison::Replace,
            _ => StoredComparison::Differs,
        }
    }
}
