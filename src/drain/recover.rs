//! Recovery after a dead or stuck drain of this repository: ends the processes, recognizes a landing, queues the
//! phases again.
//!
//! `liveness` decides which drains are dead or stuck. A database may serve several repositories: work is recovered
//! only in the repository of the work, because only the branch there shows whether it landed.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::Drain;
use super::liveness::{HeartbeatChecks, Liveness, liveness};
use crate::attempt::{AttemptDirectory, AttemptError, DrainContext};
use crate::clock::now;
use crate::phase::{PhaseId, PhaseState, RunId};
use crate::process::child_env::OWNER;
use crate::process::{lock, sweep_marked};
use crate::store::{InFlight, Owner, OwnerId, OwnerRow, ReclaimOutcome, Store, StoreError};
use crate::workspace::{ClaimedWork, RemoteAnswer, RemoteFailure, Repo};

/// Time for the supervisors of a dead drain to end their programs; they need about two seconds.
const SUPERVISORS_END: Duration = Duration::from_secs(10);

/// Reclaims the work of other owners.
pub(super) struct Reclaimer<'a> {
    pub context: &'a DrainContext,
    /// Owner that reclaims.
    pub us: &'a OwnerId,
    /// Runs of this owner.
    pub runs: &'a [RunId],
    /// Heartbeat checks of owners possibly gone.
    pub checks: &'a mut HeartbeatChecks,
}

impl Reclaimer<'_> {
    /// Reclaims the work of owners gone by now. An owner in doubt is left to a later call.
    pub async fn recover(&mut self) -> Result<(), AttemptError> {
        let Self { context, us, runs, checks } = self;
        let lease = Duration::from_secs(context.settings.executor.lease_seconds);
        let rows = context.store.owners().await?;
        checks.retain(&rows);
        for row in rows {
            if row.owner.id == **us {
                continue;
            }
            let ours = owned_work(&context.repo, &row, runs);
            let is_of_here = !ours.is_empty()
                || (row.executing.is_empty() && is_registered_here(&context.repo, &row.owner));
            if is_of_here && checks.is_gone(&context.store, &row, lease) {
                reclaim(context, us, &row.owner, ours).await?;
            }
        }
        Ok(())
    }
}

impl Drain<'_> {
    /// Reclaims the work of owners gone by now.
    pub(super) async fn recover(&mut self) -> Result<(), AttemptError> {
        let mut reclaimer = Reclaimer {
            context: &self.context,
            us: self.owner.id(),
            runs: &self.request.runs,
            checks: &mut self.heartbeat_checks,
        };
        reclaimer.recover().await
    }

    /// Counts the phases of these runs left by owners certainly gone; a drain reclaims these first.
    pub(super) async fn count_left_behind(&self) -> Result<u64, AttemptError> {
        let (store, repo) = (&self.context.store, &self.context.repo);
        let left = phases_left_behind(store, repo, &self.request.runs).await?;
        Ok(left.len() as u64)
    }
}

/// Lists the phases of these runs left in this repository by owners certainly gone.
///
/// # Errors
///
/// The database cannot be read.
pub async fn phases_left_behind(
    store: &Store,
    repo: &Repo,
    runs: &[RunId],
) -> Result<Vec<(RunId, PhaseId)>, StoreError> {
    let mut left = Vec::new();
    for row in store.owners().await?.iter().filter(|row| liveness(row) == Liveness::Dead) {
        let ours = owned_work(repo, row, runs).into_iter();
        let ours = ours.filter(|work| runs.contains(&work.run_id));
        left.extend(ours.map(|work| (work.run_id.clone(), work.phase_id.clone())));
    }
    Ok(left)
}

/// Lists the work of an owner in this repository: attempts of runs executed here. A run without a repository has
/// landed nothing: the work belongs to the owner's repository, and to any drain asked for this run.
pub(super) fn owned_work<'a>(
    repo: &Repo,
    row: &'a OwnerRow,
    wanted: &[RunId],
) -> Vec<&'a InFlight> {
    let here = repo.identity();
    let is_ours = |work: &&InFlight| match &work.repo {
        Some(settled) => *settled == here,
        None => is_registered_here(repo, &row.owner) || wanted.contains(&work.run_id),
    };
    row.executing.iter().filter(is_ours).collect()
}

/// Returns whether the owner works in this repository, even after a move. Older versions recorded only the path of
/// the lock.
fn is_registered_here(repo: &Repo, owner: &Owner) -> bool {
    match &owner.repo {
        Some(there) => *there == repo.identity() || repo.has_replaced(there),
        None => Path::new(&owner.lock_path).starts_with(repo.autopack_dir()),
    }
}

