//! What running attempts do now, for whoever looks from another terminal. A courtesy: it waits for nobody, and losing
//! it loses nothing. And what has ended since a look, for the same eyes.

use sqlx::FromRow;

use super::claim::Claim;
use crate::phase::{AttemptOutcome, Failure, PhaseId, PhaseState, RunId, Tokens, UnixMs};
use crate::store::columns::{json, number, parse};
use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::token_columns::TokenColumns;

/// An attempt, for the notes on what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptKey(i64);

impl Claim {
    pub fn key(&self) -> AttemptKey {
        AttemptKey(self.attempt_row)
    }
}

/// Up to which attempt somebody has looked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bookmark(i64);

/// An attempt that ended, as one line tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    pub mark: Bookmark,
    pub run_id: RunId,
    pub phase_id: PhaseId,
    pub attempt: u32,
    pub outcome: AttemptOutcome,
    /// What became of the phase by it.
    pub state: PhaseState,
    /// Charged so far.
    pub tries: u32,
    pub max_attempts: Option<u32>,
    pub started_at: UnixMs,
    pub ended_at: UnixMs,
    pub commit: Option<String>,
    pub failure: Option<Failure>,
    pub tokens: Tokens,
}

#[derive(FromRow)]
struct EndedRecord {
    id: i64,
    run_id: String,
    phase_id: String,
    attempt: i64,
    outcome: String,
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
}

impl Store {
    /// Says what an attempt does now. Through a connection of its own that waits for no lock and for no disk: where the
    /// database is busy or full, this is an error at once, and the attempt is not held up.
    pub async fn note_activity(
        &self,
        attempt: AttemptKey,
        activity: &str,
        since: UnixMs,
    ) -> Result<(), StoreError> {
        self.named(async {
            sqlx::query(
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

    /// Where somebody begins who wants to know what ends from now on: before the oldest attempt that runs, else
    /// behind the last that has ended.
    pub async fn bookmark(&self) -> Result<Bookmark, StoreError> {
        self.named(async {
            let before: Option<i64> = sqlx::query_scalar(
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

    /// The attempts behind this mark that have ended, in the order of their ends.
    pub async fn ended_behind(&self, mark: Bookmark) -> Result<Vec<Ended>, StoreError> {
        self.named(async {
            let rows: Vec<EndedRecord> = sqlx::query_as(
                "SELECT a.id, r.run_id, p.phase_id, a.attempt, a.outcome, p.state, p.executions,
                        p.attempts AS tries, p.max_attempts, a.started_at, a.ended_at, a.landing_commit, a.failure,
                        a.input_tokens, a.output_tokens, a.cache_read_tokens, a.cache_write_tokens
                   FROM attempts a JOIN phases p ON p.id = a.phase JOIN runs r ON r.id = p.run
                  WHERE a.id > ? AND a.ended_at IS NOT NULL
                  ORDER BY a.ended_at, a.id",
            )
            .bind(mark.0)
            .fetch_all(&self.reader)
            .await?;
            rows.into_iter().map(Ended::try_from).collect()
        })
        .await
    }
}

impl TryFrom<EndedRecord> for Ended {
    type Error = StoreError;

    fn try_from(row: EndedRecord) -> Result<Self, StoreError> {
        let name = || format!("attempt {} of phase {}", row.attempt, row.phase_id);
        let outcome: AttemptOutcome = parse(&row.outcome, name)?;
        let now: PhaseState = parse(&row.state, name)?;
        let landed = outcome == AttemptOutcome::Landed;
        let state = match outcome {
            AttemptOutcome::Landed | AttemptOutcome::NoChangeNeeded => PhaseState::Complete,
            // Executed again since, or queued for it: it had tries left.
            _ if row.executions == row.attempt && now == PhaseState::Failed => PhaseState::Failed,
            _ => PhaseState::Queued,
        };
        Ok(Self {
            mark: Bookmark(row.id),
            attempt: number(row.attempt, name)?,
            outcome,
            state,
            tries: number(row.tries, name)?,
            max_attempts: row.max_attempts.map(|n| number(n, name)).transpose()?,
            started_at: UnixMs(row.started_at),
            ended_at: UnixMs(row.ended_at),
            commit: row.landing_commit.clone().filter(|_| landed),
            failure: row.failure.as_deref().map(|text| json(text, name)).transpose()?,
            tokens: row.tokens.tokens(name)?,
            run_id: RunId::new(&row.run_id),
            phase_id: PhaseId::new(&row.phase_id),
        })
    }
}
