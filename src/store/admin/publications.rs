//! What `publish` did: pushed branches with their pull requests, and comments on issues. A publication that was
//! interrupted finds here what it has done already.

use std::collections::HashMap;

use sqlx::FromRow;

use crate::phase::{PhaseId, RunId, UnixMs};
use crate::store::backend::{query, query_as};
use crate::store::error::StoreError;
use crate::store::open::Store;

/// A branch at a remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedBranch {
    /// Name at the remote, without `refs/heads/`.
    pub branch: String,
    /// The commit pushed last.
    pub pushed: String,
    /// Branch into which the pull request goes.
    pub base: Option<String>,
    /// The pull request opened last.
    pub pull_request: Option<OpenedPullRequest>,
}

/// A pull request opened or found by `publish`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedPullRequest {
    /// Name of the repository, such as `github:owner/repo`.
    pub forge: String,
    /// Number within the repository.
    pub number: u64,
    /// Link for people.
    pub url: String,
    /// Title as set by `publish`; another one is of a person.
    pub title: String,
}

/// A comment on the issue of a failed phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueRemark {
    /// Digest of the reason.
    pub reason: String,
    /// Link to the comment.
    pub url: String,
}

/// The publications of a run at a remote.
#[derive(Clone, Copy, Debug)]
pub struct Publications<'a> {
    store: &'a Store,
    run: &'a RunId,
    remote: &'a str,
}

#[derive(FromRow)]
struct BranchRecord {
    branch: String,
    pushed: String,
    base: Option<String>,
    forge: Option<String>,
    number: Option<i64>,
    url: Option<String>,
    title: Option<String>,
}

impl Store {
    /// Returns the publications of a run at a remote.
    pub fn publications<'a>(&'a self, run: &'a RunId, remote: &'a str) -> Publications<'a> {
        Publications { store: self, run, remote }
    }
}

impl Publications<'_> {
    /// Returns the branches, by name.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn branches(&self) -> Result<HashMap<String, PublishedBranch>, StoreError> {
        self.store
            .named(|| async move {
                let rows: Vec<BranchRecord> = query_as(
                    "SELECT p.branch, p.pushed, p.base, p.forge, p.number, p.url, p.title
                       FROM publications p JOIN runs r ON r.id = p.run
                      WHERE r.run_id = ? AND p.remote = ?",
                )
                .bind(self.run.as_str())
                .bind(self.remote)
                .fetch_all(&self.store.reader)
                .await?;
                Ok(rows.into_iter().map(|row| (row.branch.clone(), row.into())).collect())
            })
            .await
    }

    /// Records a branch and its pull request, in place of what is known of the branch.
    ///
    /// # Errors
    /// The run is unknown, or the database cannot be written.
    pub async fn record(&self, branch: &PublishedBranch, now: UnixMs) -> Result<(), StoreError> {
        self.store
            .named(|| async move {
                let mut tx = self.store.begin().await?;
                let run = self.store.run_row(&mut tx, self.run).await?;
                let pull = branch.pull_request.as_ref();
                let number = pull.map(|pull| i64::try_from(pull.number).unwrap_or(i64::MAX));
                query(
                    "INSERT INTO publications
                            (run, remote, branch, pushed, base, forge, number, url, title, published_at)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                     ON CONFLICT (run, remote, branch) DO UPDATE SET
                            pushed = excluded.pushed, base = excluded.base, forge = excluded.forge,
                            number = excluded.number, url = excluded.url, title = excluded.title,
                            published_at = excluded.published_at",
                )
                .bind(run)
                .bind(self.remote)
                .bind(&branch.branch)
                .bind(&branch.pushed)
                .bind(&branch.base)
                .bind(pull.map(|pull| &pull.forge))
                .bind(number)
                .bind(pull.map(|pull| &pull.url))
                .bind(pull.map(|pull| &pull.title))
                .bind(now.0)
                .execute(&mut *tx)
                .await?;
                Ok(tx.commit().await?)
            })
            .await
    }

    /// Returns the last comment on the issue of each phase of the run.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn remarks(&self) -> Result<HashMap<PhaseId, IssueRemark>, StoreError> {
        self.store
            .named(|| async move {
                let rows: Vec<(String, String, String)> = query_as(
                    "SELECT p.phase_id, m.reason, m.url
                       FROM issue_remarks m JOIN phases p ON p.id = m.phase JOIN runs r ON r.id = p.run
                      WHERE r.run_id = ?",
                )
                .bind(self.run.as_str())
                .fetch_all(&self.store.reader)
                .await?;
                let remark = |(phase, reason, url)| (PhaseId::new(phase), IssueRemark { reason, url });
                Ok(rows.into_iter().map(remark).collect())
            })
            .await
    }

    /// Records a comment on the issue of a phase.
    ///
    /// # Errors
    /// The phase is unknown, or the database cannot be written.
    pub async fn record_remark(
        &self,
        phase: &PhaseId,
        remark: &IssueRemark,
        now: UnixMs,
    ) -> Result<(), StoreError> {
        self.store
            .named(|| async move {
                let mut tx = self.store.begin().await?;
                let row = self.store.phase_record(&mut tx, self.run, phase).await?.id;
                query(
                    "INSERT INTO issue_remarks (phase, reason, url, commented_at) VALUES (?, ?, ?, ?)
                     ON CONFLICT (phase) DO UPDATE SET reason = excluded.reason, url = excluded.url,
                                                       commented_at = excluded.commented_at",
                )
                .bind(row)
                .bind(&remark.reason)
                .bind(&remark.url)
                .bind(now.0)
                .execute(&mut *tx)
                .await?;
                Ok(tx.commit().await?)
            })
            .await
    }
}

impl From<BranchRecord> for PublishedBranch {
    fn from(row: BranchRecord) -> Self {
        let pull_request = || {
            Some(OpenedPullRequest {
                forge: row.forge?,
                number: u64::try_from(row.number?).ok()?,
                url: row.url?,
                title: row.title?,
            })
        };
        Self {
            branch: row.branch,
            pushed: row.pushed,
            base: row.base,
            pull_request: pull_request(),
        }
    }
}
