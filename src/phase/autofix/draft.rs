//! A spec while it is being repaired.

use serde_json::{Map, Value};

use super::{Limits, field};
use crate::phase::path::entry::Entry;

pub(super) struct Draft<'a> {
    pub limits: &'a Limits<'a>,
    /// The whole spec but for its scope, whose place is kept.
    pub json: Map<String, Value>,
    pub scope: Map<String, Value>,
    /// Those of the deliverables that no phase can be given.
    pub refused: Vec<String>,
    /// What the author wrote among paths and what is no path.
    pub prose: Vec<String>,
    /// Paths that deliverables speak of without being them.
    pub mentions: Vec<String>,
    pub fixes: Vec<String>,
    /// Why the spec cannot be executed, if anything is in the way.
    pub problems: Vec<String>,
}

impl<'a> Draft<'a> {
    pub fn new(object: &Map<String, Value>, limits: &'a Limits<'a>) -> Self {
        Self {
            limits,
            json: object.clone(),
            scope: Map::new(),
            refused: Vec::new(),
            prose: Vec::new(),
            mentions: Vec::new(),
            fixes: Vec::new(),
            problems: Vec::new(),
        }
    }

    pub fn fixed(&mut self, what: impl Into<String>) {
        self.fixes.push(what.into());
    }

    /// Notes the paths that no phase can be given. Their entry stays as written, so that the phase is
    /// refused again until somebody mends it.
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

    /// A text field of the phase; empty where it has none.
    pub fn text(&self, key: &str) -> &str {
        field::get(&self.json, key).and_then(Value::as_str).unwrap_or_default()
    }
}

/// Null, and what holds nothing.
pub(super) fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Any value as a person would write it.
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
