//! Owners: which drains there are, that they live, and that they are asked to stop.
//!
//! Whether a silent owner is dead is found out elsewhere (its lock, its heartbeat's age); here it is only recorded.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use crate::phase::{PhaseId, RunId, UnixMs};

use super::error::StoreError;
use super::open::Store;
use super::rows::{json, number, to_json};
use super::step::Standing;

/// Names one drain, one process's life long.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OwnerId(String);

impl OwnerId {
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for OwnerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub id: OwnerId,
    pub pid: u32,
    pub boot_id: String,
    pub host: String,
    /// Held, and so locked, for as long as the owner lives.
    pub lock_path: String,
    pub runs: Vec<RunId>,
    pub started_at: UnixMs,
}

/// How an owner is asked to end. Never taken back, only made more urgent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopRequest {
    #[default]
    None,
    /// Claim no more; the running phase is stopped and requeued, as at Ctrl-C.
    Graceful,
    Now,
}

/// What an owner learns at each heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    /// Another drain took it for dead: stop at once, nothing it says counts.
    pub fenced: bool,
    pub stop: StopRequest,
}

/// An owner as others see it, with what it executes.
#[derive(Clone, Debug)]
pub struct OwnerRow {
    pub owner: Owner,
    /// By the boot-time clock of `owner.host`, comparable only where `owner.boot_id` is the same.
    pub heartbeat_boot_ms: i64,
    pub stop: StopRequest,
    pub fenced: bool,
    pub executing: Vec<InFlight>,
}

/// An attempt that has not ended, as whoever has to recover it sees it.
#[derive(Clone, Debug)]
pub struct InFlight {
    pub run_id: RunId,
    pub phase_id: PhaseId,
    pub attempt: u32,
    pub owner: OwnerId,
    pub started_at: UnixMs,
    pub agent: Option<String>,
    /// Tries that were charged before it.
    pub tries: u32,
    /// The phase's own, where it has one.
    pub max_attempts: Option<u32>,
    /// What it does now, and since when; redacted. Missing where nobody could write it down.
    pub activity: Option<(String, UnixMs)>,
    pub slot: Option<String>,
    pub log_dir: Option<String>,
    /// There: the branch may have been moved to it, or not.
    pub landing_commit: Option<String>,
    pub(super) standing: Standing,
    pub(super) attempt_row: i64,
}

#[derive(FromRow)]
struct OwnerRecord {
    owner: String,
    pid: i64,
    boot_id: String,
    host: String,
    lock_path: String,
    runs: String,
    started_at: i64,
    heartbeat_boot_ms: i64,
    stop: i64,
    fenced: bool,
}

#[derive(FromRow)]
struct InFlightRecord {
    phase: i64,
    run_id: String,
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
    /// Announces a drain; only announced ones may claim.
    pub async fn register_owner(&self, owner: &Owner, boot_ms: i64) -> Result<(), StoreError> {
        self.named(async {
            sqlx::query(
                "INSERT INTO owners (owner, pid, boot_id, host, lock_path, runs, started_at, heartbeat_boot_ms)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(owner.id.as_str())
            .bind(owner.pid)
            .bind(&owner.boot_id)
            .bind(&owner.host)
            .bind(&owner.lock_path)
            .bind(to_json(&owner.runs))
            .bind(owner.started_at.0)
            .bind(boot_ms)
            .execute(&self.writer)
            .await?;
            Ok(())
        })
        .await
    }

    /// Says that the owner lives, and what is asked of it. An owner that is gone from here was rescued: fenced.
    pub async fn heartbeat(&self, owner: &OwnerId, boot_ms: i64) -> Result<Control, StoreError> {
        self.named(async {
            let stop: Option<i64> = sqlx::query_scalar(
                "UPDATE owners SET heartbeat_boot_ms = ? WHERE owner = ? AND fenced = 0 RETURNING stop",
            )
            .bind(boot_ms)
            .bind(owner.as_str())
            .fetch_optional(&self.writer)
            .await?;
            let fenced = stop.is_none();
            Ok(Control { fenced, stop: stop_request(stop.unwrap_or_default()) })
        })
        .await
    }

    /// What is asked of an owner, without saying that it lives: a look, which costs no write.
    pub async fn control(&self, owner: &OwnerId) -> Result<Control, StoreError> {
        self.named(async {
            let stop: Option<i64> =
                sqlx::query_scalar("SELECT stop FROM owners WHERE owner = ? AND fenced = 0")
                    .bind(owner.as_str())
                    .fetch_optional(&self.reader)
                    .await?;
            Ok(Control { fenced: stop.is_none(), stop: stop_request(stop.unwrap_or_default()) })
        })
        .await
    }

    /// Takes an owner off the list. `false`: it still has work, which has to be finished or recovered first.
    pub async fn unregister_owner(&self, owner: &OwnerId) -> Result<bool, StoreError> {
        self.named(async {
            let mut tx = self.begin().await?;
            sqlx::query(
                "DELETE FROM owners WHERE owner = ?1 AND NOT EXISTS (SELECT 1 FROM phases WHERE owner = ?1)",
            )
            .bind(owner.as_str())
            .execute(&mut *tx)
            .await?;
            let left: bool =
                sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM owners WHERE owner = ?)")
                    .bind(owner.as_str())
                    .fetch_one(&mut *tx)
                    .await?;
            tx.commit().await?;
            Ok(!left)
        })
        .await
    }

