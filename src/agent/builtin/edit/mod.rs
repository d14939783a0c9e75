//! Edit formats of models, each as a function from text to text.
//!
//! Pure: takes a file's content, returns the new content. No directory, scope or model is known here. An edit
//! applies whole or not at all; a refusal gives the model a reason to act on.

mod apply_hunks;
mod apply_patch;
mod file_lines;
mod nearest_lines;
#[cfg(test)]
mod properties;
mod replace;
mod staged_changes;
mod unified;
mod whole;

pub(super) use staged_changes::{FileChange, Staged, plan};

use std::fmt;

/// Reason for not applying an edit, addressed to the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal(pub String);

impl Refusal {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A place in a file, as shown in a patch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hunk {
    /// The expected first line, counted from 0.
    pub at: Option<usize>,
    /// Lines somewhere above the hunk.
    pub below: Vec<String>,
    pub lines: Vec<HunkLine>,
    /// The hunk ends at the end of the file.
    pub at_end: bool,
    /// `\ No newline at end of file`, on either side.
    pub old_unended: bool,
    pub new_unended: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HunkLine {
    Keep(String),
    Drop(String),
    Add(String),
}

/// Parses a patch in either format.
pub(super) fn parse_patch(text: &str) -> Result<Vec<FileChange>, Refusal> {
    let text = without_fence(text).replace("\r\n", "\n");
    let changes = match apply_patch::is_patch(&text) {
        true => apply_patch::parse(&text)?,
        false => unified::parse(&text)?,
    };
    match changes.is_empty() {
        true => Err(Refusal::new("the patch changes no file")),
        false => Ok(changes),
    }
}

/// Models often wrap their output in ```.
fn without_fence(text: &str) -> &str {
    let trimmed = text.trim();
    let inside = trimmed.strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
    match inside.and_then(|rest| rest.split_once('\n')) {
        Some((_, body)) => body,
        None => text,
    }
}
