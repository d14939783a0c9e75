//! Runs and phases by name, and the repository of a run.

use sqlx::FromRow;

use crate::phase::clone_identity::CloneIdentity;
use crate::phase::{PhaseId, RunId};
use crate::store::backend::{Connection, query_as, query_scalar};

use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::rows::{PhaseRecord, select_phases};

/// Repository, branch and base of a run; recorded by the first drain and changed only after the repository has moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFacts {
    /// Identity of the repository: the absolute path of the common git directory, at a server with its machine; or its
    /// remote.
    pub repo: String,
    /// Branch for landings.
    pub branch: String,
    /// Commit at the start of the run.
    pub base_commit: String,
}

impl RunFacts {
    /// Returns the refusal for a run of another repository. `here` is the identity of the present repository.
    pub fn explain_foreign_repository(&self, run: &RunId, here: &str) -> Option<String> {
        let there = &self.repo;
        if there == here {
            return None;
        }
        Some(match CloneIdentity::explain_other_machine(there, here) {
            Some(why) => format!("run {run} is another machine's: {why}"),
            None => format!("run {run} belongs to the repository {there}, not to {here}"),
        })
    }

    /// Whether only a remote for runs would let this repository continue the run of another machine.
    pub fn is_of_other_machine(&self, here: &str) -> bool {
        CloneIdentity::explain_other_machine(&self.repo, here).is_some()
    }
}

#[derive(FromRow)]
pub(crate) struct RunRecord {
    pub id: i64,
    pub run_id: String,
    pub source: String,
    pub created_at: i64,
    pub repo: Option<String>,
    pub branch: Option<String>,
    pub base_commit: Option<String>,
    pub memory_backend: Option<String>,
    pub looked_at: Option<i64>,
    pub last_drain: Option<String>,
    pub spent_attempts: i64,
    pub spent_tokens: i64,
    pub spent_usd: f64,
    pub spent_ms: i64,
    pub paused_at: Option<i64>,
}

impl Store {
    /// Checks that all these runs exist.
    ///
    /// # Errors
    /// [`StoreError::UnknownRun`] with the existing runs, or the database cannot be read.
    pub async fn require_runs(&self, runs: &[RunId]) -> Result<(), StoreError> {
        self.named(|| async move {
            let mut connection = self.reader.acquire().await?;
            for run in runs {
                self.run_row(&mut connection, run).await?;
            }
            Ok(())
        })
        .await
    }

    /// Returns the repository, branch and base of a run, once recorded by a drain.
    ///
    /// # Errors
    /// The run is unknown, or the database cannot be read.
    pub async fn run_facts(&self, run: &RunId) -> Result<Option<RunFacts>, StoreError> {
        self.named(|| async move {
            let mut connection = self.reader.acquire().await?;
            self.facts_of(&mut connection, run).await
        })
        .await
    }

    /// Returns the COMPLETE phases with their landed commits, in plan order.
    ///
    /// # Errors
    /// The run is unknown, or the database cannot be read.
    pub async fn landed_phases(&self, run: &RunId) -> Result<Vec<(PhaseId, String)>, StoreError> {
        self.named(|| async move {
            let rows: Vec<(String, String)> = query_as(
                "SELECT phase_id, commit_id FROM phases
                  WHERE run = (SELECT id FROM runs WHERE run_id = ?) AND commit_id IS NOT NULL ORDER BY position",
            )
            .bind(run.as_str())
            .fetch_all(&self.reader)
            .await?;
            Ok(rows.into_iter().map(|(phase, commit)| (PhaseId::new(phase), commit)).collect())
        })
        .await
    }

