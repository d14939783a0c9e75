//! Undoing landings. A revert is recorded in three steps around the move of the branch: begun, with its commit, ended.
//! While a revert is open, no drain of the run is registered, so nothing is claimed or landed meanwhile.
//!
//! After a crash, the recorded commit tells whether the branch moved, as for landings.

use crate::phase::state::Event;
use crate::phase::undo::{UndoRefusal, choose_undone};
use crate::phase::{FixedSpec, PhaseCi, PhaseId, PhaseState, RunId, UnixMs};
use crate::store::backend::{Connection, query, query_as, query_scalar};

use super::evidence::{OPERATOR, record_evidence};
use super::operator_actions::{reset_counters, take_steps};
use super::undo_candidates::candidates;
use crate::store::columns::{number, parse};
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::owner_id::OwnerId;
use crate::store::queue::claim::{Claim, Spending};
use crate::store::rows::{PhaseRecord, select_phases};

/// Request to undo a phase.
#[derive(Clone, Copy, Debug)]
pub struct UndoRequest<'a> {
    /// Run of the phase.
    pub run: &'a RunId,
    /// Phase to undo.
    pub phase: &'a PhaseId,
    /// Whether to undo the complete phases that depend on it, too.
    pub with_dependents: bool,
    /// State of the phases afterwards: QUEUED or SKIPPED.
    pub next: PhaseState,
}

/// An undo begun, with everything needed to make and test its commit.
#[derive(Debug)]
pub struct BegunUndo {
    /// Number of the revert.
    pub revert: i64,
    /// Landings to take back; a phase completed without a change has no commit.
    pub landings: Vec<UndoneLanding>,
    /// The named phase as for an attempt, for running CI: without the phase's own CI settings.
    pub claim: Claim,
}

/// A landing to take back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndoneLanding {
    /// Id of the phase.
    pub phase_id: PhaseId,
    /// Name of the phase.
    pub name: String,
    /// Attempt that completed the phase.
    pub attempt: u32,
    /// Landed commit.
    pub commit: Option<String>,
}

/// Reason not to begin an undo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BeginRefusal {
    /// The phase, or one of its dependents, cannot be undone.
    Phase(UndoRefusal),
    /// Another process works on the run.
    RunIsBusy,
}

/// End of an undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UndoOutcome {
    /// The commit is on the branch.
    Undone,
    /// Nothing changed.
    Refused,
    /// The process died before the branch moved.
    Crashed,
}

impl UndoOutcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Undone => "undone",
            Self::Refused => "refused",
            Self::Crashed => "crashed",
        }
    }
}

impl Store {
    /// Begins an undo, unless another process works on the run. `ci` has the settings for its test.
    ///
    /// # Errors
    /// The phase is unknown, or the database cannot be written.
    pub async fn begin_undo(
        &self,
        request: UndoRequest<'_>,
        owner: &OwnerId,
        ci: &PhaseCi,
        now: UnixMs,
    ) -> Result<Result<BegunUndo, BeginRefusal>, StoreError> {
        self.named(|| async move {
            let mut tx = self.begin().await?;
            let named = self.phase_record(&mut tx, request.run, request.phase).await?;
            let run = self.run_row(&mut tx, request.run).await?;
            if is_busy(&mut tx, run, request.run, owner).await? {
                return Ok(Err(BeginRefusal::RunIsBusy));
            }
            let (rows, candidates) = candidates(&mut tx, run).await?;
            let target = rows.iter().position(|row| *row == named.id).unwrap_or_default();
            let chosen = match choose_undone(&candidates, target, request.with_dependents) {
                Ok(chosen) => chosen,
                Err(refusal) => return Ok(Err(BeginRefusal::Phase(refusal))),
            };
            let revert: i64 = query_scalar(
                "INSERT INTO reverts (run, owner, next_state, started_at) VALUES (?, ?, ?, ?) RETURNING id",
            )
            .bind(run)
            .bind(owner.as_str())
            .bind(request.next.as_str())
            .bind(now.0)
            .fetch_one(&mut *tx)
            .await?;
            let mut landings = Vec::new();
            for index in chosen {
                landings.extend(add_landings(&mut tx, revert, rows[index]).await?);
            }
            let claim = claim_of(&mut tx, &named, owner, ci.clone()).await?;
            tx.commit().await?;
            Ok(Ok(BegunUndo { revert, landings, claim }))
        })
        .await
    }

    /// Records the commit before the branch moves; after a crash, the commit tells whether the branch moved.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if another process took over, or the database cannot be written.
    pub async fn record_revert(
        &self,
        revert: i64,
        owner: &OwnerId,
        commit: &str,
    ) -> Result<(), StoreError> {
        self.named(|| async move {
            self.require_file()?;
            let recorded = query(
                "UPDATE reverts SET revert_commit = ?1
                  WHERE id = ?2 AND owner = ?3 AND ended_at IS NULL
                    AND EXISTS (SELECT 1 FROM owners WHERE owner = ?3 AND NOT fenced)",
            )
            .bind(commit)
            .bind(revert)
            .bind(owner.as_str())
            .execute(&self.writer)
            .await?;
            match recorded.rows_affected() {
                0 => Err(StoreError::Fenced { owner: owner.clone() }),
                _ => Ok(()),
            }
        })
        .await
    }

