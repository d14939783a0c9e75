//! Options for formatting an overview.

use crate::phase::UnixMs;

/// Width without a terminal.
const DEFAULT_COLUMNS: usize = 80;
/// Minimum width; smaller reported widths are ignored.
const LEAST_COLUMNS: usize = 30;

/// Options for formatting an overview.
#[derive(Clone, Copy, Debug, Default)]
pub struct TextOptions {
    /// Width of the terminal; `None` for a file or a pipe.
    pub columns: Option<usize>,
    /// Whether to use color.
    pub color: bool,
    /// Present time; `None` leaves out all ages.
    pub now: Option<UnixMs>,
    /// Whether names of phases include their run.
    pub several: bool,
}

impl TextOptions {
    pub(super) fn width(&self) -> usize {
        self.columns.unwrap_or(DEFAULT_COLUMNS).max(LEAST_COLUMNS)
    }
}
