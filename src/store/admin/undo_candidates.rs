//! The phases of a run, as far as an undo asks.

use std::collections::HashMap;

use sqlx::FromRow;

use crate::phase::PhaseId;
use crate::phase::undo::UndoCandidate;
use crate::store::backend::{Connection, query_as};
use crate::store::columns::parse;
use crate::store::error::StoreError;
use crate::store::queue::dependencies::edges;

#[derive(FromRow)]
struct CandidateRecord {
    id: i64,
    phase_id: String,
    state: String,
    has_landed: bool,
    is_by_attempt: bool,
}

/// Returns the row ids of all phases of a run, and the phases.
pub(super) async fn candidates(
    tx: &mut Connection,
    run: i64,
) -> Result<(Vec<i64>, Vec<UndoCandidate>), StoreError> {
    let records: Vec<CandidateRecord> = query_as(
        "SELECT p.id, p.phase_id, p.state,
                EXISTS (SELECT 1 FROM live_landings l WHERE l.phase = p.id) AS has_landed,
                EXISTS (SELECT 1 FROM attempts a
                         WHERE a.phase = p.id AND a.attempt = p.executions AND a.attempt > p.redone
                           AND a.outcome IN ('landed', 'no_change_needed')) AS is_by_attempt
           FROM phases p WHERE p.run = ? ORDER BY p.position",
    )
    .bind(run)
    .fetch_all(&mut *tx)
    .await?;
    let index: HashMap<String, usize> =
        records.iter().enumerate().map(|(i, record)| (record.phase_id.clone(), i)).collect();
    let mut needs: HashMap<i64, Vec<usize>> = HashMap::new();
    for (phase, need) in edges(tx, run).await? {
        needs.entry(phase).or_default().extend(index.get(need.as_str()));
    }
    let mut candidates = Vec::with_capacity(records.len());
    for record in &records {
        candidates.push(UndoCandidate {
            state: parse(&record.state, || format!("phase {}", record.phase_id))?,
            phase_id: PhaseId::new(&record.phase_id),
            has_landed: record.has_landed,
            is_by_attempt: record.is_by_attempt,
            needs: needs.remove(&record.id).unwrap_or_default(),
        });
    }
    Ok((records.into_iter().map(|record| record.id).collect(), candidates))
}
