//! The files that the commits of a run changed.

use std::collections::HashMap;

use super::Repo;
use super::change_listing::{ChangedFile, parse_counts};
use crate::git::error::Result;

/// Options that start no program of the user's configuration.
const PLAIN: [&str; 3] = ["--no-color", "--no-ext-diff", "--no-textconv"];

impl Repo {
    /// Returns the changed files of commits against their first parents. Commits that the repository does not have are
    /// left out.
    ///
    /// # Errors
    /// If git fails.
    pub async fn files_of_commits(
        &self,
        commits: &[&str],
    ) -> Result<HashMap<String, Vec<ChangedFile>>> {
        if commits.is_empty() {
            return Ok(HashMap::new());
        }
        let args = ["log", "--no-walk=unsorted", "--ignore-missing", "--stdin"];
        let form = ["--first-parent", "--diff-merges=first-parent", "--numstat", "--format=%H"];
        let call = self.git.call("list the changed files", args).args(form).args(PLAIN);
        let text = call.stdin(commits.join("\n")).text().await?;
        let mut files: HashMap<String, Vec<ChangedFile>> = HashMap::new();
        let mut current = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if line.contains('\t') {
                current.push(line);
            } else {
                add(&mut files, &mut current);
                current.push(line);
            }
        }
        add(&mut files, &mut current);
        Ok(files)
    }

    /// Returns the changed lines of each file between two commits, for people.
    ///
    /// # Errors
    /// If the repository does not have the commits.
    pub async fn stat_between(&self, from: &str, to: &str, columns: usize) -> Result<String> {
        let stat = format!("--stat={columns}");
        let call = self.git.call("compare commits", ["diff", &stat]).args(PLAIN);
        call.args([from, to, "--"]).text().await
    }
}

/// Adds the files below the line of a commit, and clears the lines.
fn add(files: &mut HashMap<String, Vec<ChangedFile>>, lines: &mut Vec<&str>) {
    if let Some((commit, counts)) = lines.split_first() {
        files.insert((*commit).to_owned(), parse_counts(&counts.join("\n")));
    }
    lines.clear();
}
