//! The place of a proposed path in the repository: an exact file or a small directory, existing or new.

use std::fmt;

use super::tree_files::TreeFiles;
use crate::phase::path::entry::{self, List};
use crate::phase::path::shape::{Shape, has_wildcard, shape};
use crate::phase::path::{Escape, NormalizedPath, PathError, normalize, parent, reserved};

/// Share of the files that a directory may have: one in `SHARE`, within these bounds.
const SHARE: usize = 20;
const FEWEST: usize = 5;
const MOST: usize = 40;
/// Longest path, in bytes.
const LONGEST: usize = 400;
/// Directories that a new file may add.
const NEW_DIRECTORIES: usize = 2;

/// A path of the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::phase) struct Placement {
    /// Relative to the root; a directory ends with `/`.
    pub path: String,
    /// Whether the commit has it.
    pub exists: bool,
}

/// Why a path cannot be part of a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::phase) enum PlaceError {
    Root,
    Pattern,
    Outside(Escape),
    NoPath,
    NoFile,
    WholeTree { files: usize, all: usize, most: usize },
    Link(String),
    BelowFile(String),
    FarAway(String),
}

impl Placement {
    /// Finds the place of a path as written.
    pub fn of(
        written: &str,
        tree: &TreeFiles,
        workspace: Option<&str>,
    ) -> Result<Self, PlaceError> {
        let escape = |why| PlaceError::Outside(Escape { path: written.to_owned(), why });
        let path = match normalize(written, workspace).map_err(escape)? {
            NormalizedPath::Root => return Err(PlaceError::Root),
            NormalizedPath::Inside(path) => path,
        };
        if let Some(directory) = reserved(&path) {
            return Err(escape(PathError::Reserved(directory)));
        }
        let bare = path.trim_end_matches('/');
        if let Some(link) = tree.link_above(bare) {
            return Err(PlaceError::Link(link.to_owned()));
        }
        if tree.has_file(bare) && is_read_alike(bare, workspace) {
            return Ok(Self { path: bare.to_owned(), exists: true });
        }
        if has_wildcard(bare) || bare.contains(['*', '?', '{', '}']) {
            return Err(PlaceError::Pattern);
        }
        if tree.has_directory(bare) {
            return Self::of_directory(bare, tree);
        }
        if let Some(file) = tree.file_above(bare) {
            return Err(PlaceError::BelowFile(file.to_owned()));
        }
        // A new path is one that a person would write.
        let is_odd = |c: char| c.is_control() || c.is_whitespace() || "<>|:\"'`,;".contains(c);
        if bare.len() > LONGEST || bare.contains(is_odd) || !is_read_alike(&path, workspace) {
            return Err(PlaceError::NoPath);
        }
        if !is_file_name(bare) {
            return Err(PlaceError::NoFile);
        }
        let missing = std::iter::successors(parent(&path), |at| parent(at));
        let missing = missing.take_while(|at| !tree.has_directory(at)).count();
        if missing > NEW_DIRECTORIES {
            return Err(PlaceError::FarAway(parent(&path).unwrap_or_default().to_owned()));
        }
        Ok(Self { path, exists: false })
    }

    fn of_directory(bare: &str, tree: &TreeFiles) -> Result<Self, PlaceError> {
        let (files, all) = (tree.below(bare).count(), tree.len());
        let most = (all / SHARE).clamp(FEWEST, MOST);
        match files > most {
            true => Err(PlaceError::WholeTree { files, all, most }),
            false => match format!("{bare}/") {
                path if is_read_alike(&path, None) => Ok(Self { path, exists: true }),
                _ => Err(PlaceError::NoPath),
            },
        }
    }
}

/// Whether a new path is a file: with an extension, or a well-known name. A new directory would open all below.
fn is_file_name(path: &str) -> bool {
    matches!(shape(path), Shape::Firm | Shape::FileName | Shape::Dotted)
}

/// Whether the auto-fixer, which reads the scope again, finds exactly this path.
fn is_read_alike(path: &str, workspace: Option<&str>) -> bool {
    let entry = entry::read(path, List::Scope, workspace);
    entry.paths == [path] && !entry.prose && entry.escapes.is_empty()
}

impl fmt::Display for PlaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("is the whole repository: name files"),
            Self::Pattern => f.write_str("is a pattern: name files"),
            Self::Outside(escape) => {
                let text = escape.to_string();
                let quoted = format!("{:?} ", escape.path);
                f.write_str(text.strip_prefix(&quoted).unwrap_or(&text))
            }
            Self::NoPath => f.write_str("is no path"),
            Self::NoFile => {
                f.write_str("is a directory, or a file without an extension: name files")
            }
            Self::WholeTree { files, all, most } => {
                write!(f, "has {files} of the {all} files, more than {most}: name files")
            }
            Self::Link(link) => write!(f, "is a symbolic link, or below one ({link})"),
            Self::BelowFile(file) => write!(f, "cannot be created: {file} is a file"),
            Self::FarAway(directory) => {
                write!(f, "is in a directory that does not exist ({directory})")
            }
        }
    }
}
