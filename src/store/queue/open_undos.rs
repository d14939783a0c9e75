//! Undos and updates under way, or killed. No drain of the run is registered meanwhile.

use sqlx::FromRow;

use crate::phase::RunId;
use crate::store::backend::{Connection, query_as};
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::owner_id::OwnerId;

/// An undo, or an update, whose end is not recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenUndo {
    /// Number of the revert.
    pub revert: i64,
    /// Run of the phases.
    pub run_id: RunId,
    /// Repository of the run.
    pub repo: Option<String>,
    /// Process that began the undo.
    pub owner: OwnerId,
    /// Whether this is an update.
    pub is_update: bool,
    /// Recorded commit; the branch may or may not have been moved to it.
    pub commit: Option<String>,
}

#[derive(FromRow)]
struct OpenUndoRecord {
    revert: i64,
    run_id: String,
    repo: Option<String>,
    owner: String,
    is_update: bool,
    revert_commit: Option<String>,
}

impl Store {
    /// Returns the open undos and updates of these runs.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn open_undos(&self, runs: &[RunId]) -> Result<Vec<OpenUndo>, StoreError> {
        self.named(|| async move {
            let rows: Vec<OpenUndoRecord> = query_as(
                "SELECT v.id AS revert, r.run_id, r.repo, v.owner, v.merged IS NOT NULL AS is_update, v.revert_commit
                   FROM reverts v JOIN runs r ON r.id = v.run WHERE v.ended_at IS NULL ORDER BY v.id",
            )
            .fetch_all(&self.reader)
            .await?;
            let open = rows.into_iter().map(|row| OpenUndo {
                revert: row.revert,
                run_id: RunId::new(row.run_id),
                repo: row.repo,
                owner: OwnerId::new(row.owner),
                is_update: row.is_update,
                commit: row.revert_commit,
            });
            Ok(open.filter(|open| runs.contains(&open.run_id)).collect())
        })
        .await
    }
}

/// Fails if an undo or an update of one of these runs is open.
pub(crate) async fn refuse_open_undo(tx: &mut Connection, runs: &str) -> Result<(), StoreError> {
    let open: Option<(String, String, bool)> = query_as(
        "SELECT r.run_id, v.owner, v.merged IS NOT NULL FROM reverts v JOIN runs r ON r.id = v.run
          WHERE v.ended_at IS NULL AND r.run_id IN (SELECT value FROM json_each(?)) LIMIT 1",
    )
    .bind(runs)
    .fetch_optional(tx)
    .await?;
    match open {
        None => Ok(()),
        Some((run, owner, is_update)) => Err(StoreError::RunIsBeingUndone {
            run: RunId::new(run),
            owner: OwnerId::new(owner),
            is_update,
        }),
    }
}
