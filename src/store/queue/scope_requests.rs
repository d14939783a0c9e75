//! Scope requests: kept with their phase when the attempt ends; granted files join the phase's scope.

use std::collections::{BTreeSet, HashMap};

use sqlx::FromRow;

use crate::phase::scope_request::{DecidedPath, RequestDecision, widen};
use crate::phase::{PhaseId, RawSpec, RunId, UnixMs};
use crate::store::backend::{Connection, query, query_as, query_scalar};
use crate::store::columns::{json, number, to_json};
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::state_step::PhaseSnapshot;

/// A requested path, as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRequest {
    /// Attempt whose agent asked.
    pub attempt: u32,
    /// The path with the decision.
    pub decided: DecidedPath,
    /// End of the attempt.
    pub at: UnixMs,
}

#[derive(FromRow)]
struct RequestRecord {
    attempt: i64,
    path: String,
    reason: Option<String>,
    decision: String,
    why: String,
    created_at: i64,
}

#[derive(FromRow)]
struct RunRequestRecord {
    phase_id: String,
    #[sqlx(flatten)]
    request: RequestRecord,
}

/// Selects the requests of a run by phase, oldest first.
const OF_RUN: &str =
    "SELECT p.phase_id, s.attempt, s.path, s.reason, s.decision, s.why, s.created_at
       FROM phases p JOIN scope_requests s ON s.phase = p.id
      WHERE p.run = ? ORDER BY p.position, s.attempt, s.position";

/// Selects the requests of a phase, oldest first.
const OF_PHASE: &str = "SELECT attempt, path, reason, decision, why, created_at
       FROM scope_requests WHERE phase = ? ORDER BY attempt, position";

impl Store {
    /// Returns the requests of a phase since its spec last changed, oldest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn scope_requests(
        &self,
        run: &RunId,
        phase: &PhaseId,
    ) -> Result<Vec<KeptRequest>, StoreError> {
        self.named(|| async move {
            let mut tx = self.reader.begin().await?;
            let row = self.phase_record(&mut tx, run, phase).await?;
            requests_of(&mut tx, row.id, || row.name()).await
        })
        .await
    }

    /// Returns the requests of all phases of a run, as [`Store::scope_requests`].
    ///
    /// # Errors
    /// The run is unknown, or the database cannot be read.
    pub async fn scope_requests_of_run(
        &self,
        run: &RunId,
    ) -> Result<HashMap<PhaseId, Vec<KeptRequest>>, StoreError> {
        self.named(|| async move {
            let mut tx = self.reader.begin().await?;
            let row = self.run_row(&mut tx, run).await?;
            let rows: Vec<RunRequestRecord> =
                query_as(OF_RUN).bind(row).fetch_all(&mut *tx).await?;
            let mut requests: HashMap<PhaseId, Vec<KeptRequest>> = HashMap::new();
            for RunRequestRecord { phase_id, request } in rows {
                let name = || format!("phase {phase_id} of run {run}");
                let request = request.into_request(name)?;
                requests.entry(PhaseId::new(&phase_id)).or_default().push(request);
            }
            Ok(requests)
        })
        .await
    }
}

/// Returns the number of attempts whose requests were granted.
pub fn granted_attempts(requests: &[KeptRequest]) -> u32 {
    let granted = requests.iter().filter(|request| request.decided.is_granted());
    let attempts: BTreeSet<u32> = granted.map(|request| request.attempt).collect();
    u32::try_from(attempts.len()).unwrap_or(u32::MAX)
}

/// Returns the paths without their attempts.
pub fn decided_paths(requests: &[KeptRequest]) -> Vec<DecidedPath> {
    requests.iter().map(|request| request.decided.clone()).collect()
}

/// Reads the requests of a phase, oldest first.
pub(super) async fn requests_of(
    tx: &mut Connection,
    phase: i64,
    name: impl Fn() -> String,
) -> Result<Vec<KeptRequest>, StoreError> {
    let rows: Vec<RequestRecord> = query_as(OF_PHASE).bind(phase).fetch_all(tx).await?;
    rows.into_iter().map(|row| row.into_request(&name)).collect()
}

/// Keeps the requests of the attempt that ends, and adds granted files to the scope. The next claim computes the
/// footprint.
pub(super) async fn save_requests(
    tx: &mut Connection,
    snapshot: &PhaseSnapshot,
    requests: &[DecidedPath],
    ended: UnixMs,
) -> Result<(), StoreError> {
    for (position, request) in (0_i64..).zip(requests) {
        query(
            "INSERT INTO scope_requests (phase, attempt, position, path, reason, decision, why, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(snapshot.id)
        .bind(snapshot.executions)
        .bind(position)
        .bind(&request.path)
        .bind(&request.reason)
        .bind(request.decision.as_str())
        .bind(&request.why)
        .bind(ended.0)
        .execute(&mut *tx)
        .await?;
    }
    if !requests.iter().any(DecidedPath::is_granted) {
        return Ok(());
    }
    let spec: String = query_scalar("SELECT COALESCE(spec, raw_spec) FROM phases WHERE id = ?")
        .bind(snapshot.id)
        .fetch_one(&mut *tx)
        .await?;
    let name = || format!("phase {} of run {}", snapshot.phase_id, snapshot.run_id);
    let spec: RawSpec = json(&spec, name)?;
    query(
        "UPDATE phases SET spec = ?, spec_version = spec_version + 1, footprint = NULL WHERE id = ?",
    )
    .bind(to_json(&widen(&spec, requests)))
    .bind(snapshot.id)
    .execute(tx)
    .await?;
    Ok(())
}

/// Forgets the requests of a phase whose spec changes.
pub(in crate::store) async fn drop_requests(
    tx: &mut Connection,
    phase: i64,
) -> Result<(), StoreError> {
    query("DELETE FROM scope_requests WHERE phase = ?").bind(phase).execute(tx).await?;
    Ok(())
}

impl RequestRecord {
    fn into_request(self, name: impl Fn() -> String) -> Result<KeptRequest, StoreError> {
        let decision = RequestDecision::ALL.into_iter().find(|one| one.as_str() == self.decision);
        let decision = decision.unwrap_or(RequestDecision::Unused);
        Ok(KeptRequest {
            attempt: number(self.attempt, name)?,
            at: UnixMs(self.created_at),
            decided: DecidedPath { path: self.path, reason: self.reason, decision, why: self.why },
        })
    }
}