    /// Returns all landings of the run that were not taken back, also of phases queued again.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn live_landings(&self, run: &RunId) -> Result<Vec<(PhaseId, String)>, StoreError> {
        self.named(|| async move {
            let rows: Vec<(String, String)> = query_as(
                "SELECT p.phase_id, l.landing_commit FROM live_landings l JOIN phases p ON p.id = l.phase
                  WHERE p.run = (SELECT id FROM runs WHERE run_id = ?)",
            )
            .bind(run.as_str())
            .fetch_all(&self.reader)
            .await?;
            Ok(rows.into_iter().map(|(phase, commit)| (PhaseId::new(phase), commit)).collect())
        })
        .await
    }

    /// Returns every commit landed in the run, latest first, including commits of phases queued again, and the reverts.
    ///
    /// # Errors
    /// The run is unknown, or the database cannot be read.
    pub async fn landed_commits(&self, run: &RunId) -> Result<Vec<String>, StoreError> {
        self.named(|| async move {
            Ok(query_scalar(
                "SELECT commit_id FROM (
                     SELECT a.landing_commit AS commit_id, a.ended_at, a.id FROM attempts a JOIN phases p ON p.id = a.phase
                      WHERE p.run = (SELECT id FROM runs WHERE run_id = ?1)
                        AND a.outcome = 'landed' AND a.landing_commit IS NOT NULL
                     UNION ALL
                     SELECT v.revert_commit, v.ended_at, v.id FROM reverts v
                      WHERE v.run = (SELECT id FROM runs WHERE run_id = ?1) AND v.outcome = 'undone') AS landed
                  ORDER BY ended_at DESC, id DESC",
            )
            .bind(run.as_str())
            .fetch_all(&self.reader)
            .await?)
        })
        .await
    }

    /// Records the repository, branch and base of a run, unless already recorded. Returns the recorded values for
    /// comparison.
    ///
    /// # Errors
    /// The run is unknown, or the database cannot be written.
    pub(in crate::store) async fn facts_of(
        &self,
        connection: &mut Connection,
        run: &RunId,
    ) -> Result<Option<RunFacts>, StoreError> {
        let id = self.run_row(connection, run).await?;
        let row: RunRecord =
            query_as("SELECT * FROM runs WHERE id = ?").bind(id).fetch_one(connection).await?;
        Ok(row.facts())
    }

    /// Returns the row id of a run, or an error with the existing runs.
    pub(crate) async fn run_row(
        &self,
        connection: &mut Connection,
        run: &RunId,
    ) -> Result<i64, StoreError> {
        let id: Option<i64> = query_scalar("SELECT id FROM runs WHERE run_id = ?")
            .bind(run.as_str())
            .fetch_optional(&mut *connection)
            .await?;
        if let Some(id) = id {
            return Ok(id);
        }
        Err(self.describe_unknown(connection, run).await?)
    }

    /// Returns the error for a run that does not exist, with the existing runs.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn unknown_run(&self, run: &RunId) -> Result<StoreError, StoreError> {
        self.named(|| async move {
            let mut connection = self.reader.acquire().await?;
            self.describe_unknown(&mut connection, run).await
        })
        .await
    }

    async fn describe_unknown(
        &self,
        connection: &mut Connection,
        run: &RunId,
    ) -> Result<StoreError, StoreError> {
        let runs: Vec<String> =
            query_scalar("SELECT run_id FROM runs ORDER BY id").fetch_all(connection).await?;
        Ok(StoreError::UnknownRun {
            database: self.name().clone(),
            run: run.clone(),
            runs: runs.into_iter().map(RunId::new).collect(),
        })
    }

    pub(in crate::store) async fn phase_record(
        &self,
        connection: &mut Connection,
        run: &RunId,
        phase: &PhaseId,
    ) -> Result<PhaseRecord, StoreError> {
        let row = self.run_row(connection, run).await?;
        let row = query_as(select_phases!("WHERE p.run = ? AND p.phase_id = ?"))
            .bind(row)
            .bind(phase.as_str())
            .fetch_optional(connection)
            .await?;
        row.ok_or_else(|| StoreError::UnknownPhase { run: run.clone(), phase: phase.clone() })
    }
}

impl RunRecord {
    /// Returns the recorded repository, branch and base; CHECK constraints allow all three or none.
    pub fn facts(&self) -> Option<RunFacts> {
        Some(RunFacts {
            repo: self.repo.clone()?,
            branch: self.branch.clone()?,
            base_commit: self.base_commit.clone()?,
        })
    }
}
