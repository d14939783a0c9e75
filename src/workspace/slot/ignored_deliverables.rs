//! Deliverables present only as ignored files: the only case in which ignored files become part of
//! a change.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use globset::GlobBuilder;

use super::Slot;
use super::outside_diff::DiffExclusions;
use crate::git::command::fields;
use crate::git::error::{Result, WorkspaceError};
use crate::git::path_bytes::to_text;
use crate::git::trees::Tree;
use crate::phase::PathPattern;

/// Files visible to git without force.
pub(crate) struct VisibleFiles<'a> {
    pub top: &'a Path,
    pub tree: &'a Tree,
    pub changed: BTreeSet<String>,
}

impl VisibleFiles<'_> {
    /// Whether a deliverable is visible, or missing.
    pub fn has(&self, deliverable: &PathPattern) -> bool {
        let path = deliverable.as_str();
        if deliverable.is_glob() {
            let glob = GlobBuilder::new(path).literal_separator(true).build();
            // An invalid pattern can match no deliverable.
            return glob
                .map(|glob| glob.compile_matcher())
                .map_or(true, |glob| self.changed.iter().any(|changed| glob.is_match(changed)));
        }
        if deliverable.is_dir() {
            return self.tree.has_directory(path)
                || self.changed.iter().any(|changed| changed.starts_with(path));
        }
        self.changed.contains(path)
            || self.tree.has_file(path)
            || fs::symlink_metadata(self.top.join(path)).is_err()
    }
}

impl Slot {
    /// Adds the deliverables hidden by ignore patterns; returns whether there were any.
    pub(crate) async fn add_ignored(
        &self,
        deliverables: impl Iterator<Item = &PathPattern>,
    ) -> Result<bool> {
        let patterns: Vec<String> = deliverables.map(pathspec).collect();
        if patterns.is_empty() {
            return Ok(false);
        }
        let args = ["ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--"];
        let call = self.top.git.call("find ignored deliverables", args);
        let listed = call.args(patterns).bytes().await?;
        let mut wanted: Vec<&[u8]> = fields(&listed)
            .filter(|path| !DiffExclusions::is_interpreter_file(&to_text(path)))
            .collect();
        if wanted.is_empty() {
            return Ok(false);
        }
        // Each path is ended by a NUL, including the last path.
        wanted.push(b"");
        let args = ["add", "--force", "--pathspec-from-file=-", "--pathspec-file-nul"];
        let call = self.top.git.call("add ignored deliverables", args);
        let call = call.env("GIT_LITERAL_PATHSPECS", "1").stdin(wanted.join(&0));
        let answer = call.answer().await?;
        match answer.ok() {
            true => Ok(true),
            false => Err(WorkspaceError::Unmeasurable { why: answer.stderr_summary() }),
        }
    }
}

fn pathspec(deliverable: &PathPattern) -> String {
    let magic = if deliverable.is_glob() { "glob" } else { "literal" };
    format!(":(top,{magic}){}", deliverable.as_str())
}
