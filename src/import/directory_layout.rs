//! The message for directories of no known format.

use std::path::{Path, PathBuf};

use crate::phase::words::first_few;

use super::error::ImportError;
use super::format::{DirectoryLayout, Format, Input, Recognition};

/// Layouts named in a message.
const NAMED: usize = 12;

/// Error for a directory that a chosen format does not read.
pub(super) fn no_directory(format: &str, input: &Input) -> ImportError {
    let message = format!("is a directory; the format {format} reads files only");
    ImportError::malformed(input.name(), message)
}

/// Error for a directory of no known format: what was looked for, and known directories inside.
pub(super) fn unknown_directory(formats: &[&'static dyn Format], input: &Input) -> ImportError {
    let layouts: Vec<DirectoryLayout> =
        formats.iter().filter_map(|format| format.directory()).collect();
    let looked_for: Vec<String> =
        layouts.iter().map(|layout| format!("{} ({})", layout.usual, layout.files)).collect();
    let mut inside = layouts.iter().map(|layout| Path::new(input.name()).join(layout.usual));
    let is_known = |path: &PathBuf| {
        let input = Input::open(path).ok().filter(|_| path.is_dir());
        input.is_some_and(|input| {
            formats.iter().any(|format| format.recognize(&input) == Recognition::Certain)
        })
    };
    let next = match inside.find(is_known) {
        Some(path) => format!("did you mean {path:?}?"),
        None => "name a file, or a directory of these".to_owned(),
    };
    let looked_for = first_few(&looked_for, NAMED);
    let message =
        format!("is a directory of no known format; known directories: {looked_for}; {next}");
    ImportError::malformed(input.name(), message)
}
