//! Results of tests in a clean clone; the latest result is part of the run's summary.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::phase::{PhaseId, RunId, UnixMs};
use crate::store::backend::{Connection, query, query_as, query_scalar};

use crate::store::columns::{json, to_json};
use crate::store::error::StoreError;
use crate::store::open::Store;

/// Result of running CI on a commit in a clean clone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CleanOutcome {
    /// CI passed.
    Green,
    /// CI failed twice, and the run's base does not fail in the same way.
    RedInCleanClone,
    /// The run's base fails in the same way: the clean clone lacks something, so the result says nothing about the run.
    NotReproducible,
}

/// A test of a commit in a clean clone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanTest {
    /// Id of the tested commit.
    pub commit: String,
    /// Result of the test.
    pub outcome: CleanOutcome,
    /// Failing tests, if the runner reports individual tests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failing: Vec<String>,
    /// Whether these failures were excused from the start: in a slot, CI fails in the same way at the run's base.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_known: bool,
    /// End of the CI output of a failed test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_lines: Option<String>,
    /// Landing found by bisection to have broken the tests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_by: Option<String>,
    /// Phase landed as `broken_by`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_by_phase: Option<PhaseId>,
    /// Commits that may have broken the tests, oldest first, if bisection did not find the landing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspects: Vec<String>,
    /// Last commit of the run known to pass in a clean clone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_green: Option<String>,
}

impl CleanOutcome {
    /// Returns the stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::RedInCleanClone => "red_in_clean_clone",
            Self::NotReproducible => "not_reproducible",
        }
    }
}

impl Store {
    /// Stores a result after the run's earlier results.
    ///
    /// # Errors
    /// The run is unknown, or the database cannot be written.
    pub async fn put_clean_test(
        &self,
        run: &RunId,
        test: &CleanTest,
        now: UnixMs,
    ) -> Result<(), StoreError> {
        self.named(|| async move {
            let mut tx = self.begin().await?;
            let run = self.run_row(&mut tx, run).await?;
            query(
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

/// Returns the row ids of runs with landings or undone landings since the latest test.
pub(crate) async fn untested_runs(connection: &mut Connection) -> Result<HashSet<i64>, StoreError> {
    let rows: Vec<i64> = query_scalar(
        "SELECT p.run FROM attempts a JOIN phases p ON p.id = a.phase
          WHERE a.outcome = 'landed' GROUP BY p.run
         HAVING MAX(a.ended_at) > COALESCE((SELECT MAX(c.tested_at) FROM clean_tests c WHERE c.run = p.run), -1)
         UNION
         SELECT v.run FROM reverts v WHERE v.outcome = 'undone' GROUP BY v.run
         HAVING MAX(v.ended_at) > COALESCE((SELECT MAX(c.tested_at) FROM clean_tests c WHERE c.run = v.run), -1)",
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().collect())
}

/// Returns the latest result of each tested run, by row id.
pub(crate) async fn latest(
    connection: &mut Connection,
) -> Result<HashMap<i64, CleanTest>, StoreError> {
    let rows: Vec<(i64, String)> = query_as(
        "SELECT run, detail FROM clean_tests WHERE id IN (SELECT MAX(id) FROM clean_tests GROUP BY run)",
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|(run, detail)| Ok((run, json(&detail, || format!("the clean test of run {run}"))?)))
        .collect()
}
