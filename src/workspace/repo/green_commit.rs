//! The last commit of a run with green CI in a clean clone: `refs/autopack/green/<run>`. Also the
//! commits between two landings, for the search for the breaking commit and for an undo.

use super::Repo;
use crate::git::error::Result;
use crate::phase::RunId;

impl Repo {
    /// Points the run's green ref at a commit.
    ///
    /// # Errors
    /// If git cannot write the ref.
    pub async fn set_green(&self, run: &RunId, commit: &str) -> Result<()> {
        let order = format!("update {} {commit}\n", ref_name(run));
        let answer = self.transact("record the last green commit", &order).await?;
        if answer.ok() { Ok(()) } else { Err(answer.error()) }
    }

    /// Returns the commit of the run's green ref, if there is one.
    ///
    /// # Errors
    /// If git fails.
    pub async fn green(&self, run: &RunId) -> Result<Option<String>> {
        self.resolve(&ref_name(run)).await
    }

    /// Returns the commits from `from` to `to`, both included, oldest first, along the first parents. Empty if `from`
    /// is no ancestor of `to`.
    ///
    /// # Errors
    /// If git fails.
    pub async fn commits_between(&self, from: &str, to: &str) -> Result<Vec<String>> {
        if !self.contains(to, from).await? {
            return Ok(Vec::new());
        }
        let args = ["rev-list", "--first-parent", "--reverse", to, &format!("^{from}")];
        let listed = self.git.call("list the landed commits", args).text().await?;
        let after = listed.lines().filter(|line| !line.is_empty()).map(str::to_owned);
        Ok(std::iter::once(from.to_owned()).chain(after).collect())
    }

    /// Returns these commits as far as they are on the way from `base` to `tip`, newest first.
    ///
    /// # Errors
    /// If git fails.
    pub async fn newest_first(
        &self,
        base: &str,
        tip: &str,
        commits: &[String],
    ) -> Result<Vec<String>> {
        let args = ["rev-list", "--topo-order", tip, &format!("^{base}")];
        let listed = self.git.call("find the landed commits", args).text().await?;
        let wanted = |commit: &&str| commits.iter().any(|wanted| wanted == commit);
        Ok(listed.lines().filter(wanted).map(str::to_owned).collect())
    }

    /// Returns the commits after `from` up to `to` that changed one of these paths, newest first.
    ///
    /// # Errors
    /// If git fails.
    pub async fn commits_touching(
        &self,
        from: &str,
        to: &str,
        paths: &[String],
    ) -> Result<Vec<String>> {
        let args = ["--literal-pathspecs", "rev-list", to, &format!("^{from}"), "--"];
        let call = self.git.call("find the commits that changed a file", args).args(paths);
        Ok(call.text().await?.lines().map(str::to_owned).collect())
    }

    /// Returns the subject line of a commit, for people.
    ///
    /// # Errors
    /// If git cannot read the commit.
    pub async fn subject_of(&self, commit: &str) -> Result<String> {
        let args = ["show", "--no-patch", "--format=%s", commit];
        self.git.call("read a commit's subject", args).text().await
    }
}

/// The green ref of a run.
fn ref_name(run: &RunId) -> String {
    format!("refs/autopack/green/{}", run.file_name())
}
