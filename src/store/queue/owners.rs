//! Owners: which drains there are, that they live, and that they are asked to stop. What they execute: `in_flight`.
//!
//! Whether a silent owner is dead is found out elsewhere (its lock, its heartbeat's age); here it is only recorded.

use serde::{Deserialize, Serialize};
use sqlx::{FromRow, SqliteConnection};

use crate::phase::{RunId, UnixMs};

use crate::store::columns::{json, number, signed, to_json};
use crate::store::error::StoreError;
use crate::store::open::Store;

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

/// Which process an owner is, and where its process id means something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub pid: u32,
    /// When the process began, in the kernel's ticks since boot; `None` where the system does not say.
    pub process_start: Option<u64>,
    pub boot_id: String,
    pub host: String,
    /// Names the machine's installation, and the PID namespace on it. `None`: not known.
    pub machine: Option<String>,
    pub pid_namespace: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub id: OwnerId,
    pub place: Place,
    /// How long it may be silent, in milliseconds. `None`: an older autopack, which did not say.
    pub lease_ms: Option<u64>,
    /// The identity of the repository that it works in. `None`: an older autopack, which did not say.
    pub repo: Option<String>,
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

#[derive(FromRow)]
pub(crate) struct OwnerRecord {
    pub owner: String,
    pid: i64,
    boot_id: String,
    host: String,
    lock_path: String,
    runs: String,
    started_at: i64,
    pub heartbeat_boot_ms: i64,
    pub stop: i64,
    pub fenced: bool,
    lease_ms: Option<i64>,
    repo: Option<String>,
    machine: Option<String>,
    pid_namespace: Option<String>,
    process_start: Option<i64>,
}

impl Store {
    /// Announces a drain; only announced ones may claim.
    pub async fn register_owner(&self, owner: &Owner, boot_ms: i64) -> Result<(), StoreError> {
        self.named(async {
            sqlx::query(
                "INSERT INTO owners (owner, pid, boot_id, host, machine, pid_namespace, process_start, lease_ms, repo,
                                     lock_path, runs, started_at, heartbeat_boot_ms)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(owner.id.as_str())
            .bind(owner.place.pid)
            .bind(&owner.place.boot_id)
            .bind(&owner.place.host)
            .bind(&owner.place.machine)
            .bind(&owner.place.pid_namespace)
            .bind(owner.place.process_start.map(signed))
            .bind(owner.lease_ms.map(signed))
            .bind(&owner.repo)
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

    /// The heartbeat of an owner that was not fenced, as it stands; `None` where there is none.
    pub async fn heartbeat_of(&self, owner: &OwnerId) -> Result<Option<i64>, StoreError> {
        self.named(async {
            Ok(sqlx::query_scalar(
                "SELECT heartbeat_boot_ms FROM owners WHERE owner = ? AND fenced = 0",
            )
            .bind(owner.as_str())
            .fetch_optional(&self.reader)
            .await?)
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

    /// From here on the owner may neither claim, nor record a landing, nor finish an attempt; its heartbeat tells it so.
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
}

/// Whether the owner was fenced, or taken off the list by whoever rescued its work.
pub(crate) async fn is_fenced(
    tx: &mut SqliteConnection,
    owner: &OwnerId,
) -> Result<bool, StoreError> {
    let may: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM owners WHERE owner = ? AND fenced = 0)")
            .bind(owner.as_str())
            .fetch_one(tx)
            .await?;
    Ok(!may)
}

/// The table's CHECK allows no other number.
pub(crate) fn stop_request(stored: i64) -> StopRequest {
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
            place: Place {
                pid: number(row.pid, name)?,
                process_start: row.process_start.map(|n| number(n, name)).transpose()?,
                boot_id: row.boot_id.clone(),
                host: row.host.clone(),
                machine: row.machine.clone(),
                pid_namespace: row.pid_namespace.clone(),
            },
            lease_ms: row.lease_ms.map(|n| number(n, name)).transpose()?,
            repo: row.repo.clone(),
            lock_path: row.lock_path.clone(),
            runs: json(&row.runs, name)?,
            started_at: UnixMs(row.started_at),
        })
    }
}
