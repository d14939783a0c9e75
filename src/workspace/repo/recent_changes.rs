//! The messages and files of recent commits.

use super::Repo;
use crate::git::error::Result;
use crate::phase::proposal::PastChange;

impl Repo {
    /// Returns the last `commits` commits before `revision` that are no merges, newest first.
    ///
    /// # Errors
    /// If git fails.
    pub async fn recent_changes(&self, revision: &str, commits: usize) -> Result<Vec<PastChange>> {
        let count = format!("--max-count={commits}");
        let form = ["--no-merges", "--no-renames", "--name-only", "--format=%x01%B%x02"];
        let call = self.git.call("list recent changes", ["-c", "core.quotePath=false", "log"]);
        let text = call.arg(count).args(form).args([revision, "--"]).text().await?;
        Ok(parse(&text))
    }
}

/// Parses commits of the form `\x01message\x02` with a line for each file.
fn parse(text: &str) -> Vec<PastChange> {
    let commits = text.split('\u{1}').filter_map(|commit| commit.split_once('\u{2}'));
    let change = |(message, files): (&str, &str)| PastChange {
        message: message.trim().to_owned(),
        files: files.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect(),
    };
    commits.map(change).filter(|change| !change.files.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_without_files_are_left_out() {
        let text = "\u{1}fix: a\n\nbody\n\u{2}\n\nsrc/a.rs\ndocs/b.md\n\u{1}empty\n\u{2}\n";
        let files = vec!["src/a.rs".to_owned(), "docs/b.md".to_owned()];
        assert_eq!(parse(text), [PastChange { message: "fix: a\n\nbody".to_owned(), files }]);
        assert_eq!(parse(""), []);
    }
}
