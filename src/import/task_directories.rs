//! Directories with a `tasks.md` each: specifications of spec-kit and changes of OpenSpec.

use serde_json::{Map, Value, json};

use crate::phase::RunId;

use super::drafting::PlanDraftBuilder;
use super::error::ImportError;
use super::input::Input;
use super::markdown_kind::TASKS_FILE;
use super::source_text::SourceText;

/// A `tasks.md` and the name of its directory.
pub(super) struct TaskDirectory<'a> {
    /// Path of the directory from the input, with `/` at the end; empty for the input itself.
    pub path: &'a str,
    /// The run of its tasks.
    pub name: String,
    pub tasks: SourceText<'a>,
}

/// Lists the `tasks.md` of an input: of each directory, or the input itself.
///
/// # Errors
/// A file cannot be read.
pub(super) fn task_directories(input: &Input) -> Result<Vec<TaskDirectory<'_>>, ImportError> {
    let Some(directory) = input.directory() else {
        let tasks = SourceText::of_input(input)?;
        let is_tasks = |path: &std::path::Path| path.file_name().is_some_and(|n| n == TASKS_FILE);
        let name = tasks.on_disk.filter(|path| is_tasks(path)).and_then(|_| tasks.directory_name());
        let name = name.unwrap_or_else(|| input.stem().to_string());
        return Ok(vec![TaskDirectory { path: "", name, tasks }]);
    };
    let files = directory.files().iter().filter(|file| file.file_name() == TASKS_FILE);
    let of_file = |file| {
        let tasks = SourceText::of_file(file)?;
        let path = file.path().strip_suffix(TASKS_FILE).unwrap_or_default();
        let name = path.trim_end_matches('/').rsplit('/').next().filter(|name| !name.is_empty());
        let name = name.map_or_else(|| input.stem().to_string(), str::to_owned);
        Ok(TaskDirectory { path, name, tasks })
    };
    files.map(of_file).collect()
}

impl PlanDraftBuilder {
    /// The runs of directories, in order.
    pub(super) fn directory_runs(&mut self, directories: &[TaskDirectory<'_>]) -> Vec<RunId> {
        let is_only = directories.len() == 1;
        let run = |directory: &TaskDirectory<'_>| self.parts().run_of(&directory.name, is_only);
        directories.iter().map(run).collect()
    }
}

/// The scope of tasks without paths of their own: files beside them to read and not to change, each with a reason.
pub(super) fn context(
    source: &SourceText<'_>,
    files: &[(&str, &str)],
    draft: &PlanDraftBuilder,
) -> Option<Value> {
    let entry = |(name, reason): &(&str, &str)| {
        let path = source.beside(name, draft)?;
        Some(json!({"path": path, "reason": reason}))
    };
    let files: Vec<Value> = files.iter().filter_map(entry).collect();
    (!files.is_empty()).then(|| json!({"read_only_context": files}))
}

/// Adds a key to a spec if it has a value.
pub(super) fn put(extra: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        extra.insert(key.to_owned(), value);
    }
}
