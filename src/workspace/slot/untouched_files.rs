//! Untouched files that git would add with other content than in their commit: a file with CRLF
//! under a later `*.bat text eol=crlf`, for example. Git reports them as changed in every fresh
//! checkout, but they are not part of any change.
//!
//! The content git would add is determined by an actual checkout and add next to the slot, only for
//! the changed files.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;

use super::{Slot, SlotContents};
use crate::git::diff::{Diff, RawChange};
use crate::git::error::{Context, Result};
use crate::git::removal::remove_any;

/// Directory in our git directory.
pub(crate) const DIRECTORY: &str = "untouched";
pub(crate) const INDEX: &str = "untouched.index";
pub(crate) const INDEX_LOCK: &str = "untouched.index.lock";

impl Slot {
    /// Reverts these files in our index; returns whether there were any.
    pub(super) async fn restore_untouched(
        &self,
        contents: &SlotContents,
        diff: &Diff,
    ) -> Result<bool> {
        let candidates: Vec<&RawChange> =
            diff.changes.iter().filter(|change| change.is_new_content()).collect();
        if candidates.is_empty() || !self.may_convert(contents) {
            return Ok(false);
        }
        let (directory, index) = (self.top.git_dir.join(DIRECTORY), self.top.git_dir.join(INDEX));
        let untouched = self.added_after_checkout(contents, &candidates).await;
        for path in [&directory, &index] {
            remove_any(path).doing("remove", path)?;
        }
        let untouched = untouched?;
        let mut orders = Vec::new();
        for change in candidates {
            if untouched.get(&change.path).is_some_and(|added| added.is_same_content(change)) {
                orders.extend_from_slice(&change.order_back());
            }
        }
        if orders.is_empty() {
            return Ok(false);
        }
        let args = ["update-index", "-z", "--index-info"];
        self.top.git.call("restore untouched files", args).stdin(orders).bytes().await?;
        Ok(true)
    }

    /// Whether content on disk can differ from the commit's at all.
    fn may_convert(&self, contents: &SlotContents) -> bool {
        let config = &self.repo.config;
        let may_convert =
            |key: &str| matches!(key, "core.autocrlf" | "core.eol" | "core.attributesfile");
        config.carried.iter().any(|(key, _)| may_convert(key))
            || self.top.stands_for.join("info/attributes").exists()
            || self.repo.has_own_attributes()
            || contents.placed.tree.paths().any(|path| path.ends_with(".gitattributes"))
    }

    /// Returns, by path, the changed files that git would add with other content than in the commit.
    async fn added_after_checkout(
        &self,
        contents: &SlotContents,
        candidates: &[&RawChange],
    ) -> Result<HashMap<Vec<u8>, RawChange>> {
        let directory = self.top.git_dir.join(DIRECTORY);
        remove_any(&directory).doing("remove", &directory)?;
        fs::create_dir(&directory).doing("create the directory", &directory)?;
        let mut git = self.top.git.clone().pinned(&self.top.git_dir, &directory);
        git.set("GIT_INDEX_FILE", OsString::from(self.top.git_dir.join(INDEX)));
        let commit = contents.placed.commit.as_str();
        git.call("list the files of the commit", ["read-tree", commit]).bytes().await?;
        let mut paths = Vec::new();
        for change in candidates {
            paths.extend_from_slice(&change.path);
            paths.push(0);
        }
        let args = ["checkout-index", "-f", "-z", "--stdin"];
        git.call("check out the commit's files", args).stdin(paths.clone()).bytes().await?;
        let args = ["update-index", "-z", "--stdin"];
        git.call("add the files again", args).stdin(paths).bytes().await?;
        let args = ["diff-index", "--cached", "--raw", "-z", "--no-abbrev", "--no-renames", commit];
        let output = git.call("compare with the commit", args).bytes().await?;
        let added = Diff::parse(String::new(), &output).changes;
        Ok(added.into_iter().map(|change| (change.path.clone(), change)).collect())
    }
}
