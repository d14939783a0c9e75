//! Liveness of another drain, and checks of the heartbeat if liveness cannot be determined at once.
//!
//! The state of a lock or a process id is meaningful only on the same machine, in the same boot and PID namespace.
//! Everywhere else, and for a live process without a lock, only the heartbeat counts. The age of the heartbeat is not
//! used: the clock may be another machine's, or both machines may have been suspended. A heartbeat counts as alive if
//! the value changes during our checks.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::boot_clock_ms;
use crate::process::lock::{self, LockState};
use crate::process::{boot_id, host_place};
use crate::store::{Owner, OwnerId, OwnerProcess, OwnerRow, Store};
use crate::workspace::Repo;

/// Liveness of another drain, as far as known without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Liveness {
    /// No part of the drain can continue: the process is gone, the lock is free, or another drain fenced the owner.
    Dead,
    /// The drain holds the lock. The process may still be stuck.
    Locked,
    /// The lock or the process cannot be checked from here.
    Unknown,
}

/// Describes this process.
pub(super) fn this_process() -> OwnerProcess {
    let pid = std::process::id();
    OwnerProcess {
        pid,
        process_start: host_place::process_start(pid),
        boot_id: boot_id(),
        host: host_place::host(),
        machine: host_place::machine(),
        pid_namespace: host_place::pid_namespace(),
    }
}

/// Determines the liveness of a drain without waiting.
pub(super) fn liveness(row: &OwnerRow) -> Liveness {
    match row.fenced {
        true => Liveness::Dead,
        false => of_owner(&row.owner),
    }
}

fn of_owner(owner: &Owner) -> Liveness {
    let here = this_process();
    if !is_same_host(&owner.process, &here) {
        return Liveness::Unknown;
    }
    let state = lock::read_state(owner.lock_path.as_ref()).ok();
    let running = host_place::is_running(owner.process.pid, owner.process.process_start);
    judge(state, running, owner.process.pid == here.pid)
}

/// Returns whether a drain is shown as dead. Besides drains certainly dead, this includes a drain from before this
/// host's last boot; for such a drain, recovery checks the heartbeat first.
pub fn appears_dead(owner: &Owner) -> bool {
    match of_owner(owner) {
        Liveness::Dead => true,
        Liveness::Locked => false,
        Liveness::Unknown => {
            let (theirs, here) = (&owner.process, this_process());
            theirs.boot_id != here.boot_id
                && theirs.host == here.host
                && matches!(lock::read_state(owner.lock_path.as_ref()), Ok(LockState::Free))
        }
    }
}

/// Combines the checks. `state`: state of the lock file, `None` if not accessible; `running`: whether this exact
/// process runs, `None` if only a process with the same id runs; `is_us`: the owner is this process under an earlier
/// name.
fn judge(state: Option<LockState>, running: Option<bool>, is_us: bool) -> Liveness {
    match (state, running) {
        (Some(LockState::Held), _) => Liveness::Locked,
        (_, Some(false)) => Liveness::Dead,
        (Some(LockState::Free), _) if is_us => Liveness::Dead,
        // Older versions recorded no start time: the id may belong to another process by now.
        (Some(LockState::Free), None) => Liveness::Dead,
        // The lock file was deleted or replaced while the lock is held.
        (_, Some(true) | None) => Liveness::Unknown,
    }
}

/// Whether a drain works in this clone, on this machine.
pub fn executes_here(owner: &Owner, repo: &Repo) -> bool {
    is_same_host(&owner.process, &this_process())
        && Path::new(&owner.lock_path).starts_with(repo.autopack_dir())
}

/// Compares the hosts of two processes. Older versions recorded only boot and host.
fn is_same_host(theirs: &OwnerProcess, here: &OwnerProcess) -> bool {
    let same = |theirs: &Option<String>, here: &Option<String>| theirs.is_none() || theirs == here;
    theirs.boot_id == here.boot_id
        && theirs.host == here.host
        && same(&theirs.machine, &here.machine)
        && same(&theirs.pid_namespace, &here.pid_namespace)
}

/// Returns the lease of an owner; for an owner without a recorded lease, ours.
fn lease(row: &OwnerRow, ours: Duration) -> Duration {
    row.owner.lease_ms.map_or(ours, Duration::from_millis)
}

/// Quarters of the lease without a heartbeat, observed by us, if the age says the heartbeat is overdue.
const QUARTERS_OVERDUE: u32 = 2;
/// Quarters of the lease without a heartbeat, observed by us, if nothing else is known: a whole lease.
const QUARTERS_UNKNOWN: u32 = 4;

/// Heartbeat checks in progress.
#[derive(Debug, Default)]
pub(super) struct HeartbeatChecks {
    /// Checks by owner.
    under_way: HashMap<OwnerId, HeartbeatCheck>,
}

#[derive(Debug)]
struct HeartbeatCheck {
    task: tokio::task::JoinHandle<()>,
    /// Last heartbeat value, once unchanged for the whole check.
    silent_at: Arc<Mutex<Option<i64>>>,
}

