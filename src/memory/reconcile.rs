//! Synchronization of Qdrant with the journal: writes entries missed during an outage, deletes points with tombstones,
//! and adopts this workspace's points unknown to a lost journal. Idempotent, in batches, resumable after each batch.

use std::collections::{HashMap, HashSet};

use super::index::qdrant::{ListedPoint, Qdrant, QdrantError};
use super::journal::{Change, Journal, JournalError};
use super::memory_entry::{Collection, EntryId, StoredEntry};
use crate::phase::UnixMs;

const BATCH: usize = 256;

/// Failure of a synchronization.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Qdrant failed.
    #[error(transparent)]
    Qdrant(#[from] QdrantError),
}

type Result<T> = std::result::Result<T, SyncError>;

/// Number of points by result of a synchronization.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncSummary {
    /// Points written to Qdrant.
    pub written: usize,
    /// Points deleted from Qdrant.
    pub deleted: usize,
    /// Points added to a journal without the entries.
    pub adopted: usize,
}

/// Progress callback after every batch: done, total.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Send + Sync);

/// Applies the change log from the last position.
///
/// # Errors
/// The journal or Qdrant fails.
pub async fn follow(
    journal: &Journal,
    qdrant: &Qdrant,
    embedder: &str,
    now: UnixMs,
    progress: Progress<'_>,
) -> Result<SyncSummary> {
    let follower = qdrant.follower();
    let mut synced = SyncSummary::default();
    let mut at = journal.applied(&follower).await?;
    loop {
        let changes = journal.changes_after(at, embedder, BATCH as u32).await?;
        let Some(last) = changes.last() else {
            return Ok(synced);
        };
        at = last.n;
        let batch = apply(journal, qdrant, &changes).await?;
        synced.written += batch.written;
        synced.deleted += batch.deleted;
        journal.set_applied(&follower, at, now).await?;
        progress(synced.written + synced.deleted, synced.written + synced.deleted);
    }
}

async fn apply(journal: &Journal, qdrant: &Qdrant, changes: &[Change]) -> Result<SyncSummary> {
    let (puts, tombstones): (Vec<&Change>, Vec<&Change>) =
        changes.iter().partition(|change| change.vector.is_some());
    let mut by_name: HashMap<String, Vec<EntryId>> = HashMap::new();
    for tombstone in &tombstones {
        let name = Qdrant::collection_name(tombstone.collection, &tombstone.embedder);
        by_name.entry(name).or_default().push(tombstone.id.clone());
    }
    for (name, ids) in by_name {
        qdrant.delete(&name, &ids).await?;
    }
    let ids: Vec<EntryId> = puts.iter().map(|change| change.id.clone()).collect();
    let entries = journal.entries(&ids).await?;
    qdrant.upsert(&puts, &entries).await?;
    Ok(SyncSummary { written: puts.len(), deleted: tombstones.len(), adopted: 0 })
}

/// Removes this workspace's collections with vectors of another length; the journal fills them again. Unknown entries
/// are adopted first. Returns the names of the collections.
///
/// # Errors
/// The journal or Qdrant fails, or another workspace uses such a collection.
pub async fn remove_misfits(
    journal: &Journal,
    qdrant: &Qdrant,
    embedder: &str,
    dimensions: usize,
) -> Result<Vec<String>> {
    let mut removed = Vec::new();
    for collection in qdrant.find_misfits(dimensions).await? {
        let points: Vec<String> =
            qdrant.own(collection).await?.into_iter().map(|own| own.point).collect();
        for points in points.chunks(BATCH) {
            let found = qdrant.fetch(collection, points).await?;
            let entries: Vec<StoredEntry> = found.into_iter().map(|(entry, _)| entry).collect();
            journal.adopt_texts(&entries).await?;
        }
        qdrant.remove(collection).await?;
        removed.push(Qdrant::collection_name(collection, embedder));
    }
    Ok(removed)
}

