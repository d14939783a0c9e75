//! The files of a commit in a directory of their own, for checks that only read them.

use std::path::{Path, PathBuf};

use super::Repo;
use crate::git::error::{Context, Result};

/// Most files written; writing more takes seconds.
const MOST_FILES: usize = 20_000;

impl Repo {
    /// Whether your checkout has the files of this commit and no others, except ignored ones.
    ///
    /// # Errors
    /// If git fails.
    pub async fn has_files_of(&self, commit: &str) -> Result<bool> {
        if self.resolve("HEAD").await?.as_deref() != Some(commit) {
            return Ok(false);
        }
        let args = ["status", "--porcelain", "--untracked-files=normal", "--ignore-submodules=all"];
        Ok(self.git.call("compare the checkout with its commit", args).bytes().await?.is_empty())
    }

    /// Writes the files of a commit below `directory`, and returns their directory; `None` if they are too many. Files
    /// of LFS stay pointers.
    ///
    /// # Errors
    /// If git fails, or the directory cannot be written.
    pub async fn write_files_of(&self, commit: &str, directory: &Path) -> Result<Option<PathBuf>> {
        let args = ["ls-tree", "-r", "-z", "--name-only", commit];
        let names = self.git.call("list the files of the commit", args).bytes().await?;
        if names.iter().filter(|byte| **byte == 0).count() > MOST_FILES {
            return Ok(None);
        }
        let files = directory.join("files");
        std::fs::create_dir(&files).doing("create the directory", &files)?;
        let mut git = self.git.clone();
        git.set("GIT_INDEX_FILE", directory.join("index"));
        git.set("GIT_LFS_SKIP_SMUDGE", "1");
        git.call("list the files of the commit", ["read-tree", commit]).bytes().await?;
        let prefix = format!("--prefix={}/", files.display());
        let args = ["checkout-index", "--all", "--force", &prefix];
        git.call("write the files of the commit", args).bytes().await?;
        Ok(Some(files))
    }
}
