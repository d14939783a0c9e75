//! Directories as backlogs: the layouts that formats know, and the message for all others.

use std::path::Path;

use crate::phase::words::first_few;

use super::error::ImportError;
use super::format::{Format, Input};

/// Layouts named in a message.
const NAMED: usize = 12;

/// A directory that a format reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DirectoryLayout {
    /// Usual path of the directory in a repository.
    pub usual: &'static str,
    /// Files that identify it, for messages.
    pub files: &'static str,
}

/// Error for a directory of no known format: what was looked for, and known directories inside.
pub(super) fn unknown_directory(formats: &[&'static dyn Format], input: &Input) -> ImportError {
    let layouts: Vec<DirectoryLayout> =
        formats.iter().filter_map(|format| format.directory()).collect();
    let looked_for: Vec<String> =
        layouts.iter().map(|layout| format!("{} ({})", layout.usual, layout.files)).collect();
    let inside = |layout: &&DirectoryLayout| Path::new(input.name()).join(layout.usual).is_dir();
    let next = match layouts.iter().find(inside) {
        Some(layout) => {
            format!("did you mean {:?}?", Path::new(input.name()).join(layout.usual))
        }
        None => "name a file, or a directory of these".to_owned(),
    };
    let looked_for = first_few(&looked_for, NAMED);
    let message =
        format!("is a directory of no known format; known directories: {looked_for}; {next}");
    ImportError::malformed(input.name(), message)
}