/// Checks whether following the log is not enough: server or journal lost data, or have never met before.
///
/// # Errors
/// The journal or Qdrant fails.
pub async fn has_diverged(journal: &Journal, qdrant: &Qdrant, embedder: &str) -> Result<bool> {
    let applied = journal.applied(&qdrant.follower()).await?;
    if applied == 0 {
        return Ok(true);
    }
    let mut expected: HashMap<Collection, u64> = HashMap::new();
    for put in journal.live_vectors(embedder).await?.iter().filter(|put| put.n <= applied) {
        *expected.entry(put.collection).or_default() += 1;
    }
    // Tombstones not applied yet stand for points that may still exist.
    let pending = journal.changes_after(applied, embedder, 1).await?;
    for collection in Collection::ALL {
        let there = qdrant.count(collection).await?;
        let ours = expected.get(&collection).copied().unwrap_or(0);
        if there < ours || (there > ours && pending.is_empty()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Compares everything, ignoring the follower's position: for a lost journal, a lost server, or to be sure.
///
/// # Errors
/// The journal or Qdrant fails.
pub async fn compare(
    journal: &Journal,
    qdrant: &Qdrant,
    embedder: &str,
    now: UnixMs,
    progress: Progress<'_>,
) -> Result<SyncSummary> {
    let follower = qdrant.follower();
    // Later changes are followed afterwards.
    let up_to = journal.last_change().await?;
    // Without a position in this server, points may have numbers that a lost journal assigned to other texts.
    let met_before = journal.applied(&follower).await? > 0;
    let mut synced = SyncSummary::default();
    let mut wanted: HashMap<EntryId, (Collection, i64)> = HashMap::new();
    for put in journal.live_vectors(embedder).await? {
        wanted.insert(put.id, (put.collection, put.n));
    }
    let mut old_points: Vec<(Collection, Vec<String>)> = Vec::new();
    for collection in Collection::ALL {
        let own = qdrant.own(collection).await?;
        let old = own.iter().filter(|own| own.point != qdrant.point_of(&own.entry));
        old_points.push((collection, old.map(|own| own.point.clone()).collect()));
        let unknown = remove_listed(qdrant, collection, own, &mut wanted, met_before);
        let (deleted, adopted) =
            adopt_or_delete(journal, qdrant, embedder, collection, &unknown).await?;
        synced.deleted += deleted;
        synced.adopted += adopted;
    }
    let lacking: Vec<EntryId> = wanted.into_keys().collect();
    for ids in lacking.chunks(BATCH) {
        let changes = journal.changes_of(ids, embedder).await?;
        synced.written += apply(journal, qdrant, &changes).await?.written;
        progress(synced.written, lacking.len());
    }
    apply_other_tombstones(journal, qdrant, embedder, up_to).await?;
    journal.set_applied(&follower, up_to, now).await?;
    // Adopted points have the numbers of the lost journal.
    let followed = follow(journal, qdrant, embedder, now, progress).await?;
    synced.written += followed.written - followed.written.min(synced.adopted);
    synced.deleted += followed.deleted;
    // Delete only now: the entries of the old points exist under new ids.
    for (collection, points) in old_points {
        let name = Qdrant::collection_name(collection, embedder);
        for points in points.chunks(BATCH) {
            qdrant.delete_points(&name, points.to_vec()).await?;
        }
    }
    Ok(synced)
}

/// Removes correct points from `wanted`; returns existing points that are not wanted.
fn remove_listed(
    qdrant: &Qdrant,
    collection: Collection,
    own: Vec<ListedPoint>,
    wanted: &mut HashMap<EntryId, (Collection, i64)>,
    numbers_count: bool,
) -> Vec<ListedPoint> {
    let mut unknown = Vec::new();
    for point in own {
        let counts = numbers_count && point.point == qdrant.point_of(&point.entry);
        match wanted.get(&point.entry) {
            Some((of, n)) if *of == collection && counts && point.n == Some(*n) => {
                wanted.remove(&point.entry);
            }
            Some((of, _)) if *of == collection => {}
            _ => unknown.push(point),
        }
    }
    unknown
}

/// Handles points unknown to the journal: deletes dead points, adopts lost points.
async fn adopt_or_delete(
    journal: &Journal,
    qdrant: &Qdrant,
    embedder: &str,
    collection: Collection,
    unknown: &[ListedPoint],
) -> Result<(usize, usize)> {
    let (mut deleted, mut adopted) = (0, 0);
    for points in unknown.chunks(BATCH) {
        let ids: Vec<EntryId> = points.iter().map(|point| point.entry.clone()).collect();
        let changes = journal.changes_of(&ids, embedder).await?;
        let dead: HashSet<&EntryId> = changes
            .iter()
            .filter(|change| change.vector.is_none())
            .map(|change| &change.id)
            .collect();
        let living = journal.entries(&ids).await?;
        let lost: Vec<String> = points
            .iter()
            .filter(|point| !dead.contains(&point.entry) && !living.contains_key(&point.entry))
            .map(|point| point.point.clone())
            .collect();
        let dead: Vec<EntryId> = dead.into_iter().cloned().collect();
        qdrant.delete(&Qdrant::collection_name(collection, embedder), &dead).await?;
        deleted += dead.len();
        let found = qdrant.fetch(collection, &lost).await?;
        adopted += journal.adopt(embedder, &found).await?;
    }
    Ok((deleted, adopted))
}

/// Applies tombstones of unused embedders: their collections are not compared.
async fn apply_other_tombstones(
    journal: &Journal,
    qdrant: &Qdrant,
    embedder: &str,
    up_to: i64,
) -> Result<()> {
    let mut at = journal.applied(&qdrant.follower()).await?;
    while at < up_to {
        let changes = journal.changes_after(at, embedder, BATCH as u32).await?;
        let Some(last) = changes.last() else { break };
        at = last.n;
        let other: Vec<Change> = changes
            .into_iter()
            .filter(|change| change.vector.is_none() && change.embedder != embedder)
            .collect();
        apply(journal, qdrant, &other).await?;
    }
    Ok(())
}
