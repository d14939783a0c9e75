//! A spec during repair.

use serde_json::{Map, Value};

use super::{Limits, field};
use crate::phase::path::entry::Entry;

pub(super) struct SpecDraft<'a> {
    pub limits: &'a Limits<'a>,
    /// The whole spec except the scope, which has a placeholder in its position.
    pub json: Map<String, Value>,
    pub scope: Map<String, Value>,
    /// Deliverables outside the paths any phase may have.
    pub refused: Vec<String>,
    /// Author's text found in lists of paths.
    pub prose: Vec<String>,
    /// Paths mentioned in deliverables without being deliverables.
    pub mentions: Vec<String>,
    pub fixes: Vec<String>,
    /// Values that the author left out.
    pub defaults: Vec<String>,
    /// Whether a scope has to be proposed before the phase can be worked on.
    pub needs_scope: bool,
    /// Reasons why the spec cannot be executed.
    pub problems: Vec<String>,
}

impl<'a> SpecDraft<'a> {
    pub fn new(object: &Map<String, Value>, limits: &'a Limits<'a>) -> Self {
        Self {
            limits,
            json: object.clone(),
            scope: Map::new(),
            refused: Vec::new(),
            prose: Vec::new(),
            mentions: Vec::new(),
            fixes: Vec::new(),
            defaults: Vec::new(),
            needs_scope: false,
            problems: Vec::new(),
        }
    }

    pub fn fixed(&mut self, what: impl Into<String>) {
        self.fixes.push(what.into());
    }

    /// Records a value that the author left out and that now has its default.
    pub fn filled_in(&mut self, what: impl Into<String>) {
        self.defaults.push(what.into());
    }

    /// Records paths no phase may have. The entry stays as written, so the phase is refused again until the
    /// author fixes the spec.
    pub fn refuse(&mut self, field: &str, written: &str, entry: &mut Entry) {
        for escape in &entry.escapes {
            let problem = format!("{field}: {escape}");
            if !self.problems.contains(&problem) {
                self.problems.push(problem);
            }
        }
        if !entry.escapes.is_empty() {
            entry.paths = vec![written.trim().to_owned()];
        }
    }

    /// Returns the normalized paths of the deliverables, without refused ones.
    pub fn deliverables(&self) -> impl Iterator<Item = &str> {
        let list = field::get(&self.json, "deliverables").and_then(Value::as_array);
        let paths = list.into_iter().flatten().filter_map(Value::as_str);
        paths.filter(|path| !self.refused.iter().any(|refused| refused == path))
    }

    /// Returns a text field of the phase; empty if missing.
    pub fn text(&self, key: &str) -> &str {
        field::get(&self.json, key).and_then(Value::as_str).unwrap_or_default()
    }
}

/// Checks for null and empty values.
pub(super) fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Renders any value as plain text.
pub(super) fn words(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.trim().to_owned(),
        Value::Array(items) => items.iter().map(words).collect::<Vec<_>>().join("; "),
        Value::Object(fields) => {
            let pairs = fields.iter().map(|(key, value)| match words(value) {
                text if text.is_empty() => key.clone(),
                text => format!("{key}: {text}"),
            });
            pairs.collect::<Vec<_>>().join("; ")
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}