    /// Ends an undo. `Undone` gives the phases their next state, with a fresh count of attempts. Returns `false`, and
    /// changes nothing, if another process has ended the undo.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn end_undo(
        &self,
        revert: i64,
        outcome: UndoOutcome,
        now: UnixMs,
    ) -> Result<bool, StoreError> {
        self.named(|| async move {
            let mut tx = self.begin().await?;
            let next: Option<String> = query_scalar(
                "UPDATE reverts SET ended_at = ?, outcome = ? WHERE id = ? AND ended_at IS NULL
                 RETURNING next_state",
            )
            .bind(now.0)
            .bind(outcome.as_str())
            .bind(revert)
            .fetch_optional(&mut *tx)
            .await?;
            let Some(next) = next else { return Ok(false) };
            if outcome == UndoOutcome::Undone {
                let next = parse(&next, || format!("revert {revert}"))?;
                requeue_phases(&mut tx, revert, next).await?;
            }
            tx.commit().await?;
            Ok(true)
        })
        .await
    }
}

/// Whether another process drains, undoes or updates the run, or left phases executing.
pub(super) async fn is_busy(
    tx: &mut Connection,
    run: i64,
    run_id: &RunId,
    us: &OwnerId,
) -> Result<bool, StoreError> {
    Ok(query_scalar(
        "SELECT EXISTS (SELECT 1 FROM phases WHERE run = ?1 AND owner IS NOT NULL)
             OR EXISTS (SELECT 1 FROM reverts WHERE run = ?1 AND ended_at IS NULL)
             OR EXISTS (SELECT 1 FROM owners o, json_each(o.runs) named
                         WHERE NOT o.fenced AND o.owner <> ?2 AND named.value = ?3)",
    )
    .bind(run)
    .bind(us.as_str())
    .bind(run_id.as_str())
    .fetch_one(tx)
    .await?)
}

/// Adds the landings of a phase to a revert: several, if the phase was done again. A phase that is complete without a
/// change has one without a commit.
async fn add_landings(
    tx: &mut Connection,
    revert: i64,
    phase: i64,
) -> Result<Vec<UndoneLanding>, StoreError> {
    let row = phase_by_row(tx, phase).await?;
    let live: Vec<(i64, Option<String>)> = query_as(
        "SELECT attempt, landing_commit FROM live_landings WHERE phase = ? ORDER BY attempt",
    )
    .bind(phase)
    .fetch_all(&mut *tx)
    .await?;
    let live = if live.is_empty() { vec![(row.executions, None)] } else { live };
    let mut landings = Vec::new();
    for (attempt, commit) in live {
        query("INSERT INTO reverted_attempts (revert, phase, attempt) VALUES (?, ?, ?)")
            .bind(revert)
            .bind(phase)
            .bind(attempt)
            .execute(&mut *tx)
            .await?;
        landings.push(UndoneLanding {
            attempt: number(attempt, || row.name())?,
            phase_id: PhaseId::new(row.phase_id.clone()),
            name: row.name.clone(),
            commit,
        });
    }
    Ok(landings)
}

async fn phase_by_row(tx: &mut Connection, row: i64) -> Result<PhaseRecord, StoreError> {
    Ok(query_as(select_phases!("WHERE p.id = ?")).bind(row).fetch_one(tx).await?)
}

/// Returns the named phase like a claim, to run CI as for an attempt. Its attempt has ended: nothing is recorded for it.
pub(super) async fn claim_of(
    tx: &mut Connection,
    row: &PhaseRecord,
    owner: &OwnerId,
    ci: PhaseCi,
) -> Result<Claim, StoreError> {
    let snapshot = row.snapshot()?;
    let attempt_row: i64 = query_scalar("SELECT id FROM attempts WHERE phase = ? AND attempt = ?")
        .bind(row.id)
        .bind(row.executions)
        .fetch_optional(tx)
        .await?
        .unwrap_or_default();
    Ok(Claim {
        run_id: snapshot.run_id.clone(),
        phase_id: snapshot.phase_id.clone(),
        phase: FixedSpec::without_paths(snapshot.phase_id.clone(), row.name.clone(), ci),
        attempt: snapshot.executions,
        counted_attempts: 0,
        uncounted: 0,
        max_attempts: 1,
        last_failure: None,
        agent: None,
        is_by_person: false,
        owner: owner.clone(),
        spent: Spending::default(),
        session: None,
        requests: Vec::new(),
        snapshot,
        attempt_row,
    })
}

/// Gives the phases of an undone revert their next state. A phase that the operator has queued again meanwhile keeps this
/// state.
async fn requeue_phases(
    tx: &mut Connection,
    revert: i64,
    next: PhaseState,
) -> Result<(), StoreError> {
    let rows: Vec<i64> =
        query_scalar("SELECT DISTINCT phase FROM reverted_attempts WHERE revert = ?")
            .bind(revert)
            .fetch_all(&mut *tx)
            .await?;
    for phase in rows {
        let row = phase_by_row(tx, phase).await?;
        let events: &[Event] = match (row.snapshot()?.state, next) {
            (PhaseState::Complete, PhaseState::Skipped) => &[Event::Redo, Event::Skip],
            (PhaseState::Complete, _) => &[Event::Redo],
            (PhaseState::Queued, PhaseState::Skipped) => &[Event::Skip],
            _ => continue,
        };
        take_steps(tx, &row, events).await?;
        reset_counters(tx, &row).await?;
        if next == PhaseState::Skipped {
            record_evidence(tx, row.id, OPERATOR).await?;
        }
    }
    Ok(())
}
