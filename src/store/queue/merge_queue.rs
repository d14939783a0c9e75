//! The merge queue of a run: attempts with finished work, in the order in which they land, of all drains.
//!
//! A position is given once and never again. What a member may land on is decided by the refs in git; the rows here
//! give the order, and tell each member the commit before its own.

use std::fmt;
use std::str::FromStr;

use sqlx::FromRow;

use super::claim::Claim;
use super::owners::is_fenced;
use crate::phase::{PhaseId, RunId, UnixMs};
use crate::store::backend::{Connection, query, query_as, query_scalar};
use crate::store::columns::{number, parse};
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::owner_id::OwnerId;
use crate::store::queries::in_flight::InFlight;

/// Progress of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// The commit is being made.
    Building,
    /// CI runs on the commit.
    Testing,
    /// CI passed; the members before this one have not landed yet.
    Green,
    /// CI failed; whether this counts is decided once the members before this one have landed.
    Red,
}

/// A member of the merge queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueMember {
    /// Position in the order of all members.
    pub position: i64,
    /// The phase.
    pub phase_id: PhaseId,
    /// Number of the attempt.
    pub attempt: u32,
    /// Owner of the attempt.
    pub owner: OwnerId,
    /// When the member entered.
    pub entered_at: UnixMs,
    /// The member's commit, once made.
    pub commit: Option<String>,
    /// Progress.
    pub state: MemberState,
}

#[derive(FromRow)]
struct MemberRecord {
    position: i64,
    phase_id: String,
    attempt: i64,
    owner: String,
    entered_at: i64,
    commit_id: Option<String>,
    state: String,
}

impl Store {
    /// Adds the attempt at the end of the run's queue. Returns its position, and whether another drain works on the run.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if the attempt was reclaimed or the owner is fenced, or the database cannot be written.
    pub async fn enter_merge_queue(
        &self,
        claim: &Claim,
        now: UnixMs,
    ) -> Result<(i64, bool), StoreError> {
        self.named(|| async move {
            let mut tx = self.begin().await?;
            if is_fenced(&mut tx, &claim.owner).await? {
                return Err(claim.lease_lost_error());
            }
            remove_member(&mut tx, claim.snapshot.id).await?;
            let position: Option<i64> = query_scalar(
                "INSERT INTO queue_members (run, phase, attempt, owner, entered_at)
                 SELECT run, id, executions, owner, ?1 FROM phases WHERE id = ?2 AND owner = ?3 AND executions = ?4
                 RETURNING position",
            )
            .bind(now.0)
            .bind(claim.snapshot.id)
            .bind(claim.owner.as_str())
            .bind(claim.attempt)
            .fetch_optional(&mut *tx)
            .await?;
            let position = position.ok_or_else(|| claim.lease_lost_error())?;
            let has_others: bool = query_scalar(
                "SELECT EXISTS (SELECT 1 FROM owners, json_each(owners.runs) AS named
                                 WHERE owners.owner <> ? AND named.value = ?)",
            )
            .bind(claim.owner.as_str())
            .bind(claim.run_id.as_str())
            .fetch_one(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok((position, has_others))
        })
        .await
    }

    /// Records the commit of a member, before the branch can move to it: after a crash, the commit tells whether the
    /// attempt landed.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if the member was removed or the owner is fenced, or the database cannot be written.
    pub async fn record_member_commit(
        &self,
        claim: &Claim,
        position: i64,
        parent: &str,
        commit: &str,
    ) -> Result<(), StoreError> {
        self.named(|| async move {
            self.require_file()?;
            let mut tx = self.begin().await?;
            if is_fenced(&mut tx, &claim.owner).await? {
                return Err(claim.lease_lost_error());
            }
            let member = query(
                "UPDATE queue_members SET parent = ?, commit_id = ?, state = 'testing' WHERE position = ? AND owner = ?",
            )
            .bind(parent)
            .bind(commit)
            .bind(position)
            .bind(claim.owner.as_str())
            .execute(&mut *tx)
            .await?;
            let attempt = query(
                "UPDATE attempts SET landing_commit = ? WHERE id = ? AND owner = ? AND ended_at IS NULL",
            )
            .bind(commit)
            .bind(claim.attempt_row)
            .bind(claim.owner.as_str())
            .execute(&mut *tx)
            .await?;
            if member.rows_affected() == 0 || attempt.rows_affected() == 0 {
                return Err(claim.lease_lost_error());
            }
            Ok(tx.commit().await?)
        })
        .await
    }

