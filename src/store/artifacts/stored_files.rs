//! Files stored after the end of their attempt.

use sqlx::FromRow;

use super::attempt_row;
use crate::phase::{AttemptOutcome, PhaseId, RunId};
use crate::store::backend::{query, query_as, query_scalar};
use crate::store::columns::{number, parse, signed};
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::owner_id::OwnerId;
use crate::store::queue::activity::AttemptKey;
use crate::store::queue::claim::Claim;
use crate::store::rows::outcome_of;

/// An attempt, and the drain that executed it: names its files in each clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExecutedAttempt {
    /// Key of the attempt.
    pub key: AttemptKey,
    /// Run of the phase.
    pub run_id: RunId,
    /// Phase of the attempt.
    pub phase_id: PhaseId,
    /// Number of the attempt.
    pub attempt: u32,
    /// Drain that executed the attempt.
    pub owner: OwnerId,
}

/// An attempt with stored files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAttempt {
    /// The attempt.
    pub attempt: ExecutedAttempt,
    /// Outcome of the attempt.
    pub outcome: Option<AttemptOutcome>,
}

/// A file as the database has it: its beginning and its end, compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// Name within the attempt's directory.
    pub name: String,
    /// Bytes of the file.
    pub size: u64,
    /// Bytes kept from its beginning.
    pub head: u64,
    /// Kept bytes, compressed.
    pub content: Vec<u8>,
}

/// What the database has of an attempt's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredFiles {
    /// Nothing, or nothing yet.
    NotStored,
    /// Nothing any more: `gc` removed them.
    Removed,
    /// The files in the order of their creation.
    Files(Vec<StoredFile>),
}

#[derive(FromRow)]
struct ExecutedAttemptRecord {
    id: i64,
    run_id: String,
    phase_id: String,
    attempt: i64,
    owner: String,
    outcome: Option<String>,
    purpose: Option<String>,
    scope_granted: bool,
}

/// Selects [`ExecutedAttemptRecord`]s with the given conditions.
macro_rules! select_executed {
    ($conditions:literal) => {
        concat!(
            "SELECT a.id, r.run_id, p.phase_id, a.attempt, a.owner, a.outcome, a.purpose, a.scope_granted
               FROM attempts a JOIN phases p ON p.id = a.phase JOIN runs r ON r.id = p.run ",
            $conditions
        )
    };
}

impl Claim {
    /// Returns the claimed attempt.
    pub fn executed_attempt(&self) -> ExecutedAttempt {
        ExecutedAttempt {
            key: self.key(),
            run_id: self.run_id.clone(),
            phase_id: self.phase_id.clone(),
            attempt: self.attempt,
            owner: self.owner.clone(),
        }
    }
}

