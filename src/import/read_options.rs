//! Choices of the caller about reading an input.

use std::path::PathBuf;

use crate::phase::RunId;
use crate::phase::plan::StoredPart;

use super::csv_columns::ColumnChoice;

/// Choices about reading an input.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// Run of all phases, overriding the source.
    pub run_id: Option<RunId>,
    /// Name of the format; `None` recognizes the format by content.
    pub format: Option<String>,
    /// Directory to which the origin of a plan is relative.
    pub workspace: Option<PathBuf>,
    /// Whether subtasks are folded into their parents instead of becoming phases.
    pub no_subtasks: bool,
    /// Columns of a CSV file. With any, the format is CSV unless `format` names another.
    pub columns: Vec<ColumnChoice>,
    /// Whether dependencies that form a cycle are dropped, with a note, instead of refused.
    pub break_cycles: bool,
    /// Parts of sources that were imported before, with their runs.
    pub stored_parts: Vec<StoredPart>,
}

impl ReadOptions {
    /// Default choices for a run.
    pub fn of_run(run_id: Option<&RunId>) -> Self {
        Self { run_id: run_id.cloned(), ..Self::default() }
    }

    /// Choices for the spec of a phase of a run, as people edit it.
    pub fn of_plan(run_id: &RunId) -> Self {
        Self { format: Some("plan".to_owned()), ..Self::of_run(Some(run_id)) }
    }
}
