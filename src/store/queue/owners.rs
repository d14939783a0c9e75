//! Owners: registered drains, their heartbeats and stop requests. Their attempts: `in_flight`.
//!
//! Lock and heartbeat age decide elsewhere whether a silent owner is dead; this module only records the decision.

use sqlx::FromRow;

use crate::clock::TimeQuestion;
use crate::phase::{RunId, UnixMs};
use crate::store::backend::{Connection, query, query_as, query_scalar};

use super::open_undos::refuse_open_undo;
use crate::store::columns::{json, number, signed, to_json};
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::owner_id::OwnerId;

/// Process of an owner, and the scope within which the process id is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerProcess {
    /// Process id.
    pub pid: u32,
    /// Start of the process in kernel ticks since boot; `None` if the system does not report the time.
    pub process_start: Option<u64>,
    /// Id of the boot.
    pub boot_id: String,
    /// Host name.
    pub host: String,
    /// Id of the machine's installation; `None` if unknown.
    pub machine: Option<String>,
    /// PID namespace on the machine; `None` if unknown.
    pub pid_namespace: Option<String>,
}

/// A registered drain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Id of the drain.
    pub id: OwnerId,
    /// Process of the drain.
    pub process: OwnerProcess,
    /// Allowed silence in milliseconds. `None`: registered by an older autopack without this value.
    pub lease_ms: Option<u64>,
    /// Identity of the repository. `None`: registered by an older autopack without this value.
    pub repo: Option<String>,
    /// Lock file, locked for as long as the owner lives.
    pub lock_path: String,
    /// Runs to drain.
    pub runs: Vec<RunId>,
    /// Start of the drain.
    pub started_at: UnixMs,
    /// Number of workers. `None`: no drain, or not recorded.
    pub workers: Option<u32>,
    /// Labels of the machine.
    pub labels: Vec<String>,
}

/// How urgently an owner is asked to stop. Requests are never withdrawn, only made more urgent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopRequest {
    /// No stop requested.
    #[default]
    None,
    /// Claim nothing more and finish the running phases.
    AfterCurrent,
    /// Claim nothing more; stop and requeue the running phase, as on Ctrl-C.
    Graceful,
    /// Stop at once.
    Now,
}

/// Answer to a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    /// Another drain considered the owner dead: stop at once, further results do not count.
    pub fenced: bool,
    /// Requested stop.
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
    pub winding_down: bool,
    pub fenced: bool,
    lease_ms: Option<i64>,
    repo: Option<String>,
    machine: Option<String>,
    pid_namespace: Option<String>,
    process_start: Option<i64>,
    labels: String,
    workers: Option<i64>,
    pub silent_ms: Option<i64>,
}

/// Selects every [`OwnerRecord`], oldest first.
pub(crate) const OWNERS: &str = concat!(
    "SELECT owners.*, ",
    database_now!(),
    " - renewed_at AS silent_ms FROM owners ORDER BY started_at, owner"
);