/// Reclaims the work of an owner that is gone, and unregisters the owner.
pub(super) async fn reclaim(
    context: &DrainContext,
    us: &OwnerId,
    owner: &Owner,
    executing: Vec<&InFlight>,
) -> Result<(), AttemptError> {
    let id = &owner.id;
    context.store.fence_owner(id).await?;
    // Order matters: first block landings, then end the processes, then queue again.
    for work in &executing {
        let (run, phase) = (&work.run_id, &work.phase_id);
        match &context.remote {
            None => drop(context.repo.reclaim_fence(run, phase, work.attempt, us.as_str()).await?),
            Some(remote) => {
                if let Err(failure) = remote.revoke(&ClaimedWork::from(*work)).await? {
                    return wait_for_remote(context, owner, &failure);
                }
            }
        }
    }
    let mark = id.to_string();
    // The sweep checks every process repeatedly and sleeps in between.
    let swept = tokio::task::spawn_blocking(move || sweep_marked(OWNER, &mark)).await;
    swept.map_err(|error| anyhow::anyhow!("cannot end the processes of a dead drain: {error}"))?;
    let deadline = Instant::now() + SUPERVISORS_END;
    for work in executing {
        // A slot of another clone has the same number as one of ours.
        if is_of_this_clone(&context.repo, owner) {
            wait_for_slot(context, work, deadline).await;
        }
        if let Err(failure) = reclaim_attempt(context, work).await? {
            return wait_for_remote(context, owner, &failure);
        }
    }
    if context.store.unregister_owner(id).await? {
        // Another drain may have removed the file already.
        let _ = std::fs::remove_file(&owner.lock_path);
    }
    Ok(())
}

/// Waits for a slot. The supervisor holds the slot's lock, too, until the last process of the tree is gone.
async fn wait_for_slot(context: &DrainContext, work: &InFlight, deadline: Instant) {
    let Some(slot) = &work.slot else { return };
    let path = context.repo.slot_lock(slot);
    let slot_free = async {
        while !lock::is_free(&path).unwrap_or(true) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout_at(deadline, slot_free).await.is_err() {
        tracing::warn!("slot {slot} is still in use; using another slot");
    }
}

/// Whether the owner worked in this clone of the repository.
fn is_of_this_clone(repo: &Repo, owner: &Owner) -> bool {
    repo.run_remote().is_none() || Path::new(&owner.lock_path).starts_with(repo.autopack_dir())
}

/// Leaves the rest of the work to a later call: the fenced owner stays in the list.
fn wait_for_remote(
    context: &DrainContext,
    owner: &Owner,
    failure: &RemoteFailure,
) -> Result<(), AttemptError> {
    let host = &owner.process.host;
    context.note_once(&format!("{failure}; the work of a dead drain on {host} waits for it"));
    Ok(())
}

async fn reclaim_attempt(
    context: &DrainContext,
    work: &InFlight,
) -> Result<RemoteAnswer<()>, AttemptError> {
    let has_landed = match (&work.landing_commit, &context.remote) {
        (Some(commit), None) => context.repo.has_landed(&work.run_id, commit).await?,
        (Some(commit), Some(remote)) => match remote.has_landed(&work.run_id, commit).await? {
            Ok(has_landed) => has_landed,
            Err(failure) => return Ok(Err(failure)),
        },
        (None, _) => false,
    };
    let outcome = match &work.landing_commit {
        Some(commit) if has_landed => ReclaimOutcome::Landed(commit.clone()),
        _ => ReclaimOutcome::Crashed,
    };
    let landed = matches!(outcome, ReclaimOutcome::Landed(_));
    let telemetry = context.settings.telemetry.enabled;
    // Without its ref, the member's commit can no longer land.
    if let Some(position) = context.store.queue_position_of(work).await? {
        context.repo.drop_queue_ref(&work.run_id, position).await?;
    }
    if let Some(state) = context.store.reclaim_attempt(work, outcome, now(), telemetry).await? {
        let (run, phase) = (&work.run_id, &work.phase_id);
        let effect = match state {
            _ if landed => "had already landed",
            PhaseState::Failed => "failed after too many crashes",
            _ => "is queued again",
        };
        let directory = &context.repo.autopack_dir();
        if let Some(patch) =
            AttemptDirectory::patch_of(directory, run, phase, work.attempt).filter(|_| landed)
        {
            // The change is on the branch; a leftover patch is misleading, but harmless.
            let _ = std::fs::remove_file(patch);
        }
        context.progress.note(&format!("a drain died during {phase} of {run}: the phase {effect}"));
    }
    Ok(Ok(()))
}
