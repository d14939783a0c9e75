//! Positions in a source, as named in errors.

use std::fmt;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SourcePosition {
    File(Arc<str>),
    /// A value starting at this line.
    Line(Arc<str>, usize),
    /// Number of a phase, counted from 1.
    Item(Arc<str>, usize),
    /// Number of a phase, and the line of the phase or of the list.
    ItemAt(Arc<str>, usize, usize),
    /// A row of a database table, by `id`.
    Row {
        file: Arc<str>,
        table: &'static str,
        row: String,
    },
}

impl fmt::Display for SourcePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => f.write_str(file),
            Self::Line(file, line) => write!(f, "{file}:{line}"),
            Self::Item(file, item) => write!(f, "{file}, phase {item}"),
            Self::ItemAt(file, line, item) => write!(f, "{file}:{line}, phase {item}"),
            Self::Row { file, table, row } => write!(f, "{file}, row {row} of table {table}"),
        }
    }
}