impl Drop for HeartbeatCheck {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl HeartbeatChecks {
    /// Returns whether an owner is gone: dead, or silent for as long as its lease and our checks require. Never
    /// waits: in doubt, starts a check, and a later call has the answer.
    pub fn is_gone(&mut self, store: &Store, row: &OwnerRow, our_lease: Duration) -> bool {
        let id = &row.owner.id;
        let lease = lease(row, our_lease);
        let quarters = match liveness(row) {
            Liveness::Dead => {
                self.under_way.remove(id);
                return true;
            }
            Liveness::Locked if age(row) <= lease => {
                self.under_way.remove(id);
                return false;
            }
            Liveness::Locked => QUARTERS_OVERDUE,
            Liveness::Unknown => QUARTERS_UNKNOWN,
        };
        if let Some(check) = self.under_way.get(id) {
            let silent_at = *check.silent_at.lock().unwrap_or_else(PoisonError::into_inner);
            match silent_at {
                Some(at) if at == row.heartbeat_boot_ms => return true,
                None if !check.task.is_finished() => return false,
                // The heartbeat changed; a new check starts for the new value.
                Some(_) | None => {}
            }
        }
        let silent_at = Arc::default();
        let task = tokio::spawn(watch_heartbeat(
            store.clone(),
            id.clone(),
            lease / 4,
            quarters,
            Arc::clone(&silent_at),
        ));
        self.under_way.insert(id.clone(), HeartbeatCheck { task, silent_at });
        false
    }

    /// Forgets owners no longer listed.
    pub fn retain(&mut self, rows: &[OwnerRow]) {
        self.under_way.retain(|id, _| rows.iter().any(|row| row.owner.id == *id));
    }
}

/// Returns the age of the heartbeat by the boot-time clock shared with the owner.
fn age(row: &OwnerRow) -> Duration {
    let age = boot_clock_ms().saturating_sub(row.heartbeat_boot_ms);
    Duration::from_millis(u64::try_from(age).unwrap_or_default())
}

/// Polls the heartbeat after each quarter of the lease; ends as soon as the value changes.
async fn watch_heartbeat(
    store: Store,
    id: OwnerId,
    quarter: Duration,
    quarters: u32,
    silent_at: Arc<Mutex<Option<i64>>>,
) {
    let Ok(Some(first)) = store.read_heartbeat(&id).await else { return };
    for _ in 0..quarters {
        stay_awake_for(quarter).await;
        match store.read_heartbeat(&id).await {
            Ok(Some(now)) if now == first => {}
            // An unreadable database says nothing about the owner.
            _ => return,
        }
    }
    *silent_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(first);
}

/// Waits for the given time while this process runs. Time spent stopped or suspended, possibly together with the
/// owner, does not count.
async fn stay_awake_for(time: Duration) {
    let step = (time / 8).clamp(Duration::from_millis(5), Duration::from_millis(500));
    let mut awake = Duration::ZERO;
    while awake < time {
        let before = Instant::now();
        tokio::time::sleep(step).await;
        awake += before.elapsed().min(step * 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_lock_means_dead_and_missing_lock_is_decided_by_the_process() {
        use {Liveness as L, LockState as S};
        for (state, running, liveness) in [
            (Some(S::Held), Some(true), L::Locked),
            (Some(S::Held), Some(false), L::Locked),
            (Some(S::Free), Some(false), L::Dead),
            (Some(S::Free), None, L::Dead),
            // The lock file was replaced by another file.
            (Some(S::Free), Some(true), L::Unknown),
            (Some(S::Missing), Some(true), L::Unknown),
            (Some(S::Missing), None, L::Unknown),
            (Some(S::Missing), Some(false), L::Dead),
            (None, Some(true), L::Unknown),
            (None, Some(false), L::Dead),
        ] {
            assert_eq!(judge(state, running, false), liveness, "{state:?} {running:?}");
        }
        assert_eq!(judge(Some(S::Free), Some(true), true), L::Dead, "our own earlier name");
    }

    #[test]
    fn owner_of_another_boot_host_machine_or_namespace_is_unknown() {
        let here = OwnerProcess {
            pid: 1,
            process_start: Some(1),
            boot_id: "boot".into(),
            host: "host".into(),
            machine: Some("machine".into()),
            pid_namespace: Some("pid:[1]".into()),
        };
        let older = OwnerProcess { machine: None, pid_namespace: None, ..here.clone() };
        assert!(is_same_host(&here, &here) && is_same_host(&older, &here));
        for elsewhere in [
            OwnerProcess { boot_id: "other".into(), ..here.clone() },
            OwnerProcess { host: "other".into(), ..here.clone() },
            OwnerProcess { machine: Some("other".into()), ..here.clone() },
            OwnerProcess { pid_namespace: Some("pid:[2]".into()), ..here.clone() },
            OwnerProcess { boot_id: "other".into(), ..older },
        ] {
            assert!(!is_same_host(&elsewhere, &here), "{elsewhere:?}");
        }
    }
}
