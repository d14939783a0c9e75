//! Plans as autopack documents them: YAML, JSON, JSON Lines, also inside a Markdown fence.

use super::drafting::PlanDraftBuilder;
use super::error::ImportError;
use super::format::{Format, Recognition};
use super::input::Input;
use super::plan_syntax::Syntax;
use super::{plan_shapes, plan_source};

/// The format of last resort: takes whatever no other format claims.
pub(crate) struct PlanFile;

impl Format for PlanFile {
    fn name(&self) -> &'static str {
        "plan"
    }

    fn recognize(&self, _input: &Input) -> Recognition {
        Recognition::Possible
    }

    fn read(&self, input: &Input, draft: &mut PlanDraftBuilder) -> Result<(), ImportError> {
        let text = input.text()?;
        let syntax = Syntax::of(input.extension(), text);
        plan_shapes::draft(plan_source::read(input.name(), syntax, text)?, draft);
        Ok(())
    }
}
