//! Fields of the spec unknown to autopack, passed on to the agent as written.

use serde_json::{Map, Value};

use super::issue_section::{self, Issue};
use super::sections::{Section, SectionPriority};
use crate::phase::FixedSpec;
use crate::phase::needs::Needs;

/// Fields shown elsewhere in the prompt, or used by the drain only.
const KNOWN: [&str; 22] = [
    "phase_id",
    "id",
    "run_id",
    "name",
    "description",
    "category",
    "complexity",
    "deliverables",
    "scope",
    "acceptance_criteria",
    "ci",
    "ci_args",
    "test_cmd",
    "max_attempts",
    "agent",
    "allow_no_change",
    "allow_protected",
    "state",
    "status",
    "passes",
    "completed",
    "done",
];
const DEPENDS_ON: &str = "depends_on";
const KNOWN_IN_SCOPE: [&str; 5] =
    ["paths", "read_only_context", "protected_paths", "ci", "_autofix_v1_applied"];

/// Returns the section with all unknown fields.
pub fn section(spec: &FixedSpec) -> Section {
    let json = spec.json();
    // Phases in `depends_on` are complete at this point; any other content is a note.
    let gates = json.get(DEPENDS_ON).is_some_and(|needs| Needs::of(needs).notes.is_empty());
    let is_issue = Issue::of(spec).is_some();
    let is_covered = |key: &str| {
        KNOWN.contains(&key)
            || gates && key == DEPENDS_ON
            || is_issue && issue_section::FIELDS.contains(&key)
    };
    let own = json.as_object().into_iter().flatten().filter(|(key, _)| !is_covered(key));
    let in_scope =
        json.get("scope").and_then(Value::as_object).into_iter().flat_map(|scope| {
            scope.iter().filter(|(key, _)| !KNOWN_IN_SCOPE.contains(&key.as_str()))
        });
    let fields: Vec<String> =
        own.chain(in_scope).filter_map(|(key, value)| field(key, value)).collect();
    Section::new(SectionPriority::Extra, "More from the author", fields.join("\n"))
}

/// Lists read-only paths with the reasons to read them.
pub fn with_reasons(spec: &FixedSpec) -> String {
    let given = spec.json().get("scope").and_then(|scope| scope.get("read_only_context"));
    let given = given.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let reason = |path: &str| {
        let of =
            given.iter().find(|item| item.get("path").and_then(Value::as_str) == Some(path))?;
        of.get("reason").and_then(Value::as_str)
    };
    let line = |path: &str| match reason(path) {
        Some(reason) => format!("- `{path}`: {}", reason.trim()),
        None => format!("- `{path}`"),
    };
    spec.read_only().iter().map(|path| line(path.as_str())).collect::<Vec<_>>().join("\n")
}

/// Renders a field: `- priority: high`, with lists and objects indented below; `None` for empty values.
fn field(key: &str, value: &Value) -> Option<String> {
    Some(format!("- {key}:{}", shown(value, 1)?))
}

fn shown(value: &Value, depth: usize) -> Option<String> {
    let indent = "  ".repeat(depth);
    match value {
        Value::Null => None,
        Value::String(text) if text.trim().is_empty() => None,
        Value::String(text) => {
            Some(format!(" {}", text.trim().replace('\n', &format!("\n{indent}"))))
        }
        Value::Bool(_) | Value::Number(_) => Some(format!(" {value}")),
        Value::Array(items) => {
            let lines =
                items.iter().filter_map(|item| in_a_line(item).or_else(|| shown(item, depth + 1)));
            nested(lines.map(|text| format!("\n{indent}-{text}")))
        }
        Value::Object(fields) => nested(object(fields, depth, &indent)),
    }
}

/// Renders an object of plain values as a single list item.
fn in_a_line(item: &Value) -> Option<String> {
    let field = |(key, value): (&String, &Value)| match value {
        Value::String(text) if !text.contains('\n') => Some(format!("{key}: {text}")),
        Value::Bool(_) | Value::Number(_) | Value::Null => Some(format!("{key}: {value}")),
        _ => None,
    };
    let fields: Option<Vec<String>> = item.as_object()?.iter().map(field).collect();
    fields.filter(|fields| !fields.is_empty()).map(|fields| format!(" {}", fields.join("; ")))
}

fn object<'a>(
    fields: &'a Map<String, Value>,
    depth: usize,
    indent: &'a str,
) -> impl Iterator<Item = String> + 'a {
    fields.iter().filter_map(move |(key, value)| {
        Some(format!("\n{indent}- {key}:{}", shown(value, depth + 1)?))
    })
}

fn nested(lines: impl Iterator<Item = String>) -> Option<String> {
    let text: String = lines.collect();
    (!text.is_empty()).then_some(text)
}