impl Store {
    /// Stores the files of an attempt. Returns `false` if the attempt has not ended, or its files were stored already.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn store_files(
        &self,
        attempt: AttemptKey,
        files: &[StoredFile],
    ) -> Result<bool, StoreError> {
        self.named(|| async move {
            let mut tx = self.artifacts.begin().await?;
            let begun = query(concat!(
                "INSERT INTO artifact_uploads (attempt, stored_at) SELECT id, ",
                database_now!(),
                " FROM attempts WHERE id = ? AND ended_at IS NOT NULL ON CONFLICT (attempt) DO NOTHING"
            ))
            .bind(attempt.row())
            .execute(&mut *tx)
            .await?;
            if begun.rows_affected() == 0 {
                tx.rollback().await?;
                return Ok(false);
            }
            for (position, file) in files.iter().enumerate() {
                query(
                    "INSERT INTO artifacts (attempt, name, position, size, head, content) VALUES (?, ?, ?, ?, ?, ?)",
                )
                .bind(attempt.row())
                .bind(&file.name)
                .bind(signed(position as u64))
                .bind(signed(file.size))
                .bind(signed(file.head))
                .bind(&file.content)
                .execute(&mut *tx)
                .await?;
            }
            for table in
                ["DELETE FROM log_parts WHERE attempt = ?", "DELETE FROM log_followers WHERE attempt = ?"]
            {
                query(table).bind(attempt.row()).execute(&mut *tx).await?;
            }
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Returns the stored files of an attempt, or only the one with this name.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn stored_files(
        &self,
        run: &RunId,
        phase: &PhaseId,
        attempt: u32,
        name: Option<&str>,
    ) -> Result<StoredFiles, StoreError> {
        self.named(|| async move {
            let mut tx = self.reader.begin().await?;
            let removed: Option<bool> = query_scalar(concat!(
                "SELECT removed_at IS NOT NULL FROM artifact_uploads WHERE attempt = ",
                attempt_row!()
            ))
            .bind(run.as_str())
            .bind(phase.as_str())
            .bind(attempt)
            .fetch_optional(&mut *tx)
            .await?;
            match removed {
                None => return Ok(StoredFiles::NotStored),
                Some(true) => return Ok(StoredFiles::Removed),
                Some(false) => {}
            }
            let rows: Vec<(String, i64, i64, Vec<u8>)> = query_as(concat!(
                "SELECT name, size, head, content FROM artifacts WHERE attempt = ",
                attempt_row!(),
                " AND (?4 IS NULL OR name = ?4) ORDER BY position"
            ))
            .bind(run.as_str())
            .bind(phase.as_str())
            .bind(attempt)
            .bind(name)
            .fetch_all(&mut *tx)
            .await?;
            let file = |(name, size, head, content): (String, i64, i64, Vec<u8>)| {
                let row = || format!("file {name} of attempt {attempt} of phase {phase}");
                let (size, head) = (number(size, row)?, number(head, row)?);
                Ok(StoredFile { name, size, head, content })
            };
            Ok(StoredFiles::Files(rows.into_iter().map(file).collect::<Result<_, StoreError>>()?))
        })
        .await
    }

    /// Returns the ended attempts of a run with files that were never stored, oldest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn unstored_attempts(&self, run: &RunId) -> Result<Vec<StoredAttempt>, StoreError> {
        self.executed_attempts(
            select_executed!(
                "WHERE r.run_id = ? AND a.log_dir IS NOT NULL AND a.ended_at IS NOT NULL
                   AND NOT EXISTS (SELECT 1 FROM artifact_uploads u WHERE u.attempt = a.id) ORDER BY a.id"
            ),
            run,
        )
        .await
    }

    /// Returns the attempts of a run with stored files, oldest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn stored_attempts(&self, run: &RunId) -> Result<Vec<StoredAttempt>, StoreError> {
        self.executed_attempts(
            select_executed!(
                "JOIN artifact_uploads u ON u.attempt = a.id
                  WHERE r.run_id = ? AND u.removed_at IS NULL ORDER BY a.id"
            ),
            run,
        )
        .await
    }

    async fn executed_attempts(
        &self,
        sql: &'static str,
        run: &RunId,
    ) -> Result<Vec<StoredAttempt>, StoreError> {
        self.named(|| async move {
            let rows: Vec<ExecutedAttemptRecord> =
                query_as(sql).bind(run.as_str()).fetch_all(&self.reader).await?;
            rows.into_iter().map(StoredAttempt::try_from).collect()
        })
        .await
    }

    /// Removes the stored files of attempts. They are not stored again.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn remove_stored_files(&self, attempts: &[AttemptKey]) -> Result<(), StoreError> {
        self.named(|| async move {
            for attempt in attempts {
                let mut tx = self.begin().await?;
                for table in [
                    "DELETE FROM artifacts WHERE attempt = ?",
                    "DELETE FROM log_parts WHERE attempt = ?",
                ] {
                    query(table).bind(attempt.row()).execute(&mut *tx).await?;
                }
                query(concat!(
                    "INSERT INTO artifact_uploads (attempt, stored_at, removed_at) VALUES (?, ",
                    database_now!(),
                    ", ",
                    database_now!(),
                    ") ON CONFLICT (attempt) DO UPDATE SET removed_at = excluded.removed_at"
                ))
                .bind(attempt.row())
                .execute(&mut *tx)
                .await?;
                tx.commit().await?;
            }
            Ok(())
        })
        .await
    }
}

impl TryFrom<ExecutedAttemptRecord> for StoredAttempt {
    type Error = StoreError;

    fn try_from(row: ExecutedAttemptRecord) -> Result<Self, StoreError> {
        let name =
            || format!("attempt {} of phase {} of run {}", row.attempt, row.phase_id, row.run_id);
        let outcome = row.outcome.as_deref().map(|text| parse(text, name)).transpose()?;
        let attempt = number(row.attempt, name)?;
        Ok(Self {
            outcome: outcome_of(outcome, row.purpose.as_deref(), row.scope_granted),
            attempt: ExecutedAttempt {
                key: AttemptKey::of_row(row.id),
                attempt,
                run_id: RunId::new(row.run_id),
                phase_id: PhaseId::new(row.phase_id),
                owner: OwnerId::new(row.owner),
            },
        })
    }
}
