//! Telemetry yield of a drain: attempts and samples of one owner since a mark.

use crate::phase::{AttemptOutcome, FailureKind};
use crate::store::backend::query_as;

use crate::store::columns::{number, to_json};
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::owner_id::OwnerId;

/// Position in the lists of attempts and samples.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mark {
    attempt: i64,
    sample: i64,
}

/// Counts since a mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct YieldChange {
    /// Ended attempts, except for interrupted attempts.
    pub attempts: u64,
    /// Ended attempts with a started agent.
    pub reached: u64,
    /// Telemetry samples.
    pub samples: u64,
    /// Samples of attempts whose agent ended by itself and could therefore report usage.
    pub finished: u64,
    /// Samples in `finished` with any token count.
    pub counted: u64,
}

/// Values of `failure_kind` in samples of attempts whose agent did not end by itself.
fn cut_short() -> [&'static str; 7] {
    [
        AttemptOutcome::Interrupted.as_str(),
        AttemptOutcome::Crashed.as_str(),
        AttemptOutcome::RateLimited.as_str(),
        AttemptOutcome::Systemic.as_str(),
        FailureKind::AgentTimeout.as_str(),
        FailureKind::AgentStalled.as_str(),
        FailureKind::GaveUp.as_str(),
    ]
}

impl Store {
    /// Returns the present position.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn telemetry_mark(&self) -> Result<Mark, StoreError> {
        self.named(|| async move {
            let (attempt, sample) = query_as(
                "SELECT COALESCE((SELECT MAX(id) FROM attempts), 0), COALESCE((SELECT MAX(id) FROM samples), 0)",
            )
            .fetch_one(&self.reader)
            .await?;
            Ok(Mark { attempt, sample })
        })
        .await
    }

    /// Counts the attempts and samples of an owner since a mark.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn yield_since(
        &self,
        mark: &Mark,
        owner: &OwnerId,
    ) -> Result<YieldChange, StoreError> {
        self.named(|| async move {
            let mut tx = self.reader.begin().await?;
            let (attempts, reached): (i64, i64) = query_as(
                "SELECT COUNT(*), COUNT(agent) FROM attempts
                  WHERE id > ? AND owner = ? AND ended_at IS NOT NULL AND outcome <> 'interrupted' AND purpose IS NULL AND NOT by_person",
            )
            .bind(mark.attempt)
            .bind(owner.as_str())
            .fetch_one(&mut *tx)
            .await?;
            let (samples, finished, counted): (i64, i64, i64) = query_as(
                "SELECT COUNT(*), COUNT(CASE WHEN own_end THEN 1 END),
                        COUNT(CASE WHEN own_end AND counted THEN 1 END)
                   FROM (
                     SELECT COALESCE(s.failure_kind, '') NOT IN (SELECT value FROM json_each(?3)) AS own_end,
                            COALESCE(s.actual_output_tokens, s.input_tokens) IS NOT NULL AS counted
                       FROM samples s
                      WHERE s.id > ?1 AND EXISTS (
                            SELECT 1 FROM runs r
                              JOIN phases p ON p.run = r.id AND p.phase_id = s.phase_id
                              JOIN attempts a ON a.phase = p.id AND a.attempt = s.attempt
                             WHERE r.run_id = s.run_id AND a.owner = ?2)) AS ended",
            )
            .bind(mark.sample)
            .bind(owner.as_str())
            .bind(to_json(&cut_short()))
            .fetch_one(&mut *tx)
            .await?;
            let [attempts, reached, samples, finished, counted] =
                [attempts, reached, samples, finished, counted]
                    .map(|count| number(count, || "the counts of samples".to_owned()));
            Ok(YieldChange {
                attempts: attempts?,
                reached: reached?,
                samples: samples?,
                finished: finished?,
                counted: counted?,
            })
        })
        .await
    }
}
