//! What a dead or stuck drain of this repository left behind: its processes are ended, its landing is recognised, its
//! phases are queued again.
//!
//! Which drain is dead or stuck is `liveness`'s to tell. One database may serve several repositories: work is recovered
//! only in its own, since only its branch can tell whether it landed.

use std::time::Duration;

use tokio::time::Instant;

use super::Drain;
use super::liveness::{Liveness, liveness};
use crate::attempt::{AttemptFolder, Site, Trouble};
use crate::clock::now;
use crate::phase::{PhaseState, RunId};
use crate::process::child_env::OWNER;
use crate::process::{lock, sweep_marked};
use crate::store::{InFlight, Owner, OwnerId, OwnerRow, Rescue};
use crate::workspace::Repo;

/// How long the supervisors of a dead drain may take to end what they watch over; they need about two seconds.
const SUPERVISORS_END: Duration = Duration::from_secs(10);

impl Drain<'_> {
    /// Takes up what owners left that are gone by now. Where there is doubt about one, a later call decides.
    pub(super) async fn recover(&mut self) -> Result<(), Trouble> {
        let us = self.owner.id().clone();
        let lease = Duration::from_secs(self.site.settings.executor.lease_seconds);
        let rows = self.site.store.owners().await?;
        self.looks.retain(&rows);
        for row in rows {
            if row.owner.id == us {
                continue;
            }
            let ours = ours(&self.site.repo, &row, &self.request.runs);
            let is_of_here = !ours.is_empty()
                || (row.executing.is_empty() && is_registered_here(&self.site.repo, &row.owner));
            if is_of_here && self.looks.is_gone(&self.site.store, &row, lease) {
                rescue(&self.site, &us, &row.owner, ours).await?;
            }
        }
        Ok(())
    }

    /// How many phases of these runs are left by owners that are certainly gone: the first that a drain takes up.
    pub(super) async fn left_behind(&self) -> Result<u64, Trouble> {
        let (mut left, runs) = (0, &self.request.runs);
        for row in self.site.store.owners().await? {
            if row.owner.id != *self.owner.id() && liveness(&row) == Liveness::Dead {
                let ours = ours(&self.site.repo, &row, runs);
                left += ours.iter().filter(|work| runs.contains(&work.run_id)).count();
            }
        }
        Ok(left as u64)
    }
}

/// What an owner executes that is this repository's: of runs that are executed here. A run that is nowhere yet has landed
/// nothing: it is the repository's that its owner works in, and of whoever is asked to drain it.
fn ours<'a>(repo: &Repo, row: &'a OwnerRow, wanted: &[RunId]) -> Vec<&'a InFlight> {
    let here = repo.identity();
    let is_ours = |work: &&InFlight| match &work.repo {
        Some(settled) => *settled == here,
        None => is_registered_here(repo, &row.owner) || wanted.contains(&work.run_id),
    };
    row.executing.iter().filter(is_ours).collect()
}

/// Whether the owner works in this repository, also where that was moved since. An older autopack left only its lock's
/// path to tell it by.
fn is_registered_here(repo: &Repo, owner: &Owner) -> bool {
    match &owner.repo {
        Some(there) => *there == repo.identity() || repo.took_the_place_of(there),
        None => std::path::Path::new(&owner.lock_path).starts_with(repo.autopack_dir()),
    }
}

async fn rescue(
    site: &Site,
    us: &OwnerId,
    owner: &Owner,
    executing: Vec<&InFlight>,
) -> Result<(), Trouble> {
    let id = &owner.id;
    site.store.fence_owner(id).await?;
    // First nobody can land any of it any more, then nothing of it runs, then it is queued again.
    for work in &executing {
        site.repo.rescue_fence(&work.run_id, &work.phase_id, work.attempt, us.as_str()).await?;
    }
    let mark = id.to_string();
    // It looks at every process again and again, and sleeps in between.
    let swept = tokio::task::spawn_blocking(move || sweep_marked(OWNER, &mark)).await;
    swept.map_err(|error| anyhow::anyhow!("the sweep of a dead drain broke off: {error}"))?;
    let deadline = Instant::now() + SUPERVISORS_END;
    for work in executing {
        wait_for_slot(site, work, deadline).await;
        settle(site, work).await?;
    }
    if site.store.unregister_owner(id).await? {
        // Somebody else may have been faster.
        let _ = std::fs::remove_file(&owner.lock_path);
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
