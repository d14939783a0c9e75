//! Current activity of running attempts and newly ended attempts, for other terminals. Activity notes are best effort:
//! writing never waits, and losing them does no harm.

use sqlx::FromRow;

use super::claim::Claim;
use crate::phase::{AttemptOutcome, Failure, PhaseId, PhaseState, RunId, Tokens, UnixMs};
use crate::store::backend::{query, query_as, query_scalar};
use crate::store::columns::{json, number, parse};
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::rows::outcome_of;
use crate::store::token_columns::TokenColumns;

/// Key of an attempt, for activity notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttemptKey(i64);

impl AttemptKey {
    pub(in crate::store) fn of_row(row: i64) -> Self {
        Self(row)
    }

    pub(in crate::store) fn row(self) -> i64 {
        self.0
    }
}

impl Claim {
    /// Returns the key of the claimed attempt.
    pub fn key(&self) -> AttemptKey {
        AttemptKey(self.attempt_row)
    }
}

/// Position in the list of attempts up to which a reader has seen them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bookmark(i64);

/// An ended attempt, as shown on a single line.
#[derive(Clone, Debug, PartialEq)]
pub struct EndedAttempt {
    /// Position of this attempt.
    pub mark: Bookmark,
    /// Run of the phase.
    pub run_id: RunId,
    /// Phase of the attempt.
    pub phase_id: PhaseId,
    /// Number of the attempt within the phase.
    pub attempt: u32,
    /// Outcome of the attempt.
    pub outcome: AttemptOutcome,
    /// State of the phase after this attempt.
    pub state: PhaseState,
    /// Counted attempts of the phase up to this one, since the last retry by the operator.
    pub counted_attempts: u32,
    /// Limit of counted attempts set by the phase.
    pub max_attempts: Option<u32>,
    /// Start of the attempt.
    pub started_at: UnixMs,
    /// End of the attempt.
    pub ended_at: UnixMs,
    /// Landed commit.
    pub commit: Option<String>,
    /// Reason for the failure.
    pub failure: Option<Failure>,
    /// Tokens used.
    pub tokens: Tokens,
    /// Known cost in US dollars.
    pub cost_usd: Option<f64>,
}

#[derive(FromRow)]
struct EndedAttemptRecord {
    id: i64,
    run_id: String,
    phase_id: String,
    attempt: i64,
    outcome: String,
    purpose: Option<String>,
    scope_granted: bool,
    state: String,
    executions: i64,
    tries: i64,
    max_attempts: Option<i64>,
    started_at: i64,
    ended_at: i64,
    landing_commit: Option<String>,
    failure: Option<String>,
    #[sqlx(flatten)]
    tokens: TokenColumns,
    cost_usd: Option<f64>,
}

impl Store {
    /// Records the current activity of an attempt. Uses a connection of its own that waits for neither locks nor the
    /// disk, so the attempt is never delayed.
    ///
    /// # Errors
    /// The database is busy, full or cannot be written.
    pub async fn record_activity(
        &self,
        attempt: AttemptKey,
        activity: &str,
        since: UnixMs,
    ) -> Result<(), StoreError> {
        self.once(async move {
            query(
                "UPDATE attempts SET activity = ?, activity_at = ? WHERE id = ? AND ended_at IS NULL",
            )
            .bind(activity)
            .bind(since.0)
            .bind(attempt.0)
            .execute(&self.notes)
            .await?;
            Ok(())
        })
        .await
    }

    /// Returns the start position for reading future ends: before the oldest running attempt, else after the last ended
    /// attempt.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn bookmark(&self) -> Result<Bookmark, StoreError> {
        self.named(|| async move {
            let before: Option<i64> = query_scalar(
                "SELECT COALESCE(
                    (SELECT MIN(a.id) - 1 FROM phases p
                       JOIN attempts a ON a.phase = p.id AND a.attempt = p.executions
                      WHERE p.owner IS NOT NULL),
                    (SELECT MAX(id) FROM attempts))",
            )
            .fetch_one(&self.reader)
            .await?;
            Ok(Bookmark(before.unwrap_or(0)))
        })
        .await
    }

    /// Returns the ended attempts after `mark`, by time of end.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn ended_after(&self, mark: Bookmark) -> Result<Vec<EndedAttempt>, StoreError> {
        self.named(|| async move {
            let rows: Vec<EndedAttemptRecord> = query_as(
                "SELECT a.id, r.run_id, p.phase_id, a.attempt, a.outcome, a.purpose, a.scope_granted, p.state, p.executions,
                        MAX(p.attempts - (SELECT COUNT(*) FROM attempts l
                              WHERE l.phase = p.id AND l.attempt > a.attempt
                                AND l.outcome IN ('landed', 'no_change_needed', 'failed')), 0) AS tries,
                        p.max_attempts, a.started_at, a.ended_at, a.landing_commit, a.failure, a.input_tokens, a.output_tokens, a.cache_read_tokens, a.cache_write_tokens, a.cost_usd
                   FROM attempts a JOIN phases p ON p.id = a.phase JOIN runs r ON r.id = p.run
                  WHERE a.id > ? AND a.ended_at IS NOT NULL
                  ORDER BY a.ended_at, a.id",
            )
            .bind(mark.0)
            .fetch_all(&self.reader)
            .await?;
            rows.into_iter().map(EndedAttempt::try_from).collect()
        })
        .await
    }
}

impl TryFrom<EndedAttemptRecord> for EndedAttempt {
    type Error = StoreError;

    fn try_from(row: EndedAttemptRecord) -> Result<Self, StoreError> {
        let name = || format!("attempt {} of phase {}", row.attempt, row.phase_id);
        let stored: AttemptOutcome = parse(&row.outcome, name)?;
        let outcome =
            outcome_of(Some(stored), row.purpose.as_deref(), row.scope_granted).unwrap_or(stored);
        let now: PhaseState = parse(&row.state, name)?;
        let landed = outcome == AttemptOutcome::Landed;
        let state = match outcome {
            AttemptOutcome::Landed | AttemptOutcome::NoChangeNeeded => PhaseState::Complete,
            // Executed again since, or queued again with attempts left.
            _ if row.executions == row.attempt && now == PhaseState::Failed => PhaseState::Failed,
            _ => PhaseState::Queued,
        };
        Ok(Self {
            mark: Bookmark(row.id),
            attempt: number(row.attempt, name)?,
            outcome,
            state,
            counted_attempts: number(row.tries, name)?,
            max_attempts: row.max_attempts.map(|n| number(n, name)).transpose()?,
            started_at: UnixMs(row.started_at),
            ended_at: UnixMs(row.ended_at),
            commit: row.landing_commit.clone().filter(|_| landed),
            failure: row.failure.as_deref().map(|text| json(text, name)).transpose()?,
            tokens: row.tokens.tokens(name)?,
            cost_usd: row.cost_usd,
            run_id: RunId::new(&row.run_id),
            phase_id: PhaseId::new(&row.phase_id),
        })
    }
}
