//! The change of a landed commit or a kept patch, in the forms that people and scripts read.

use std::path::Path;

use super::Repo;
use crate::git::error::Result;

/// Form of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeForm {
    /// As a patch.
    Patch,
    /// Changed lines of each file, for people.
    Stat {
        /// Width in columns.
        columns: usize,
    },
}

/// Changed lines of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedFile {
    /// Path relative to the root of the repository.
    pub path: String,
    /// Added lines; `None` for a binary file.
    pub added: Option<u64>,
    /// Removed lines; `None` for a binary file.
    pub removed: Option<u64>,
}

impl Repo {
    /// Returns the change of a commit against its first parent.
    ///
    /// # Errors
    /// If the repository does not have the commit.
    pub async fn change_of_commit(&self, commit: &str, form: ChangeForm) -> Result<Vec<u8>> {
        let form = match form {
            ChangeForm::Patch => "--patch".to_owned(),
            ChangeForm::Stat { columns } => format!("--stat={columns}"),
        };
        self.git.call("show a commit", show(&form, commit)).bytes().await
    }

    /// Returns the changed files of a commit against its first parent.
    ///
    /// # Errors
    /// As [`Self::change_of_commit`].
    pub async fn files_of_commit(&self, commit: &str) -> Result<Vec<ChangedFile>> {
        let args = show("--numstat", commit);
        Ok(parse_counts(&self.git.call("show a commit", args).text().await?))
    }

    /// Returns the changed lines of each file of a patch, for people.
    ///
    /// # Errors
    /// If the file is no patch.
    pub async fn stat_of_patch(&self, patch: &Path) -> Result<Vec<u8>> {
        let args = ["apply", "--stat", "--allow-empty"];
        self.git.call("read a patch", args).arg(patch).bytes().await
    }

    /// Returns the changed files of a patch.
    ///
    /// # Errors
    /// If the file is no patch.
    pub async fn files_of_patch(&self, patch: &Path) -> Result<Vec<ChangedFile>> {
        let args = ["apply", "--numstat", "--allow-empty"];
        Ok(parse_counts(&self.git.call("read a patch", args).arg(patch).text().await?))
    }
}

fn show<'a>(form: &'a str, commit: &'a str) -> [&'a str; 8] {
    let no_programs = ["--no-ext-diff", "--no-textconv"];
    [
        "show",
        "--format=",
        "--no-color",
        "--first-parent",
        no_programs[0],
        no_programs[1],
        form,
        commit,
    ]
}

pub(super) fn parse_counts(text: &str) -> Vec<ChangedFile> {
    let file = |line: &str| {
        let mut parts = line.splitn(3, '\t');
        let (added, removed, path) = (parts.next()?, parts.next()?, parts.next()?);
        let path = path.to_owned();
        Some(ChangedFile { path, added: added.parse().ok(), removed: removed.parse().ok() })
    };
    text.lines().filter_map(file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_files_have_no_counts() {
        let files = parse_counts("3\t1\tsrc/a b.py\n-\t-\tlogo.png\n");
        assert_eq!((files[0].path.as_str(), files[0].added), ("src/a b.py", Some(3)));
        assert_eq!((files[1].added, files[1].removed), (None, None));
    }
}
