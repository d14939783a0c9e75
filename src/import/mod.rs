//! Converts a backlog in a file or on standard input to a [`Plan`] for the store.
//!
//! Import never repairs a spec: specs arrive as written, with the run's defaults merged in. Import assigns run ids,
//! phase ids, order and dependencies, and refuses the whole input if a part cannot be understood. Import writes
//! nothing.
//!
//! The formats are a registry. A new format is one file, its `mod` line and its entry in `FORMATS` here, fixtures in
//! `tests/fixtures/import/<name>/`, and a row in docs/plan-format.md.

mod backlog_item;
mod depends;
mod drafting;
mod error;
mod format;
mod input;
#[cfg(any(test, fuzzing))]
pub mod invariants;
mod json;
mod json_text;
pub mod plan_check;
mod plan_document;
mod plan_draft;
mod plan_file;
pub mod plan_schema;
mod plan_shapes;
mod plan_source;
mod plan_syntax;
pub mod plan_template;
mod python_db;
mod source_place;
mod spec_keys;
mod standing;
mod text_decoding;
mod written_numbers;
mod yaml;

use std::path::Path;

use crate::phase::RunId;
use crate::phase::plan::Plan;
use drafting::PlanDraftBuilder;
use format::{Format, Input, Recognition};

pub use depends::Existing;
pub use error::ImportError;
pub use input::STDIN;
pub use plan_draft::PlanDraft;

/// All formats. The first certain format reads an input; `plan` is last, because it accepts anything.
static FORMATS: &[&dyn Format] = &[&python_db::PythonAutopack, &plan_file::PlanFile];

/// Reads `file` (`-` is standard input). Dependencies are not yet checked, see [`PlanDraft::resolve`].
///
/// # Errors
/// The file cannot be read or understood.
pub async fn read(file: &Path, run_id: Option<&RunId>) -> Result<PlanDraft, ImportError> {
    let input = Input::open(file)?;
    let mut draft = PlanDraftBuilder::new(&input, run_id);
    format_of(FORMATS, &input).read_file(&input, &mut draft).await?;
    draft.finish()
}

/// Parses a plan. The extension of `file` gives the syntax; the file name becomes the run id unless the plan names a
/// run.
///
/// # Errors
/// The bytes cannot be understood.
pub fn parse(file: &Path, bytes: &[u8], run_id: Option<&RunId>) -> Result<PlanDraft, ImportError> {
    parse_with(FORMATS, file, bytes, run_id)
}

fn parse_with(
    formats: &[&'static dyn Format],
    file: &Path,
    bytes: &[u8],
    run_id: Option<&RunId>,
) -> Result<PlanDraft, ImportError> {
    let input = Input::of_bytes(file, bytes);
    let mut draft = PlanDraftBuilder::new(&input, run_id);
    format_of(formats, &input).read(&input, &mut draft)?;
    draft.finish()
}

/// Returns the first certain format, else a plan.
fn format_of(formats: &[&'static dyn Format], input: &Input) -> &'static dyn Format {
    let first =
        |wanted| formats.iter().copied().find(move |format| format.recognize(input) == wanted);
    first(Recognition::Certain)
        .or_else(|| first(Recognition::Possible))
        .unwrap_or(&plan_file::PlanFile)
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
