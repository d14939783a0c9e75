//! Refs of a run at the remote that no work needs any more, whoever left them there.

use crate::phase::RunId;
use crate::store::Store;
use crate::workspace::{ClaimedWork, LiveWork, RemoteAnswer, RemoteFence, Repo};

/// Deletes the claims and members of a run that no attempt, undo or update needs. Returns their number.
///
/// # Errors
///
/// Git or the database fails.
pub async fn remove_remote_refs(
    store: &Store,
    repo: &Repo,
    remote: &RemoteFence,
    run: &RunId,
) -> anyhow::Result<RemoteAnswer<usize>> {
    let listed = match remote.list_refs(run).await? {
        Ok(listed) => listed,
        Err(failure) => return Ok(Err(failure)),
    };
    let live = live_work(store, run).await?;
    repo.forget_fetched_members(run).await?;
    let stale = remote.stale_refs(run, listed, &live)?;
    Ok(remote.delete_refs(&stale).await?)
}

/// Counts the claims and members that [`remove_remote_refs`] would delete.
///
/// # Errors
///
/// Git or the database fails.
pub async fn count_remote_refs(
    store: &Store,
    remote: &RemoteFence,
    run: &RunId,
) -> anyhow::Result<RemoteAnswer<usize>> {
    let listed = match remote.list_refs(run).await? {
        Ok(listed) => listed,
        Err(failure) => return Ok(Err(failure)),
    };
    let live = live_work(store, run).await?;
    Ok(Ok(remote.stale_refs(run, listed, &live)?.len()))
}

async fn live_work(store: &Store, run: &RunId) -> anyhow::Result<LiveWork> {
    let mut live = LiveWork::default();
    for row in store.owners().await? {
        let of_run = row.executing.iter().filter(|work| work.run_id == *run);
        live.claimed.extend(of_run.map(ClaimedWork::from));
    }
    for undo in store.open_undos(std::slice::from_ref(run)).await? {
        live.claimed.push(ClaimedWork::of_change(run, undo.revert, undo.owner.as_str()));
    }
    let members = store.merge_queue(run).await?;
    live.positions = members.into_iter().map(|member| member.position).collect();
    Ok(live)
}
