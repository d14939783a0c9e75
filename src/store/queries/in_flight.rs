//! Owners with their unfinished attempts, for status displays and for reclaiming.

use std::collections::HashMap;

use sqlx::FromRow;

use crate::phase::{PhaseId, RunId, UnixMs};
use crate::store::backend::query_as;

use crate::store::columns::{number, parse};
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::owner_id::OwnerId;
use crate::store::queue::owners::{OWNERS, Owner, OwnerRecord, StopRequest, stop_request};
use crate::store::state_step::PhaseSnapshot;

/// A registered owner with the attempts in progress.
#[derive(Clone, Debug)]
pub struct OwnerRow {
    /// The owner as registered.
    pub owner: Owner,
    /// Last heartbeat, in milliseconds of the boot-time clock of `owner.host`; comparable only for the same
    /// `owner.boot_id`.
    pub heartbeat_boot_ms: i64,
    /// Milliseconds since the last heartbeat by the database's clock; `None` if not recorded.
    pub silent_ms: Option<u64>,
    /// Requested stop.
    pub stop: StopRequest,
    /// Whether the owner was fenced.
    pub fenced: bool,
    /// Attempts in progress.
    pub executing: Vec<InFlight>,
}

/// An unfinished attempt, with everything needed for reclaiming.
#[derive(Clone, Debug)]
pub struct InFlight {
    /// Run of the phase.
    pub run_id: RunId,
    /// Repository of the run, once recorded by a drain; before, nothing can have landed.
    pub repo: Option<String>,
    /// Phase of the attempt.
    pub phase_id: PhaseId,
    /// Number of the attempt.
    pub attempt: u32,
    /// Owner executing the attempt.
    pub owner: OwnerId,
    /// Start of the attempt.
    pub started_at: UnixMs,
    /// Agent, once started.
    pub agent: Option<String>,
    /// Counted attempts before this attempt.
    pub counted_attempts: u32,
    /// Limit of counted attempts set by the phase.
    pub max_attempts: Option<u32>,
    /// Current activity, redacted, and its start; `None` if not recorded.
    pub activity: Option<(String, UnixMs)>,
    /// Slot of the attempt.
    pub slot: Option<String>,
    /// Directory of the logs.
    pub log_dir: Option<String>,
    /// Recorded commit; the branch may or may not have been moved to the commit.
    pub landing_commit: Option<String>,
    pub(in crate::store) snapshot: PhaseSnapshot,
    pub(crate) attempt_row: i64,
}

#[derive(FromRow)]
struct InFlightRecord {
    phase: i64,
    run_id: String,
    repo: Option<String>,
    phase_id: String,
    state: String,
    attempt_row: i64,
    attempt: i64,
    owner: String,
    started_at: i64,
    agent: Option<String>,
    tries: i64,
    max_attempts: Option<i64>,
    activity: Option<String>,
    activity_at: Option<i64>,
    slot: Option<String>,
    log_dir: Option<String>,
    landing_commit: Option<String>,
}

impl Store {
    /// Returns all owners with their unfinished attempts, oldest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn owners(&self) -> Result<Vec<OwnerRow>, StoreError> {
        self.named(|| async move {
            let mut tx = self.reader.begin().await?;
            let rows: Vec<OwnerRecord> =
                query_as(OWNERS)
                .fetch_all(&mut *tx)
                .await?;
            let in_flight: Vec<InFlightRecord> = query_as(
                "SELECT p.id AS phase, r.run_id, r.repo, p.phase_id, p.state, a.id AS attempt_row, a.attempt, a.owner,
                        a.started_at, a.agent, p.attempts AS tries, p.max_attempts, a.activity, a.activity_at, a.slot, a.log_dir, a.landing_commit
                   FROM phases p
                   JOIN runs r ON r.id = p.run
                   JOIN attempts a ON a.phase = p.id AND a.attempt = p.executions
                  WHERE p.owner IS NOT NULL
                  ORDER BY a.started_at, a.id",
            )
            .fetch_all(&mut *tx)
            .await?;
            with_work(rows, in_flight)
        })
        .await
    }
}

fn with_work(
    rows: Vec<OwnerRecord>,
    in_flight: Vec<InFlightRecord>,
) -> Result<Vec<OwnerRow>, StoreError> {
    let mut work: HashMap<String, Vec<InFlight>> = HashMap::new();
    for row in in_flight {
        work.entry(row.owner.clone()).or_default().push(row.try_into()?);
    }
    rows.into_iter()
        .map(|row| {
            Ok(OwnerRow {
                owner: Owner::try_from(&row)?,
                heartbeat_boot_ms: row.heartbeat_boot_ms,
                silent_ms: row.silent_ms.map(|ms| u64::try_from(ms).unwrap_or_default()),
                stop: stop_request(row.stop, row.winding_down),
                fenced: row.fenced,
                executing: work.remove(&row.owner).unwrap_or_default(),
            })
        })
        .collect()
}

impl TryFrom<InFlightRecord> for InFlight {
    type Error = StoreError;

    fn try_from(row: InFlightRecord) -> Result<Self, StoreError> {
        let name = || format!("phase {} of run {}", row.phase_id, row.run_id);
        let attempt = number(row.attempt, name)?;
        let (run_id, phase_id) = (RunId::new(&row.run_id), PhaseId::new(&row.phase_id));
        let owner = OwnerId::new(&row.owner);
        let snapshot = PhaseSnapshot {
            id: row.phase,
            run_id: run_id.clone(),
            phase_id: phase_id.clone(),
            state: parse(&row.state, name)?,
            owner: Some(owner.clone()),
            executions: attempt,
        };
        Ok(Self {
            run_id,
            repo: row.repo,
            phase_id,
            attempt,
            owner,
            started_at: UnixMs(row.started_at),
            agent: row.agent,
            counted_attempts: number(row.tries, name)?,
            max_attempts: row.max_attempts.map(|n| number(n, name)).transpose()?,
            activity: row.activity.zip(row.activity_at.map(UnixMs)),
            slot: row.slot,
            log_dir: row.log_dir,
            landing_commit: row.landing_commit,
            snapshot,
            attempt_row: row.attempt_row,
        })
    }
}
