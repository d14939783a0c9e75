//! The ways in which a model writes down an edit, each as text -> text.
//!
//! Pure: what a file holds is handed in, what it would hold comes back. Nothing here knows a folder, a scope or a
//! model. An edit applies whole or not at all, and a refused one says why in words that a model can act on.

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

/// Why an edit is not applied, for the model to read.
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

/// One place of a file, as a patch shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hunk {
    /// The line that it should begin at, counted from 0.
    pub at: Option<usize>,
    /// Lines that stand somewhere above it.
    pub below: Vec<String>,
    pub lines: Vec<HunkLine>,
    /// It ends where the file ends.
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

/// A patch in either of the two formats.
pub(super) fn parse_patch(text: &str) -> Result<Vec<FileChange>, Refusal> {
    let text = without_fence(text).replace("\r\n", "\n");
    let changes = match apply_patch::is_one(&text) {
        true => apply_patch::parse(&text)?,
        false => unified::parse(&text)?,
    };
    match changes.is_empty() {
        true => Err(Refusal::new("the patch changes no file")),
        false => Ok(changes),
    }
}

/// Models like to wrap what they write in ```.
fn without_fence(text: &str) -> &str {
    let trimmed = text.trim();
    let inside = trimmed.strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
    match inside.and_then(|rest| rest.split_once('\n')) {
        Some((_, body)) => body,
        None => text,
    }
}
