//! Operator actions: retry, skip, accept, edit; others are in `operator_control` and `queue_move`. All named phases are changed, or none.

use crate::phase::plan::PlanPhase;
use crate::phase::state::Event;
use crate::phase::{FailureKind, PhaseId, PhaseState, RunId};
use crate::store::backend::{Connection, query, query_as, query_scalar};

use super::evidence::{OPERATOR, record_evidence, withdraw_evidence};
use super::import_plan::replace_spec;
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::queue::dependencies::{insert_dependencies, recount_dependencies};
use crate::store::rows::PhaseRecord;
use crate::store::state_step::PhaseSnapshot;

/// Selection of phases within a run.
#[derive(Clone, Copy, Debug)]
pub enum PhaseSelector<'a> {
    /// The phases with these ids.
    Ids(&'a [PhaseId]),
    /// All phases in state FAILED.
    Failed,
}

/// A changed phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedPhase {
    /// Id of the phase.
    pub phase_id: PhaseId,
    /// State before the change.
    pub from: PhaseState,
    /// State after the change.
    pub to: PhaseState,
}

/// What the operator does to phases of a run.
#[derive(Clone, Copy)]
pub struct OperatorActions<'a> {
    pub(super) store: &'a Store,
}

impl Store {
    /// Returns the operator's actions on this store.
    pub fn operator(&self) -> OperatorActions<'_> {
        OperatorActions { store: self }
    }
}
impl OperatorActions<'_> {
    /// Requeues phases with a fresh count of attempts, keeping the history. COMPLETE phases are requeued only with
    /// `redo`.
    ///
    /// # Errors
    /// A phase is unknown or in another state, or the database cannot be written; nothing is changed then.
    pub async fn retry(
        &self,
        run: &RunId,
        selector: PhaseSelector<'_>,
        redo: bool,
    ) -> Result<Vec<ChangedPhase>, StoreError> {
        self.store
            .named(|| async move {
                let mut tx = self.store.begin().await?;
                let mut changed = Vec::new();
                for row in self.select_rows(&mut tx, run, selector).await? {
                    let event = retry_event(&row.snapshot()?, row.held > 0, redo)?;
                    changed.push(take_steps(&mut tx, &row, event.as_slice()).await?);
                    reset_counters(&mut tx, &row).await?;
                }
                tx.commit().await?;
                Ok(changed)
            })
            .await
    }

    /// Marks phases as SKIPPED; their dependents may run. A FAILED phase is requeued first.
    ///
    /// # Errors
    /// A phase is unknown or in another state, or the database cannot be written; nothing is changed then.
    pub async fn skip(
        &self,
        run: &RunId,
        selector: PhaseSelector<'_>,
    ) -> Result<Vec<ChangedPhase>, StoreError> {
        self.store
            .named(|| async move {
                let mut tx = self.store.begin().await?;
                let mut changed = Vec::new();
                for row in self.select_rows(&mut tx, run, selector).await? {
                    let events: &[Event] = match row.snapshot()?.state {
                        PhaseState::Failed => &[Event::Retry, Event::Skip],
                        _ => &[Event::Skip],
                    };
                    changed.push(take_steps(&mut tx, &row, events).await?);
                    record_evidence(&mut tx, row.id, OPERATOR).await?;
                }
                tx.commit().await?;
                Ok(changed)
            })
            .await
    }

    /// Records the operator's confirmation that phases are rightly COMPLETE or SKIPPED. Their state does not change.
    ///
    /// # Errors
    /// [`StoreError::WrongState`] for a phase in another state; then none is accepted.
    pub async fn accept(
        &self,
        run: &RunId,
        ids: &[PhaseId],
    ) -> Result<Vec<ChangedPhase>, StoreError> {
        self.store
            .named(|| async move {
                let mut tx = self.store.begin().await?;
                let mut accepted = Vec::new();
                for row in self.select_rows(&mut tx, run, PhaseSelector::Ids(ids)).await? {
                    let snapshot = row.snapshot()?;
                    if !snapshot.state.satisfies_dependents() {
                        return Err(wrong_state(&snapshot, "cannot be accepted as done"));
                    }
                    record_evidence(&mut tx, row.id, OPERATOR).await?;
                    let state = snapshot.state;
                    accepted.push(ChangedPhase {
                        phase_id: snapshot.phase_id,
                        from: state,
                        to: state,
                    });
                }
                tx.commit().await?;
                Ok(accepted)
            })
            .await
    }

    /// Replaces the spec and the dependencies of a QUEUED, FAILED or SKIPPED phase. The state does not change.
    ///
    /// # Errors
    /// The phase is unknown or in another state, a dependency is unknown or cyclic, or the database cannot be written.
    pub async fn edit(&self, run: &RunId, phase: &PlanPhase) -> Result<(), StoreError> {
        self.store
            .named(|| async move {
                let mut tx = self.store.begin().await?;
                let row = self.store.phase_record(&mut tx, run, &phase.phase_id).await?;
                let snapshot = row.snapshot()?;
                if matches!(snapshot.state, PhaseState::Complete | PhaseState::Executing) {
                    return Err(wrong_state(&snapshot, "cannot be edited"));
                }
                replace_spec(&mut tx, row.id, phase).await?;
                let run_row = self.store.run_row(&mut tx, run).await?;
                let ids: Vec<(String, i64)> =
                    query_as("SELECT phase_id, id FROM phases WHERE run = ?")
                        .bind(run_row)
                        .fetch_all(&mut *tx)
                        .await?;
                insert_dependencies(&mut tx, run, &[phase], &ids.into_iter().collect()).await?;
                recount_dependencies(&mut tx, run_row, run).await?;
                Ok(tx.commit().await?)
            })
            .await
    }

    async fn select_rows(
        &self,
        tx: &mut Connection,
        run: &RunId,
        selector: PhaseSelector<'_>,
    ) -> Result<Vec<PhaseRecord>, StoreError> {
        let ids: Vec<PhaseId> = match selector {
            PhaseSelector::Ids(ids) => unique(ids),
            PhaseSelector::Failed => {
                let run = self.store.run_row(tx, run).await?;
                let ids: Vec<String> = query_scalar(
                    "SELECT phase_id FROM phases WHERE run = ? AND state = 'FAILED' ORDER BY position",
                )
                .bind(run)
                .fetch_all(&mut *tx)
                .await?;
                ids.into_iter().map(PhaseId::new).collect()
            }
        };
        let mut rows = Vec::with_capacity(ids.len());
        for id in &ids {
            rows.push(self.store.phase_record(tx, run, id).await?);
        }
        Ok(rows)
    }
}