impl Store {
    /// Registers a drain; only registered drains may claim.
    ///
    /// # Errors
    /// [`StoreError::RunIsBeingUndone`] during an undo or an update in one of its runs, or the database cannot be written.
    pub async fn register_owner(&self, owner: &Owner, boot_ms: i64) -> Result<(), StoreError> {
        self.named(|| async move {
            let mut tx = self.begin().await?;
            refuse_open_undo(&mut tx, &to_json(&owner.runs)).await?;
            query(
                "INSERT INTO owners (owner, pid, boot_id, host, machine, pid_namespace, process_start, lease_ms, repo,
                                     lock_path, runs, started_at, heartbeat_boot_ms)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(owner.id.as_str())
            .bind(owner.process.pid)
            .bind(&owner.process.boot_id)
            .bind(&owner.process.host)
            .bind(&owner.process.machine)
            .bind(&owner.process.pid_namespace)
            .bind(owner.process.process_start.map(signed))
            .bind(owner.lease_ms.map(signed))
            .bind(&owner.repo)
            .bind(&owner.lock_path)
            .bind(to_json(&owner.runs))
            .bind(owner.started_at.0)
            .bind(boot_ms)
            .execute(&mut *tx)
            .await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    /// Records the machine of a drain: the number of workers, and the labels that phases may ask for.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn record_machine(
        &self,
        owner: &OwnerId,
        workers: u32,
        labels: &[String],
    ) -> Result<(), StoreError> {
        self.named(|| async move {
            query(concat!(
                "UPDATE owners SET workers = ?, labels = ?, renewed_at = ",
                database_now!(),
                " WHERE owner = ?"
            ))
            .bind(workers)
            .bind(to_json(&labels))
            .bind(owner.as_str())
            .execute(&self.writer)
            .await?;
            Ok(())
        })
        .await
    }

    /// Records a heartbeat, takes over the time of a server, and returns the requests to the owner. A missing row means the owner was reclaimed, and so
    /// fenced.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn record_heartbeat(
        &self,
        owner: &OwnerId,
        boot_ms: i64,
    ) -> Result<Control, StoreError> {
        self.named(|| async move {
            let question = TimeQuestion::begin();
            let row: Option<(i64, bool, i64)> = query_as(concat!(
                "UPDATE owners SET heartbeat_boot_ms = ?, renewed_at = ",
                database_now!(),
                " WHERE owner = ? AND NOT fenced RETURNING stop, winding_down, renewed_at"
            ))
            .bind(boot_ms)
            .bind(owner.as_str())
            .fetch_optional(self.heartbeat_pool())
            .await?;
            if let Some((_, _, server_ms)) = row
                && self.file().is_none()
            {
                question.answer(server_ms);
            }
            Ok(Control::of(row.map(|(stop, winding_down, _)| (stop, winding_down))))
        })
        .await
    }

    /// Returns the last heartbeat of an owner, unless the owner is fenced or gone.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn read_heartbeat(&self, owner: &OwnerId) -> Result<Option<i64>, StoreError> {
        self.named(|| async move {
            Ok(query_scalar("SELECT heartbeat_boot_ms FROM owners WHERE owner = ? AND NOT fenced")
                .bind(owner.as_str())
                .fetch_optional(&self.reader)
                .await?)
        })
        .await
    }

    /// Returns the requests to an owner without recording a heartbeat: a read, without a write.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn read_control(&self, owner: &OwnerId) -> Result<Control, StoreError> {
        self.named(|| async move {
            let row: Option<(i64, bool)> =
                query_as("SELECT stop, winding_down FROM owners WHERE owner = ? AND NOT fenced")
                    .bind(owner.as_str())
                    .fetch_optional(&self.reader)
                    .await?;
            Ok(Control::of(row))
        })
        .await
    }

    /// Unregisters an owner. Returns `false` while the owner has unfinished attempts; they must be finished or
    /// reclaimed first.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn unregister_owner(&self, owner: &OwnerId) -> Result<bool, StoreError> {
        self.named(|| async move {
            let mut tx = self.begin().await?;
            query(
                "DELETE FROM owners WHERE owner = ?1 AND NOT EXISTS (SELECT 1 FROM phases WHERE owner = ?1)",
            )
            .bind(owner.as_str())
            .execute(&mut *tx)
            .await?;
            let left: bool =
                query_scalar("SELECT EXISTS (SELECT 1 FROM owners WHERE owner = ?)")
                    .bind(owner.as_str())
                    .fetch_one(&mut *tx)
                    .await?;
            tx.commit().await?;
            Ok(!left)
        })
        .await
    }

    /// Fences an owner: from now on the owner can neither claim, nor record a landing, nor finish an attempt; the next
    /// heartbeat reports the fence.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn fence_owner(&self, owner: &OwnerId) -> Result<(), StoreError> {
        self.named(|| async move {
            query("UPDATE owners SET fenced = TRUE WHERE owner = ?")
                .bind(owner.as_str())
                .execute(&self.writer)
                .await?;
            Ok(())
        })
        .await
    }
}

/// Checks whether the owner is fenced, or unregistered by a reclaiming drain.
pub(crate) async fn is_fenced(tx: &mut Connection, owner: &OwnerId) -> Result<bool, StoreError> {
    let may: bool =
        query_scalar("SELECT EXISTS (SELECT 1 FROM owners WHERE owner = ? AND NOT fenced)")
            .bind(owner.as_str())
            .fetch_one(tx)
            .await?;
    Ok(!may)
}

impl Control {
    /// Decodes the row of an owner; a missing row means the owner is fenced or gone.
    fn of(row: Option<(i64, bool)>) -> Self {
        let (stop, winding_down) = row.unwrap_or_default();
        Self { fenced: row.is_none(), stop: stop_request(stop, winding_down) }
    }
}

/// Decodes a stop request; a CHECK constraint allows no other number.
pub(crate) fn stop_request(stored: i64, winding_down: bool) -> StopRequest {
    match stored {
        0 if winding_down => StopRequest::AfterCurrent,
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
            process: OwnerProcess {
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
            workers: row.workers.map(|n| number(n, name)).transpose()?,
            labels: json(&row.labels, name)?,
        })
    }
}
