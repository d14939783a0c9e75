//! Settles undos and updates whose process died: done if the recorded commit is on the branch, else as before.
//!
//! A process taken for dead by mistake does no harm: without its fence it cannot land, and the store refuses its end.

use std::time::Duration;

use anyhow::{Context as _, bail};

use super::liveness::{HeartbeatChecks, Liveness, appears_dead, liveness};
use crate::attempt::drop_change_fence;
use crate::clock::now;
use crate::phase::RunId;
use crate::process::child_env::OWNER;
use crate::process::sweep_marked;
use crate::progress::{NOTES, shown_id};
use crate::store::{OpenUndo, Store, StoreError, UndoOutcome};
use crate::workspace::{RemoteFence, Repo};

/// Interval between checks of a process in doubt.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Settles the interrupted undos and updates of these runs in this repository.
///
/// # Errors
///
/// An undo or an update is under way, or git or the database fails.
pub(super) async fn settle_undos(
    store: &Store,
    repo: &Repo,
    runs: &[RunId],
    lease: Duration,
) -> anyhow::Result<()> {
    for undo in store.open_undos(runs).await? {
        if undo.repo.as_ref().is_some_and(|there| *there != repo.identity()) {
            bail!(
                "an {} of run {} began in the repository {}; settle it there",
                name_of(&undo),
                shown_id(undo.run_id.as_str()),
                undo.repo.unwrap_or_default()
            );
        }
        wait_until_gone(store, &undo, lease).await?;
        settle(store, repo, &undo).await?;
    }
    Ok(())
}

/// Returns once the process of an undo is gone. A process in doubt is watched for its lease.
async fn wait_until_gone(store: &Store, undo: &OpenUndo, lease: Duration) -> anyhow::Result<()> {
    let mut checks = HeartbeatChecks::default();
    let mut first_heartbeat = None;
    loop {
        let rows = store.owners().await?;
        let Some(row) = rows.into_iter().find(|row| row.owner.id == undo.owner) else {
            return Ok(());
        };
        if liveness(&row) == Liveness::Dead || appears_dead(&row.owner) {
            return Ok(());
        }
        let is_alive =
            *first_heartbeat.get_or_insert(row.heartbeat_boot_ms) != row.heartbeat_boot_ms;
        if is_alive || liveness(&row) == Liveness::Locked {
            let (run, owner) = (undo.run_id.clone(), undo.owner.clone());
            let is_update = undo.is_update;
            return Err(StoreError::RunIsBeingUndone { run, owner, is_update }.into());
        }
        if checks.is_gone(store, &row, lease) {
            return Ok(());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn settle(store: &Store, repo: &Repo, undo: &OpenUndo) -> anyhow::Result<()> {
    let run = &undo.run_id;
    // Order matters: first block the landing, then end the processes, then read the branch.
    store.fence_owner(&undo.owner).await?;
    let remote = RemoteFence::of(repo);
    drop_change_fence(repo, remote.as_ref(), run, undo.revert, undo.owner.as_str()).await?;
    let mark = undo.owner.to_string();
    tokio::task::spawn_blocking(move || sweep_marked(OWNER, &mark))
        .await
        .context("cannot end the processes of an interrupted undo")?;
    let has_landed = match (&undo.commit, &remote) {
        (Some(commit), None) => repo.has_landed(run, commit).await?,
        (Some(commit), Some(remote)) => remote.has_landed(run, commit).await??,
        (None, _) => false,
    };
    let (outcome, effect) = match (has_landed, undo.is_update) {
        (true, false) => (UndoOutcome::Undone, "the revert had landed"),
        (true, true) => (UndoOutcome::Undone, "the merge had landed"),
        (false, _) => (UndoOutcome::Crashed, "nothing changed"),
    };
    if store.end_undo(undo.revert, outcome, now()).await? {
        let run = shown_id(run.as_str());
        tracing::info!(target: NOTES, "{run}: an {} was interrupted: {effect}", name_of(undo));
    }
    Ok(())
}

fn name_of(undo: &OpenUndo) -> &'static str {
    if undo.is_update { "update" } else { "undo" }
}
