//! Which runs and phases there are, by name, and where a run is executed.

use sqlx::{FromRow, SqliteConnection};

use crate::phase::{PhaseId, RunId};

use crate::store::error::StoreError;
use crate::store::open::Store;
use crate::store::rows::{PhaseRecord, select_phases};

/// Where a run is executed; set by its first drain, and changed only where its repository was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFacts {
    /// The repository's identity: the absolute path of its common git folder.
    pub repo: String,
    pub branch: String,
    pub base_commit: String,
}

impl RunFacts {
    /// Where the run is not this repository's: what to say of it. `here` is its identity.
    pub fn refusal(&self, run: &RunId, here: &str) -> Option<String> {
        let there = &self.repo;
        (there != here)
            .then(|| format!("run {run} belongs to the repository {there}, not to {here}"))
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
}

impl Store {
    /// An error that names the runs there are, where one of these is not among them.
    pub async fn require_runs(&self, runs: &[RunId]) -> Result<(), StoreError> {
        self.named(async {
            let mut connection = self.reader.acquire().await?;
            for run in runs {
                self.run_row(&mut connection, run).await?;
            }
            Ok(())
        })
        .await
    }

    /// Where the run is executed, once a drain has settled it.
    pub async fn run_facts(&self, run: &RunId) -> Result<Option<RunFacts>, StoreError> {
        self.named(async {
            let mut connection = self.reader.acquire().await?;
            self.facts_of(&mut connection, run).await
        })
        .await
    }

    /// COMPLETE phases with the commits that they landed as, in the order of the plan.
    pub async fn landed(&self, run: &RunId) -> Result<Vec<(PhaseId, String)>, StoreError> {
        self.named(async {
            let rows: Vec<(String, String)> = sqlx::query_as(
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

    /// Every commit that landed in the run, the latest first: of phases that are to be done again, too.
    pub async fn landings(&self, run: &RunId) -> Result<Vec<String>, StoreError> {
        self.named(async {
            Ok(sqlx::query_scalar(
                "SELECT a.landing_commit FROM attempts a JOIN phases p ON p.id = a.phase
                  WHERE p.run = (SELECT id FROM runs WHERE run_id = ?)
                    AND a.outcome = 'landed' AND a.landing_commit IS NOT NULL
                  ORDER BY a.ended_at DESC, a.id DESC",
            )
            .bind(run.as_str())
            .fetch_all(&self.reader)
            .await?)
        })
        .await
    }

    /// Settles where the run is executed, unless that is settled. Returns what holds, for the caller to compare.
    pub async fn settle_run_facts(
        &self,
        run: &RunId,
        facts: &RunFacts,
    ) -> Result<RunFacts, StoreError> {
        self.named(async {
            let mut tx = self.begin().await?;
            sqlx::query(
                "UPDATE runs SET repo = ?, branch = ?, base_commit = ? WHERE run_id = ? AND repo IS NULL",
            )
            .bind(&facts.repo)
            .bind(&facts.branch)
            .bind(&facts.base_commit)
            .bind(run.as_str())
            .execute(&mut *tx)
            .await?;
            let settled = self.facts_of(&mut tx, run).await?;
            tx.commit().await?;
            Ok(settled.unwrap_or_else(|| facts.clone()))
        })
        .await
    }

    /// The run's repository was moved, from one identity to another. `false`: it is elsewhere by now, and stays there.
    pub async fn move_run(&self, run: &RunId, from: &str, to: &str) -> Result<bool, StoreError> {
        self.named(async {
            let moved = sqlx::query("UPDATE runs SET repo = ? WHERE run_id = ? AND repo = ?")
                .bind(to)
                .bind(run.as_str())
                .bind(from)
                .execute(&self.writer)
                .await?;
            Ok(moved.rows_affected() == 1)
        })
        .await
    }

    /// What serves the memory of a drain of these runs, for whoever looks at them.
    pub async fn note_memory_backend(
        &self,
        runs: &[RunId],
        backend: &str,
    ) -> Result<(), StoreError> {
        self.named(async {
            let mut tx = self.begin().await?;
            for run in runs {
                sqlx::query("UPDATE runs SET memory_backend = ? WHERE run_id = ?")
                    .bind(backend)
                    .bind(run.as_str())
                    .execute(&mut *tx)
                    .await?;
            }
            Ok(tx.commit().await?)
        })
        .await
    }

    async fn facts_of(
        &self,
        connection: &mut SqliteConnection,
        run: &RunId,
    ) -> Result<Option<RunFacts>, StoreError> {
        let id = self.run_row(connection, run).await?;
        let row: RunRecord = sqlx::query_as("SELECT * FROM runs WHERE id = ?")
            .bind(id)
            .fetch_one(connection)
            .await?;
        Ok(row.facts())
    }

    /// The row of a run, or an error that names the runs there are.
    pub(crate) async fn run_row(
        &self,
        connection: &mut SqliteConnection,
        run: &RunId,
    ) -> Result<i64, StoreError> {
        let id: Option<i64> = sqlx::query_scalar("SELECT id FROM runs WHERE run_id = ?")
            .bind(run.as_str())
            .fetch_optional(&mut *connection)
            .await?;
        if let Some(id) = id {
            return Ok(id);
        }
        let runs: Vec<String> =
            sqlx::query_scalar("SELECT run_id FROM runs ORDER BY id").fetch_all(connection).await?;
        Err(StoreError::UnknownRun {
            database: self.path().to_owned(),
            run: run.clone(),
            runs: runs.into_iter().map(RunId::new).collect(),
        })
    }

    pub(in crate::store) async fn phase_record(
        &self,
        connection: &mut SqliteConnection,
        run: &RunId,
        phase: &PhaseId,
    ) -> Result<PhaseRecord, StoreError> {
        let row = self.run_row(connection, run).await?;
        let found = sqlx::query_as(select_phases!("WHERE p.run = ? AND p.phase_id = ?"))
            .bind(row)
            .bind(phase.as_str())
            .fetch_optional(connection)
            .await?;
        found.ok_or_else(|| StoreError::UnknownPhase { run: run.clone(), phase: phase.clone() })
    }
}

impl RunRecord {
    /// The table's CHECKs allow all three or none.
    pub fn facts(&self) -> Option<RunFacts> {
        Some(RunFacts {
            repo: self.repo.clone()?,
            branch: self.branch.clone()?,
            base_commit: self.base_commit.clone()?,
        })
    }
}