    /// Records the result of CI on a member's commit, for people and for the members behind it.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn record_member_test(
        &self,
        position: i64,
        commit: &str,
        is_green: bool,
    ) -> Result<(), StoreError> {
        self.named(|| async move {
            query("UPDATE queue_members SET state = ? WHERE position = ? AND commit_id = ?")
                .bind(if is_green { "green" } else { "red" })
                .bind(position)
                .bind(commit)
                .execute(&self.writer)
                .await?;
            Ok(())
        })
        .await
    }

    /// Removes a member that landed or left.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn leave_merge_queue(&self, position: i64) -> Result<(), StoreError> {
        self.named(|| async move {
            query("DELETE FROM queue_members WHERE position = ?")
                .bind(position)
                .execute(&self.writer)
                .await?;
            Ok(())
        })
        .await
    }

    /// Returns the queue of a run in the order of landing.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn merge_queue(&self, run: &RunId) -> Result<Vec<QueueMember>, StoreError> {
        self.members_before(run, i64::MAX).await
    }

    /// Returns the members of a run before a position, in the order of landing.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn members_before(
        &self,
        run: &RunId,
        position: i64,
    ) -> Result<Vec<QueueMember>, StoreError> {
        self.named(|| async move {
            let rows: Vec<MemberRecord> = query_as(
                "SELECT m.position, p.phase_id, m.attempt, m.owner, m.entered_at, m.commit_id, m.state
                   FROM queue_members m JOIN phases p ON p.id = m.phase
                  WHERE m.run = (SELECT id FROM runs WHERE run_id = ?) AND m.position < ?
                  ORDER BY m.position",
            )
            .bind(run.as_str())
            .bind(position)
            .fetch_all(&self.reader)
            .await?;
            rows.into_iter().map(QueueMember::try_from).collect()
        })
        .await
    }

    /// Returns the position of an attempt in the merge queue, if it is a member.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn queue_position_of(&self, work: &InFlight) -> Result<Option<i64>, StoreError> {
        self.named(|| async move {
            Ok(query_scalar("SELECT position FROM queue_members WHERE phase = ?")
                .bind(work.snapshot.id)
                .fetch_optional(&self.reader)
                .await?)
        })
        .await
    }
}

/// Removes a phase from the queue: its attempt ended.
pub(super) async fn remove_member(tx: &mut Connection, phase: i64) -> Result<(), StoreError> {
    query("DELETE FROM queue_members WHERE phase = ?").bind(phase).execute(tx).await?;
    Ok(())
}

impl TryFrom<MemberRecord> for QueueMember {
    type Error = StoreError;

    fn try_from(row: MemberRecord) -> Result<Self, StoreError> {
        let name = || format!("queue position {}", row.position);
        Ok(Self {
            position: row.position,
            attempt: number(row.attempt, name)?,
            state: parse(&row.state, name)?,
            phase_id: PhaseId::new(&row.phase_id),
            owner: OwnerId::new(&row.owner),
            entered_at: UnixMs(row.entered_at),
            commit: row.commit_id,
        })
    }
}

impl MemberState {
    /// All states, in order.
    pub const ALL: [Self; 4] = [Self::Building, Self::Testing, Self::Green, Self::Red];

    /// Returns the name in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Testing => "testing",
            Self::Green => "green",
            Self::Red => "red",
        }
    }
}

impl FromStr for MemberState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| format!("{text} is no state of a queue member"))
    }
}

impl fmt::Display for MemberState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
