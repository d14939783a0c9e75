//! Single values of other people's JSON, as whoever reads one takes them: import, the auto-fixer and an agent's result.

use serde_json::Value;

/// What a JSON value is, for a sentence.
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

/// Every text within a value, changed; keys stay.
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

/// A number of things, one or more; a text of digits counts.
pub fn count(value: &Value) -> Option<u32> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok()?,
        value => value.as_u64()?,
    };
    u32::try_from(number).ok().filter(|count| *count > 0)
}