    /// From here on the owner may neither claim nor record a landing; its heartbeat tells it so.
    pub async fn fence_owner(&self, owner: &OwnerId) -> Result<(), StoreError> {
        self.named(async {
            sqlx::query("UPDATE owners SET fenced = 1 WHERE owner = ?")
                .bind(owner.as_str())
                .execute(&self.writer)
                .await?;
            Ok(())
        })
        .await
    }

    /// Asks the drains of these runs to stop, of all runs without any. Returns whom it asked, dead ones among them.
    pub async fn request_stop(
        &self,
        runs: &[RunId],
        stop: StopRequest,
    ) -> Result<Vec<Owner>, StoreError> {
        self.named(async {
            let mut tx = self.begin().await?;
            let rows: Vec<OwnerRecord> =
                sqlx::query_as("SELECT * FROM owners ORDER BY started_at, owner")
                    .fetch_all(&mut *tx)
                    .await?;
            let mut asked = Vec::new();
            for row in rows {
                let owner = Owner::try_from(&row)?;
                if !runs.is_empty() && !owner.runs.iter().any(|run| runs.contains(run)) {
                    continue;
                }
                sqlx::query("UPDATE owners SET stop = ?1 WHERE owner = ?2 AND stop < ?1")
                    .bind(stop as i64)
                    .bind(owner.id.as_str())
                    .execute(&mut *tx)
                    .await?;
                asked.push(owner);
            }
            tx.commit().await?;
            Ok(asked)
        })
        .await
    }

    /// All owners with what they execute, oldest first.
    pub async fn owners(&self) -> Result<Vec<OwnerRow>, StoreError> {
        self.named(async {
            let mut tx = self.reader.begin().await?;
            let rows: Vec<OwnerRecord> =
                sqlx::query_as("SELECT * FROM owners ORDER BY started_at, owner").fetch_all(&mut *tx).await?;
            let in_flight: Vec<InFlightRecord> = sqlx::query_as(
                "SELECT p.id AS phase, r.run_id, p.phase_id, p.state, a.id AS attempt_row, a.attempt, a.owner,
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
                stop: stop_request(row.stop),
                fenced: row.fenced,
                executing: work.remove(&row.owner).unwrap_or_default(),
            })
        })
        .collect()
}

/// The table's CHECK allows no other number.
fn stop_request(stored: i64) -> StopRequest {
    match stored {
        0 => StopRequest::None,
        1 => StopRequest::Graceful,
        _ => StopRequest::Now,
    }
}

impl TryFrom<&OwnerRecord> for Owner {
    type Error = StoreError;

    fn try_from(row: &OwnerRecord) -> Result<Self, StoreError> {
        let name = || format!("owner {}", row.owner);
        Ok(Self {
            id: OwnerId::new(&row.owner),
            pid: number(row.pid, name)?,
            boot_id: row.boot_id.clone(),
            host: row.host.clone(),
            lock_path: row.lock_path.clone(),
            runs: json(&row.runs, name)?,
            started_at: UnixMs(row.started_at),
        })
    }
}

impl TryFrom<InFlightRecord> for InFlight {
    type Error = StoreError;

    fn try_from(row: InFlightRecord) -> Result<Self, StoreError> {
        let name = || format!("phase {} of run {}", row.phase_id, row.run_id);
        let attempt = number(row.attempt, name)?;
        let (run_id, phase_id) = (RunId::new(&row.run_id), PhaseId::new(&row.phase_id));
        let owner = OwnerId::new(&row.owner);
        let standing = Standing {
            id: row.phase,
            run_id: run_id.clone(),
            phase_id: phase_id.clone(),
            state: super::rows::parse(&row.state, name)?,
            owner: Some(owner.clone()),
            executions: attempt,
        };
        Ok(Self {
            run_id,
            phase_id,
            attempt,
            owner,
            started_at: UnixMs(row.started_at),
            agent: row.agent,
            tries: number(row.tries, name)?,
            max_attempts: row.max_attempts.map(|n| number(n, name)).transpose()?,
            activity: row.activity.zip(row.activity_at.map(UnixMs)),
            slot: row.slot,
            log_dir: row.log_dir,
            landing_commit: row.landing_commit,
            standing,
            attempt_row: row.attempt_row,
        })
    }
}
