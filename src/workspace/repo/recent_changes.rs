//! The files that recent commits changed together.

use super::Repo;
use crate::git::error::Result;

impl Repo {
    /// Returns the files of each of the last `commits` commits before `revision` that are no merges, newest first.
    ///
    /// # Errors
    /// If git fails.
    pub async fn recent_changes(&self, revision: &str, commits: usize) -> Result<Vec<Vec<String>>> {
        let count = format!("--max-count={commits}");
        let form = ["--no-merges", "--no-renames", "--name-only", "--format=%x00"];
        let call = self.git.call("list recent changes", ["-c", "core.quotePath=false", "log"]);
        let text = call.arg(count).args(form).args([revision, "--"]).text().await?;
        let lines = |commit: &str| -> Vec<String> {
            commit.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
        };
        Ok(text.split('\0').map(lines).filter(|files| !files.is_empty()).collect())
    }
}
