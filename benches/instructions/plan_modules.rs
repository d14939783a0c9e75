//! The modules of `src/import` that read a plan, without the formats of other tools.

use crate::phase::RunId;
use crate::phase::plan::Plan;
use format::{Format as _, Input};
use std::path::Path;

#[path = "../../src/import/csv_columns.rs"]
mod csv_columns;
#[path = "../../src/import/csv_table.rs"]
mod csv_table;
#[path = "../../src/import/dependency_cycles.rs"]
mod dependency_cycles;
#[path = "../../src/import/depends.rs"]
mod depends;
#[path = "../../src/import/drafting.rs"]
mod drafting;
#[path = "../../src/import/error.rs"]
mod error;
#[path = "../../src/import/field_remarks.rs"]
mod field_remarks;
#[path = "../../src/import/format.rs"]
mod format;
#[path = "../../src/import/input.rs"]
mod input;
#[path = "../../src/import/input_directory.rs"]
mod input_directory;
#[path = "../../src/import/json.rs"]
mod json;
#[path = "../../src/import/json_text.rs"]
mod json_text;
#[path = "../../src/import/left_out.rs"]
mod left_out;
#[path = "../../src/import/part_runs.rs"]
mod part_runs;
#[path = "../../src/import/plan_document.rs"]
mod plan_document;
#[path = "../../src/import/plan_draft.rs"]
mod plan_draft;
#[path = "../../src/import/plan_file.rs"]
mod plan_file;
#[path = "../../src/import/plan_shapes.rs"]
mod plan_shapes;
#[path = "../../src/import/plan_source.rs"]
mod plan_source;
#[path = "../../src/import/plan_syntax.rs"]
mod plan_syntax;
#[path = "../../src/import/read_options.rs"]
mod read_options;
#[path = "../../src/import/source_place.rs"]
mod source_place;
#[path = "../../src/import/spec_keys.rs"]
mod spec_keys;
#[path = "../../src/import/standing.rs"]
mod standing;
#[path = "../../src/import/text_decoding.rs"]
mod text_decoding;
#[path = "../../src/import/written_numbers.rs"]
mod written_numbers;
#[path = "../../src/import/yaml.rs"]
mod yaml;

use depends::Existing;
use error::ImportError;

/// Reads a plan as `import` does.
pub fn parse_plan(file: &str, bytes: &[u8]) -> Result<Plan, ImportError> {
    let options = read_options::ReadOptions::of_run(Some(&RunId::new("r")));
    let input = Input::of_bytes(Path::new(file), bytes);
    let mut draft = drafting::PlanDraftBuilder::new(&input, "plan", &options);
    plan_file::PlanFile.read(&input, &mut draft)?;
    draft.finish()?.resolve(&Existing::default())
}
