//! Converts a backlog in a file, in a directory or on standard input to a [`Plan`] for the store.
//!
//! Import never repairs a spec: specs arrive as written, with the run's defaults merged in. Import assigns run ids,
//! phase ids, order and dependencies, and refuses the whole input if a part cannot be understood. Import writes
//! nothing.
//!
//! The formats are a registry. A new format is one file, its `mod` line here, its entry in `registry::FORMATS`, fixtures
//! in `tests/fixtures/import/<name>/`, and a row in docs/plan-format.md.

mod backlog_item;
mod backlog_md;
mod beads;
mod checklist;
mod csv_columns;
mod csv_files;
mod csv_kind;
mod csv_table;
mod dependency_cycles;
mod depends;
mod directory_layout;
mod drafting;
mod error;
mod field_remarks;
mod format;
mod github_issues;
mod gitlab_issues;
mod group_nodes;
mod input;
mod input_directory;
#[cfg(any(test, fuzzing))]
pub mod invariants;
mod issue_text;
mod issue_tree;
mod item_fields;
mod jira_csv;
mod json;
mod json_text;
mod left_out;
mod linear_csv;
mod linked_items;
mod listed_issues;
mod markdown;
mod markdown_kind;
mod open_spec;
mod part_runs;
pub mod plan_check;
mod plan_document;
mod plan_draft;
mod plan_file;
mod plan_rights;
pub mod plan_schema;
mod plan_shapes;
mod plan_source;
mod plan_syntax;
pub mod plan_template;
mod prd_stories;
mod python_db;
mod ralphex;
mod read_options;
mod registry;
mod source_place;
mod source_text;
mod spec_keys;
mod spec_kit;
mod spec_order;
mod standing;
mod task_directories;
mod taskmaster;
mod text_decoding;
pub mod trackers;
mod written_numbers;
mod yaml;

use std::path::{Path, PathBuf};

use crate::phase::RunId;
use crate::phase::plan::Plan;
use drafting::PlanDraftBuilder;
use format::{Format, Input};
use input_directory::InputFile;
use registry::{FORMATS, format_of};

pub use csv_columns::ColumnChoice;
pub use depends::Existing;
pub use error::ImportError;
pub use input::STDIN;
pub use plan_draft::PlanDraft;
pub use read_options::ReadOptions;
pub use registry::{FormatEntry, formats};

/// Reads a text in UTF-8 or UTF-16 from a file or standard input (`-`).
///
/// # Errors
/// The file cannot be read, or is no text.
pub fn read_text(file: &Path) -> Result<String, ImportError> {
    Ok(Input::open(file)?.text()?.to_owned())
}

/// Reads `file`: a file, a directory, or standard input (`-`). Dependencies are not yet checked, see
/// [`PlanDraft::resolve`].
///
/// # Errors
/// The file cannot be read or understood.
pub async fn read(file: &Path, options: &ReadOptions) -> Result<PlanDraft, ImportError> {
    let input = Input::open(file)?;
    let format = format_of(FORMATS, options.format.as_deref(), &input)?;
    let mut draft = PlanDraftBuilder::new(&input, format.name(), options);
    if let Some(directory) = input.directory() {
        if format.directory().is_none() {
            let is_chosen = options.format.is_some();
            return Err(match is_chosen {
                true => directory_layout::no_directory(format.name(), &input),
                false => directory_layout::unknown_directory(FORMATS, &input),
            });
        }
        directory.warnings().into_iter().for_each(|warning| draft.warn(warning));
    }
    format.read_file(&input, &mut draft).await?;
    draft.finish()
}

/// Returns the files that an input consists of, with a name for each: the file itself, or the files of a directory.
///
/// # Errors
/// The directory cannot be read, or has too many files.
pub fn input_files(input: &Path) -> std::io::Result<Vec<(String, PathBuf)>> {
    if !input.is_dir() {
        return Ok(vec![(String::new(), input.to_owned())]);
    }
    let directory = input_directory::InputDirectory::open(input)?;
    let named = |file: &InputFile| (file.path().to_owned(), file.on_disk().to_owned());
    Ok(directory.files().iter().map(named).collect())
}

/// Parses a backlog. The extension of `file` gives the syntax of a plan; the file name becomes the run id unless the
/// source names a run.
///
/// # Errors
/// The bytes cannot be understood.
pub fn parse(file: &Path, bytes: &[u8], run_id: Option<&RunId>) -> Result<PlanDraft, ImportError> {
    parse_with(FORMATS, file, bytes, &ReadOptions::of_run(run_id))
}

/// Parses a backlog of a named format, whatever its content looks like.
///
/// # Errors
/// The format is unknown, or the bytes cannot be understood.
pub fn parse_as(file: &Path, bytes: &[u8], format: &str) -> Result<PlanDraft, ImportError> {
    let options = ReadOptions { format: Some(format.to_owned()), ..ReadOptions::default() };
    parse_with(FORMATS, file, bytes, &options)
}

fn parse_with(
    formats: &[&'static dyn Format],
    file: &Path,
    bytes: &[u8],
    options: &ReadOptions,
) -> Result<PlanDraft, ImportError> {
    let input = Input::of_bytes(file, bytes);
    let format = format_of(formats, options.format.as_deref(), &input)?;
    let mut draft = PlanDraftBuilder::new(&input, format.name(), options);
    format.read(&input, &mut draft)?;
    draft.finish()
}

/// Parses a plan without dependencies on stored phases.
///
/// # Errors
/// The bytes cannot be understood, or a dependency is unknown or cyclic.
pub fn parse_whole(file: &Path, bytes: &[u8], run_id: Option<&RunId>) -> Result<Plan, ImportError> {
    parse(file, bytes, run_id)?.resolve(&Existing::default())
}

#[cfg(test)]
mod format_tests;
#[cfg(test)]
mod toy;
