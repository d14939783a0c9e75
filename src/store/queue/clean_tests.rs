//! Results of tests in a clean clone, the latest of which is part of a run's summary.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use sqlx::SqliteConnection;

use crate::phase::{PhaseId, RunId, UnixMs};

use crate::store::columns::{json, to_json};
use crate::store::error::StoreError;
use crate::store::open::Store;

/// What CI said of a commit in a clean clone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CleanOutcome {
    Green,
    /// Red twice, and the run's base is not red in the same way.
    RedInCleanClone,
    /// The run's base fails in the same way: the clean clone lacks something, and says nothing about the run.
    NotReproducible,
}

/// A test of a commit in a clean clone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanTest {
    pub commit: String,
    pub outcome: CleanOutcome,
    /// The failing tests, where the runner reports single tests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failing: Vec<String>,
    /// The end of CI's output, where it is red.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_lines: Option<String>,
    /// The landing that broke it, where the bisection found one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_by: Option<String>,
    /// The phase that landed as `broken_by`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_by_phase: Option<PhaseId>,
    /// The commits among which the landing that broke it is, where it was not found; oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspects: Vec<String>,
    /// The last commit of the run that is known to be green in a clean clone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_green: Option<String>,
}

impl CleanOutcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::RedInCleanClone => "red_in_clean_clone",
            Self::NotReproducible => "not_reproducible",
        }
    }
}

impl Store {
    /// Keeps a result, after the earlier ones of the run.
    pub async fn put_clean_test(
        &self,
        run: &RunId,
        test: &CleanTest,
        now: UnixMs,
    ) -> Result<(), StoreError> {
        self.named(async {
            let mut tx = self.begin().await?;
            let run = self.run_row(&mut tx, run).await?;
            sqlx::query(
                "INSERT INTO clean_tests (run, commit_id, outcome, detail, tested_at) VALUES (?, ?, ?, ?, ?)",
            )
            .bind(run)
            .bind(&test.commit)
            .bind(test.outcome.as_str())
            .bind(to_json(test))
            .bind(now.0)
            .execute(&mut *tx)
            .await?;
            Ok(tx.commit().await?)
        })
        .await
    }
}

/// The rows of the runs in which something landed since their latest test.
pub(crate) async fn untested(
    connection: &mut SqliteConnection,
) -> Result<HashSet<i64>, StoreError> {
    let rows: Vec<i64> = sqlx::query_scalar(
        "SELECT p.run FROM attempts a JOIN phases p ON p.id = a.phase
          WHERE a.outcome = 'landed' GROUP BY p.run
         HAVING MAX(a.ended_at) > COALESCE((SELECT MAX(c.tested_at) FROM clean_tests c WHERE c.run = p.run), -1)",
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().collect())
}

/// The latest result of each run that has one, by the run's row.
pub(crate) async fn latest(
    connection: &mut SqliteConnection,
) -> Result<HashMap<i64, CleanTest>, StoreError> {
    let rows: Vec<(i64, String)> = sqlx::query_as(
        "SELECT run, detail FROM clean_tests WHERE id IN (SELECT MAX(id) FROM clean_tests GROUP BY run)",
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|(run, detail)| Ok((run, json(&detail, || format!("the clean test of run {run}"))?)))
        .collect()
}
