//! Helpers for values of untrusted JSON, shared by import, the auto-fixer and agent results.

use serde_json::Value;

/// Returns the type of a JSON value, for a sentence.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Changes every text within a value; keys stay.
pub fn map_texts(value: Value, change: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(change(&text)),
        Value::Array(items) => items.into_iter().map(|item| map_texts(item, change)).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(key, value)| (key, map_texts(value, change))).collect()
        }
        other => other,
    }
}

/// Reads a count of at least 1; a text of digits is accepted.
pub fn count(value: &Value) -> Option<u32> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok()?,
        value => value.as_u64()?,
    };
    u32::try_from(number).ok().filter(|count| *count > 0)
}
