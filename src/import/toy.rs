//! Toy: a list with a heading, `- [ ] ID: GOAL (PATH)` or `- [ ] ID after OTHER: GOAL (PATH)`.

use serde_json::{Map, Value, json};

use super::drafting::PlanDraftBuilder;
use super::error::ImportError;
use super::format::{Description, Format, Input, Recognition};

const HEADING: &str = "# toy backlog";

/// The format: recognized by its first line.
pub(crate) struct Toy;

impl Format for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn description(&self) -> Description {
        Description {
            files: "backlog.txt",
            content: "the heading `# toy backlog`",
            words: &[HEADING],
        }
    }

    fn recognize(&self, input: &Input) -> Recognition {
        match input.head().starts_with(HEADING.as_bytes()) {
            true => Recognition::Certain,
            false => Recognition::No,
        }
    }

    fn read(&self, input: &Input, draft: &mut PlanDraftBuilder) -> Result<(), ImportError> {
        for (number, line) in (1..).zip(input.text()?.lines()) {
            let place = input.at_line(number);
            match item(line) {
                Some(spec) => draft.phase(place, spec),
                None if line.trim().is_empty() || line == HEADING => {}
                None => {
                    draft.fail(ImportError::malformed(place, "expected `- [ ] ID: GOAL (PATH)`"));
                }
            }
        }
        Ok(())
    }
}

/// `- [x] printer after parser: Print a tree (src/printer.py)`
fn item(line: &str) -> Option<Map<String, Value>> {
    let (done, rest) = match line.strip_prefix("- [ ] ") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("- [x] ")?),
    };
    let (head, goal) = rest.split_once(": ")?;
    let (goal, path) = goal.strip_suffix(')')?.rsplit_once(" (")?;
    let (id, after) = match head.split_once(" after ") {
        Some((id, other)) => (id, vec![other]),
        None => (head, Vec::new()),
    };
    let status = if done { "done" } else { "open" };
    let spec = json!({
        "phase_id": id, "name": goal, "goal": goal, "deliverables": [path],
        "depends_on": after, "status": status,
    });
    spec.as_object().cloned()
}
