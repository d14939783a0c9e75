//! The last commit of a run that was green in a clean clone: `refs/autopack/green/<run>`; and the landings that a
//! search for the breaking one walks through.

use super::Repo;
use crate::git::error::Result;
use crate::phase::RunId;

impl Repo {
    /// Points the run's green ref at a commit.
    pub async fn set_green(&self, run: &RunId, commit: &str) -> Result<()> {
        let order = format!("update {} {commit}\n", ref_name(run));
        let answer = self.transact("keep the last green commit", &order).await?;
        if answer.ok() { Ok(()) } else { Err(answer.error()) }
    }

    /// The commit that the run's green ref names, where there is one.
    pub async fn green(&self, run: &RunId) -> Result<Option<String>> {
        self.resolve(&ref_name(run)).await
    }

    /// The commits from `from` to `to`, both included, oldest first, along the first parents. Empty where `from` is no
    /// ancestor of `to`.
    pub async fn commits_between(&self, from: &str, to: &str) -> Result<Vec<String>> {
        if !self.contains(to, from).await? {
            return Ok(Vec::new());
        }
        let args = ["rev-list", "--first-parent", "--reverse", to, &format!("^{from}")];
        let listed = self.git.call("list what landed", args).text().await?;
        let after = listed.lines().filter(|line| !line.is_empty()).map(str::to_owned);
        Ok(std::iter::once(from.to_owned()).chain(after).collect())
    }

    /// The subject line of a commit, for people.
    pub async fn subject_of(&self, commit: &str) -> Result<String> {
        let args = ["show", "--no-patch", "--format=%s", commit];
        self.git.call("read a commit's subject", args).text().await
    }
}

/// The green ref of a run.
fn ref_name(run: &RunId) -> String {
    format!("refs/autopack/green/{}", run.file_name())
}
