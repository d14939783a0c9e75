//! One value of a plan file, with its position.

use serde_json::Value;

use super::source_place::SourcePosition;

/// Key with the list of phases.
pub(super) const PHASES: &str = "phases";

/// One value of a file with possibly several values.
pub(super) struct Document {
    pub(super) value: Value,
    pub(super) place: SourcePosition,
    /// Line of each phase, if known.
    pub(super) lines: Vec<usize>,
}
