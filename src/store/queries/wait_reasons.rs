//! Reasons why a queued phase cannot run now.

use std::collections::HashMap;

use sqlx::FromRow;

use crate::phase::{PhaseId, PhaseState, RunId, UnixMs};
use crate::store::backend::query_as;

use super::overlaps::{Overlap, overlaps};
use crate::store::columns::parse;
use crate::store::error::StoreError;
use crate::store::open::Store;

/// A QUEUED phase that cannot be claimed now, with all reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Id of the phase.
    pub phase_id: PhaseId,
    /// Whether a FAILED phase blocks this phase, directly or indirectly; only the operator can help.
    pub blocked: bool,
    /// Unsatisfied dependencies.
    pub needs: Vec<(PhaseId, PhaseState)>,
    /// An executing phase, or a phase ahead in the queue, with overlapping paths.
    pub overlaps: Option<(PhaseId, PhaseState)>,
    /// Deferred until this time.
    pub not_before: Option<UnixMs>,
    /// Whether the operator stopped the phase.
    pub held: bool,
    /// Reason for refusing the spec at the next claim.
    pub unfixable: Option<String>,
}

#[derive(FromRow)]
struct WaitingRecord {
    id: i64,
    position: i64,
    phase_id: String,
    blocked: bool,
    not_before: i64,
    held: bool,
    unfixable: Option<String>,
}

impl Store {
    /// Returns the waiting phases in the order of the run, without claimable phases.
    ///
    /// # Errors
    /// The run is unknown, or the database cannot be read.
    pub async fn waiting_phases(
        &self,
        run: &RunId,
        now: UnixMs,
    ) -> Result<Vec<Waiting>, StoreError> {
        self.named(|| async move {
            let mut tx = self.reader.begin().await?;
            let run = self.run_row(&mut tx, run).await?;
            let rows: Vec<WaitingRecord> = query_as(
                "SELECT p.id, p.position, p.phase_id, p.id IN (SELECT id FROM blocked WHERE run = ?1) AS blocked,
                        p.not_before, p.held > 0 AS held, p.unfixable
                   FROM phases p
                  WHERE p.run = ?1 AND p.state = 'QUEUED'
                    AND (p.unmet > 0 OR p.not_before > ?2 OR p.held > 0 OR p.unfixable IS NOT NULL)
                  ORDER BY p.position",
            )
            .bind(run)
            .bind(now.0)
            .fetch_all(&mut *tx)
            .await?;
            let needs: Vec<(i64, String, String)> = query_as(
                "SELECT d.phase, n.phase_id, n.state
                   FROM phases n JOIN dependencies d ON d.needs = n.id
                  WHERE n.run = ? AND n.state NOT IN ('COMPLETE', 'SKIPPED')
                  ORDER BY n.position",
            )
            .bind(run)
            .fetch_all(&mut *tx)
            .await?;
            let mut needs = by_phase(needs)?;
            let mut waiting: Vec<(i64, Waiting)> =
                rows.into_iter().map(|row| (row.position, row.with(now, &mut needs))).collect();
            for overlap in overlaps(&mut tx, run, now).await? {
                waiting.push((overlap.position, overlap.into()));
            }
            waiting.sort_by_key(|(position, _)| *position);
            Ok(waiting.into_iter().map(|(_, waiting)| waiting).collect())
        })
        .await
    }
}

type Needs = HashMap<i64, Vec<(PhaseId, PhaseState)>>;

fn by_phase(rows: Vec<(i64, String, String)>) -> Result<Needs, StoreError> {
    let mut needs = Needs::new();
    for (phase, need, state) in rows {
        let state = parse(&state, || format!("phase {need}"))?;
        needs.entry(phase).or_default().push((PhaseId::new(need), state));
    }
    Ok(needs)
}

impl WaitingRecord {
    fn with(self, now: UnixMs, needs: &mut Needs) -> Waiting {
        Waiting {
            needs: needs.remove(&self.id).unwrap_or_default(),
            phase_id: PhaseId::new(self.phase_id),
            blocked: self.blocked,
            overlaps: None,
            not_before: (self.not_before > now.0).then_some(UnixMs(self.not_before)),
            held: self.held,
            unfixable: self.unfixable,
        }
    }
}

impl From<Overlap> for Waiting {
    fn from(overlap: Overlap) -> Self {
        Self {
            phase_id: overlap.phase_id,
            blocked: false,
            needs: Vec::new(),
            overlaps: Some(overlap.with),
            not_before: None,
            held: false,
            unfixable: None,
        }
    }
}
