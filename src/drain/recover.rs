//! What a dead or stuck drain left behind: its processes are ended, its landing is recognised, its phases are
//! queued again.
//!
//! Dead is who holds no lock any more. Stuck is who holds it and has not renewed its lease, by the boot-time clock of this
//! same boot. Whoever is on another machine, or in another boot with its lock held, is left alone.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::now;
use crate::execute::{AttemptFolder, Site, Trouble};
use crate::phase::{PhaseState, RunId};
use crate::process::child_env::OWNER;
use crate::process::{boot_clock_ms, boot_id, lock, sweep_marked};
use crate::store::{InFlight, OwnerId, OwnerRow, Rescue};

/// How long the supervisors of a dead drain may take to end what they watch over; they need about two seconds.
const SUPERVISORS_END: Duration = Duration::from_secs(10);

pub async fn recover(site: &Site, us: &OwnerId) -> Result<(), Trouble> {
    for owner in site.store.owners().await? {
        if owner.owner.id == *us || !is_gone(site, &owner)? {
            continue;
        }
        rescue(site, us, &owner).await?;
    }
    Ok(())
}

/// How many phases of these runs are left by owners that are gone: the first that a drain takes up.
pub async fn left_behind(site: &Site, us: &OwnerId, runs: &[RunId]) -> Result<u64, Trouble> {
    let mut left = 0;
    for owner in site.store.owners().await? {
        if owner.owner.id != *us && is_gone(site, &owner)? {
            left += owner.executing.iter().filter(|work| runs.contains(&work.run_id)).count();
        }
    }
    Ok(left as u64)
}

fn is_gone(site: &Site, row: &OwnerRow) -> Result<bool, Trouble> {
    let path = Path::new(&row.owner.lock_path);
    if lock::is_free(path).map_err(|error| Trouble::io(path, error))? {
        return Ok(true);
    }
    let lease = i64::try_from(site.settings.executor.lease_seconds * 1000).unwrap_or(i64::MAX);
    let age = boot_clock_ms() - row.heartbeat_boot_ms;
    Ok(row.owner.boot_id == boot_id() && age > lease)
}

async fn rescue(site: &Site, us: &OwnerId, row: &OwnerRow) -> Result<(), Trouble> {
    let id = &row.owner.id;
    site.store.fence_owner(id).await?;
    // First nobody can land any of it any more, then nothing of it runs, then it is queued again.
    for work in &row.executing {
        site.repo.rescue_fence(&work.run_id, &work.phase_id, work.attempt, us.as_str()).await?;
    }
    sweep_marked(OWNER, id.as_str());
    let deadline = Instant::now() + SUPERVISORS_END;
    for work in &row.executing {
        wait_for_slot(site, work, deadline).await;
        settle(site, work).await?;
    }
    if site.store.unregister_owner(id).await? {
        // Somebody else may have been faster.
        let _ = std::fs::remove_file(&row.owner.lock_path);
    }
    Ok(())
}

/// A slot's lock is held by the supervisor too, until the last process of its tree is gone.
async fn wait_for_slot(site: &Site, work: &InFlight, deadline: Instant) {
    let Some(slot) = &work.slot else { return };
    let path = site.repo.slot_lock(slot);
    let ended = async {
        while !lock::is_free(&path).unwrap_or(true) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout_at(deadline, ended).await.is_err() {
        tracing::warn!("slot {slot} is still in use; another one is taken");
    }
}

async fn settle(site: &Site, work: &InFlight) -> Result<(), Trouble> {
    let how = match &work.landing_commit {
        Some(commit) if site.repo.has_landed(&work.run_id, commit).await? => {
            Rescue::Landed(commit.clone())
        }
        _ => Rescue::Crashed,
    };
    let landed = matches!(how, Rescue::Landed(_));
    let telemetry = site.settings.telemetry.enabled;
    if let Some(state) = site.store.recover(work, how, now(), telemetry).await? {
        let (run, phase) = (&work.run_id, &work.phase_id);
        let what = match state {
            _ if landed => "had landed",
            PhaseState::Failed => "is given up, as that happened too often",
            _ => "is queued again",
        };
        let folder = &site.repo.autopack_dir();
        if let Some(patch) =
            AttemptFolder::patch_of(folder, run, phase, work.attempt).filter(|_| landed)
        {
            // It is on the branch; a patch that stays says otherwise, and does no harm beyond that.
            let _ = std::fs::remove_file(patch);
        }
        site.progress.note(&format!("a drain died during {phase} of {run}: it {what}"));
    }
    Ok(())
}
