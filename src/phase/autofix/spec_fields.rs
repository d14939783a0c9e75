//! The fields of a spec: one table, for `docs/plan-format.md`, the schema of plans, and the prompt that asks a model for
//! a plan.

use serde_json::Value;

use crate::phase::json::count;

/// Shape of a field as authors write it. The auto-fixer accepts more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldShape {
    /// A text, or a number kept as a text.
    Text,
    /// A whole number of 1 or more.
    Count,
    /// `true` or `false`.
    Flag,
    /// A list of texts or objects, a text, or a dict of lists.
    Texts,
    /// Ids of phases: a list, or a text.
    Ids,
    /// A shell line, or a list of lines.
    Command,
    /// CI settings: an object, or a shell line.
    Ci,
}

impl FieldShape {
    /// Whether a value has this shape, or one that the auto-fixer reads without a doubt. `null` is an absent value.
    pub fn accepts(self, value: &Value) -> bool {
        let is_scalar = |value: &Value| value.is_number() || value.is_boolean();
        match (self, value) {
            (_, Value::Null) => true,
            (Self::Text, value) => value.is_string() || value.is_number(),
            (Self::Count, value) => count(value).is_some(),
            (Self::Flag, Value::String(text)) => {
                ["true", "false", "yes", "no", "on", "off"].contains(&&*text.to_lowercase())
            }
            (Self::Flag, value) => value.is_boolean(),
            (Self::Texts, Value::Array(items)) => !items.iter().any(is_scalar),
            (Self::Texts | Self::Command | Self::Ci, value) => !is_scalar(value),
            (Self::Ids, value) => !value.is_boolean(),
        }
    }

    /// Returns the shape, for a sentence.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Count => "a whole number of 1 or more",
            Self::Flag => "`true` or `false`",
            Self::Texts => "a list of texts",
            Self::Ids => "a list of ids",
            Self::Command => "a shell line, or a list of them",
            Self::Ci => "an object, or a shell line",
        }
    }
}

/// A field of a spec. A dot separates the object from the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpecField {
    /// Name of the field.
    pub name: &'static str,
    /// Shape of the value.
    pub shape: FieldShape,
    /// Meaning, for people.
    pub meaning: &'static str,
}

const fn field(name: &'static str, shape: FieldShape, meaning: &'static str) -> SpecField {
    SpecField { name, shape, meaning }
}

/// All fields with a meaning to autopack, in the order of the documentation.
pub const FIELDS: [SpecField; 20] = [
    field("phase_id", FieldShape::Text, "the phase's name in the run"),
    field("name", FieldShape::Text, "a title for people"),
    field("description", FieldShape::Text, "the work, as long as you like"),
    field(
        "category",
        FieldShape::Text,
        "a word: `implementation`, `docs`, `tests`, `frontend` ...",
    ),
    field("complexity", FieldShape::Text, "`low`, `medium` or `high`"),
    field("deliverables", FieldShape::Texts, "files, directories and globs required afterwards"),
    field("scope.paths", FieldShape::Texts, "the paths the phase may change"),
    field(
        "scope.read_only_context",
        FieldShape::Texts,
        "paths to read and leave unchanged; also as `{path, reason}`",
    ),
    field(
        "scope.protected_paths",
        FieldShape::Texts,
        "existing files that this phase may not change",
    ),
    field("acceptance_criteria", FieldShape::Texts, "a list of strings"),
    field("depends_on", FieldShape::Ids, "ids of phases of the same run that must finish first"),
    field("ci", FieldShape::Ci, "CI settings"),
    field("scope.ci", FieldShape::Ci, "CI settings"),
    field(
        "test_cmd",
        FieldShape::Command,
        "a shell line, or several: the phase's own check after CI",
    ),
    field("ci_args", FieldShape::Command, "arguments for a detected test runner"),
    field(
        "max_attempts",
        FieldShape::Count,
        "counted attempts before the phase ends as failed, 1 or more; other values are removed",
    ),
    field("agent", FieldShape::Text, "the name of a configured agent"),
    field(
        "machine_labels",
        FieldShape::Texts,
        "labels that a machine must have: only drains with `--label` of each take the phase",
    ),
    field("allow_no_change", FieldShape::Flag, "`true`: the phase passes without a change"),
    field(
        "allow_protected",
        FieldShape::Flag,
        "`true`: the phase may change the workspace's protected paths named in it",
    ),
];
