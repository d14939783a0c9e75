//! Logs of running attempts, for followers on other machines: a follower leaves a mark, and the drain adds what is new.

use super::attempt_row;
use crate::phase::{PhaseId, RunId};
use crate::store::backend::{query, query_as, query_scalar};
use crate::store::columns::{number, signed};
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::queue::activity::AttemptKey;

/// What was added to a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPart {
    /// Number of the part within its attempt, from 1.
    pub number: u32,
    /// Name of the log within the attempt's directory.
    pub name: String,
    /// Place in the log, in bytes.
    pub start: u64,
    /// Length of this part of the log, in bytes.
    pub length: u64,
    /// The part, compressed.
    pub content: Vec<u8>,
}

impl Store {
    /// Asks for the logs of a running attempt, for half a minute.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn follow_logs(
        &self,
        run: &RunId,
        phase: &PhaseId,
        attempt: u32,
    ) -> Result<(), StoreError> {
        self.named(|| async move {
            query(concat!(
                "INSERT INTO log_followers (attempt, asked_at) SELECT id, ",
                database_now!(),
                " FROM attempts WHERE ended_at IS NULL AND id = ",
                attempt_row!(),
                " ON CONFLICT (attempt) DO UPDATE SET asked_at = excluded.asked_at"
            ))
            .bind(run.as_str())
            .bind(phase.as_str())
            .bind(attempt)
            .execute(&self.artifacts)
            .await?;
            Ok(())
        })
        .await
    }

    /// Returns the attempts with logs that somebody asked for within the last half minute.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn followed_attempts(&self) -> Result<Vec<AttemptKey>, StoreError> {
        self.named(|| async move {
            let rows: Vec<i64> = query_scalar(concat!(
                "SELECT attempt FROM log_followers WHERE asked_at > ",
                database_now!(),
                " - 30000"
            ))
            .fetch_all(&self.reader)
            .await?;
            Ok(rows.into_iter().map(AttemptKey::of_row).collect())
        })
        .await
    }

    /// Adds a part of a log of a running attempt, and removes the parts of this log that end before `from`.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn add_log_part(
        &self,
        attempt: AttemptKey,
        part: &LogPart,
        from: u64,
    ) -> Result<(), StoreError> {
        self.named(|| async move {
            let mut tx = self.artifacts.begin().await?;
            query(
                "INSERT INTO log_parts (number, name, start, length, content, attempt)
                 SELECT CAST(? AS BIGINT), CAST(? AS TEXT), CAST(? AS BIGINT), CAST(? AS BIGINT), ?, id
                   FROM attempts WHERE id = ? AND ended_at IS NULL
                 ON CONFLICT (attempt, number) DO NOTHING",
            )
            .bind(part.number)
            .bind(&part.name)
            .bind(signed(part.start))
            .bind(signed(part.length))
            .bind(&part.content)
            .bind(attempt.row())
            .execute(&mut *tx)
            .await?;
            if from > 0 {
                query("DELETE FROM log_parts WHERE attempt = ? AND name = ? AND start + length <= ?")
                    .bind(attempt.row())
                    .bind(&part.name)
                    .bind(signed(from))
                    .execute(&mut *tx)
                    .await?;
            }
            Ok(tx.commit().await?)
        })
        .await
    }

    /// Returns the parts after a number, in order.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn log_parts(
        &self,
        run: &RunId,
        phase: &PhaseId,
        attempt: u32,
        after: u32,
    ) -> Result<Vec<LogPart>, StoreError> {
        self.named(|| async move {
            let rows: Vec<(i64, String, i64, i64, Vec<u8>)> = query_as(concat!(
                "SELECT number, name, start, length, content FROM log_parts WHERE attempt = ",
                attempt_row!(),
                " AND number > ?4 ORDER BY number"
            ))
            .bind(run.as_str())
            .bind(phase.as_str())
            .bind(attempt)
            .bind(after)
            .fetch_all(&self.reader)
            .await?;
            let part = |(id, name, start, length, content): (i64, String, i64, i64, Vec<u8>)| {
                let row = || format!("part {id} of attempt {attempt} of phase {phase}");
                let (start, length) = (number(start, row)?, number(length, row)?);
                Ok(LogPart { number: number(id, row)?, name, start, length, content })
            };
            rows.into_iter().map(part).collect()
        })
        .await
    }
}