fn unique(ids: &[PhaseId]) -> Vec<PhaseId> {
    let mut seen = std::collections::HashSet::new();
    ids.iter().filter(|id| seen.insert(*id)).cloned().collect()
}

/// Returns the step of a retry; a held phase stays QUEUED and is released.
fn retry_event(
    snapshot: &PhaseSnapshot,
    held: bool,
    redo: bool,
) -> Result<Option<Event>, StoreError> {
    match snapshot.state {
        PhaseState::Complete if redo => Ok(Some(Event::Redo)),
        PhaseState::Complete => Err(wrong_state(snapshot, "is retried only with --redo")),
        PhaseState::Queued if held => Ok(None),
        PhaseState::Queued => Err(wrong_state(snapshot, "will run anyway")),
        _ => Ok(Some(Event::Retry)),
    }
}

pub(in crate::store) fn wrong_state(snapshot: &PhaseSnapshot, cannot: &'static str) -> StoreError {
    StoreError::WrongState {
        run: snapshot.run_id.clone(),
        phase: snapshot.phase_id.clone(),
        state: snapshot.state,
        cannot,
    }
}

pub(super) async fn take_steps(
    tx: &mut Connection,
    row: &PhaseRecord,
    events: &[Event],
) -> Result<ChangedPhase, StoreError> {
    let mut snapshot = row.snapshot()?;
    let from = snapshot.state;
    for event in events {
        let to = snapshot.step(tx, *event, None).await?;
        snapshot.state =
            to.ok_or_else(|| StoreError::bad_row(row.name(), "it changed within a transaction"))?;
    }
    Ok(ChangedPhase { phase_id: snapshot.phase_id, from, to: snapshot.state })
}

/// Resets the counters of a phase. Earlier refusals of the spec or failures of drains tell the next attempt nothing.
pub(super) async fn reset_counters(
    tx: &mut Connection,
    row: &PhaseRecord,
) -> Result<(), StoreError> {
    // Evidence of earlier work does not prove later work.
    withdraw_evidence(tx, row.id).await?;
    let keeps = row
        .last_failure()?
        .is_some_and(|f| !matches!(f.kind, FailureKind::Unfixable | FailureKind::GaveUp));
    query(
        "UPDATE phases SET attempts = 0, crashes = 0, rate_limits = 0, base_moves = 0, uncounted = 0, band = 0, not_before = 0, held = 0,
                last_failure = CASE WHEN ? THEN last_failure END
          WHERE id = ?",
    )
    .bind(keeps)
    .bind(row.id)
    .execute(tx)
    .await?;
    Ok(())
}
