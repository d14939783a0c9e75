//! Plans as autopack documents them: YAML, JSON, JSON Lines, also inside a Markdown fence.

use serde_json::Value;

use super::drafting::PlanDraftBuilder;
use super::error::ImportError;
use super::format::{Description, Format, Recognition};
use super::input::Input;
use super::plan_syntax::Syntax;
use super::{json_text, plan_shapes, plan_source, yaml};

/// The format of last resort. Takes what may be a plan with a mistake, to report the mistake.
pub(crate) struct PlanFile;

impl Format for PlanFile {
    fn name(&self) -> &'static str {
        "plan"
    }

    fn description(&self) -> Description {
        Description {
            files: "plan.yaml, plan.json, plan.jsonl, or a fence in Markdown",
            content: "`phases`, a list of phases, or a phase on each line",
            words: &["phases", "id"],
        }
    }

    fn recognize(&self, input: &Input) -> Recognition {
        match input.text() {
            Ok(text) if !may_be_plan(input, text) => Recognition::No,
            _ => Recognition::Possible,
        }
    }

    fn read(&self, input: &Input, draft: &mut PlanDraftBuilder) -> Result<(), ImportError> {
        let text = input.text()?;
        let syntax = Syntax::of(input.extension(), text);
        let source = plan_source::read(input.name(), syntax, text)?;
        plan_shapes::draft(input.name(), source, draft);
        Ok(())
    }
}

/// Whether the text may be a plan, even with mistakes in its syntax.
fn may_be_plan(input: &Input, text: &str) -> bool {
    let has_fence = || plan_source::has_fence(text);
    match input.extension() {
        Some("yaml" | "yml") => true,
        _ if text.trim().is_empty() || json_text::begins_with_comment(text) => true,
        _ if text.trim_start().starts_with(['{', '[']) => {
            input.json().is_none_or(plan_shapes::resembles_phases)
        }
        Some("json" | "jsonl" | "ndjson") => true,
        Some("csv" | "tsv") => false,
        Some("md" | "markdown") => has_fence() || has_phases(input.name(), text),
        _ => has_fence() || resembles_yaml(input.name(), text),
    }
}

/// Whether the text is YAML with phases.
fn has_phases(name: &str, text: &str) -> bool {
    let is_list = |value: &Value| value.is_object() || value.is_array();
    yaml::documents(name, text).is_ok_and(|all| {
        all.iter().any(|document| {
            is_list(&document.value) && plan_shapes::resembles_phases(&document.value)
        })
    })
}

/// Whether the text is YAML other than a bare text.
fn resembles_yaml(name: &str, text: &str) -> bool {
    let documents = yaml::documents(name, text);
    documents.is_ok_and(|all| all.iter().any(|document| !document.value.is_string()))
}
