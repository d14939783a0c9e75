//! Queued phases held back by overlapping footprints, each with the overlapping phase. Shows to people the phases
//! skipped by a claim (`claim/candidates`).

use crate::phase::footprint::Footprint;
use crate::phase::{PhaseId, PhaseState, UnixMs};
use crate::store::backend::{Connection, query_as};

use crate::store::columns::json;
use crate::store::error::StoreError;
use crate::store::queue::queue_order::queue_order;

/// Number of phases compared, from the head of the queue. Every pair is compared; phases farther back wait for other
/// reasons first.
const MAX_COMPARED_PHASES: i64 = 256;

/// A phase skipped for now.
pub(crate) struct Overlap {
    pub position: i64,
    pub phase_id: PhaseId,
    /// The overlapping phase: executing, or ahead in the queue and waiting too.
    pub with: (PhaseId, PhaseState),
}

/// Footprint of a phase with precedence.
struct ReservedPaths {
    phase_id: PhaseId,
    state: PhaseState,
    footprint: Footprint,
}

/// Returns the overlaps in queue order. `run` is the row id of the run.
pub(crate) async fn overlaps(
    tx: &mut Connection,
    run: i64,
    now: UnixMs,
) -> Result<Vec<Overlap>, StoreError> {
    let mut taken = executing(tx, run).await?;
    if taken.is_empty() {
        return Ok(Vec::new());
    }
    let queue: Vec<(i64, String, String)> = query_as(
        concat!(
        "SELECT position, phase_id, footprint FROM phases
          WHERE run = ? AND state = 'QUEUED' AND unmet = 0 AND held = 0 AND not_before <= ? AND footprint IS NOT NULL
          ORDER BY ", queue_order!(), " LIMIT ?")
    )
    .bind(run)
    .bind(now.0)
    .bind(MAX_COMPARED_PHASES)
    .fetch_all(tx)
    .await?;
    let mut waiting = Vec::new();
    for (position, id, footprint) in queue {
        let footprint = read(&footprint, &id)?;
        let Some(first) = taken.iter().find(|other| other.footprint.overlaps(&footprint)) else {
            continue;
        };
        let (phase_id, with) = (PhaseId::new(id), (first.phase_id.clone(), first.state));
        taken.push(ReservedPaths {
            phase_id: phase_id.clone(),
            state: PhaseState::Queued,
            footprint,
        });
        waiting.push(Overlap { position, phase_id, with });
    }
    Ok(waiting)
}

async fn executing(tx: &mut Connection, run: i64) -> Result<Vec<ReservedPaths>, StoreError> {
    let rows: Vec<(String, Option<String>)> = query_as(
        "SELECT phase_id, footprint FROM phases WHERE owner IS NOT NULL AND run = ? ORDER BY position",
    )
    .bind(run)
    .fetch_all(tx)
    .await?;
    let taken = rows.into_iter().map(|(id, footprint)| {
        let footprint = match footprint {
            Some(text) => read(&text, &id)?,
            // Claimed by an older version.
            None => Footprint::everything(),
        };
        Ok(ReservedPaths { phase_id: PhaseId::new(id), state: PhaseState::Executing, footprint })
    });
    taken.collect()
}

fn read(footprint: &str, phase: &str) -> Result<Footprint, StoreError> {
    json(footprint, || format!("the footprint of phase {phase}"))
}
