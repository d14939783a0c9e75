//! Operator action: moving a phase within the queue of its run.

use crate::phase::{PhaseId, PhaseState, RunId};
use crate::store::backend::{Connection, query, query_scalar};
use crate::store::error::StoreError;

use super::operator_actions::{OperatorActions, wrong_state};

/// New place of a moved phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewPlace<'a> {
    /// Before all phases of the run.
    First,
    /// Directly before this phase.
    Before(&'a PhaseId),
}

/// Added to positions while they are renumbered: larger than every position, since positions are unique at any time.
const APART: i64 = 1 << 40;

impl OperatorActions<'_> {
    /// Moves a QUEUED, FAILED or SKIPPED phase within the queue of its run.
    ///
    /// # Errors
    /// A phase is unknown; the phase is COMPLETE or EXECUTING; [`StoreError::OrderAgainstDependency`] if the phase
    /// would stand before an open phase it depends on; or the database cannot be written. Nothing is changed then.
    pub async fn move_phase(
        &self,
        run: &RunId,
        phase: &PhaseId,
        place: NewPlace<'_>,
    ) -> Result<(), StoreError> {
        self.store
            .named(|| async move {
                let mut tx = self.store.begin().await?;
                let row = self.store.phase_record(&mut tx, run, phase).await?;
                let snapshot = row.snapshot()?;
                if matches!(snapshot.state, PhaseState::Complete | PhaseState::Executing) {
                    return Err(wrong_state(&snapshot, "cannot be moved"));
                }
                let run_row = self.store.run_row(&mut tx, run).await?;
                let (band, position) = match place {
                    NewPlace::First => (0, first_position(&mut tx, run_row).await?),
                    NewPlace::Before(next) => {
                        let next = self.store.phase_record(&mut tx, run, next).await?;
                        if next.id == row.id {
                            return Ok(());
                        }
                        (next.place.band(), next.place.position())
                    }
                };
                if let Some(needs) = overtaken_need(&mut tx, row.id, band, position).await? {
                    return Err(StoreError::OrderAgainstDependency {
                        run: run.clone(),
                        phase: phase.clone(),
                        needs,
                    });
                }
                make_room(&mut tx, run_row, row.id, position).await?;
                query("UPDATE phases SET band = ?, position = ? WHERE id = ?")
                    .bind(band)
                    .bind(position)
                    .bind(row.id)
                    .execute(&mut *tx)
                    .await?;
                Ok(tx.commit().await?)
            })
            .await
    }
}

async fn first_position(tx: &mut Connection, run: i64) -> Result<i64, StoreError> {
    Ok(query_scalar("SELECT MIN(position) FROM phases WHERE run = ?")
        .bind(run)
        .fetch_one(tx)
        .await?)
}

/// Returns the first open dependency, direct or indirect, at or behind the new place.
async fn overtaken_need(
    tx: &mut Connection,
    phase: i64,
    band: i64,
    position: i64,
) -> Result<Option<PhaseId>, StoreError> {
    let need: Option<String> = query_scalar(
        "WITH RECURSIVE ahead (id) AS (
            SELECT needs FROM dependencies WHERE phase = ?1
            UNION
            SELECT d.needs FROM ahead a JOIN dependencies d ON d.phase = a.id)
         SELECT p.phase_id FROM ahead a JOIN phases p ON p.id = a.id
          WHERE p.state NOT IN ('COMPLETE', 'SKIPPED') AND (p.band, p.position) >= (?2, ?3)
          ORDER BY p.band, p.position LIMIT 1",
    )
    .bind(phase)
    .bind(band)
    .bind(position)
    .fetch_optional(tx)
    .await?;
    Ok(need.map(PhaseId::new))
}

/// Frees a position: takes the moved phase out, and moves the phases from there on by one place.
async fn make_room(
    tx: &mut Connection,
    run: i64,
    moved: i64,
    position: i64,
) -> Result<(), StoreError> {
    query("UPDATE phases SET position = -?1 - ?2 WHERE id = ?2")
        .bind(APART)
        .bind(moved)
        .execute(&mut *tx)
        .await?;
    for (by, from) in [(APART, position), (1 - APART, APART / 2)] {
        query("UPDATE phases SET position = position + ? WHERE run = ? AND position >= ?")
            .bind(by)
            .bind(run)
            .bind(from)
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}
