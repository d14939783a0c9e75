//! What import reads of a spec: its id, its name, and the number of tries. Everything else is kept unread.

use serde_json::{Map, Value};

use crate::phase::PhaseId;

const ID_KEYS: [&str; 3] = ["phase_id", "id", "task_id"];
const NAME_KEYS: [&str; 5] = ["name", "task_name", "phase_name", "title", "display_name"];

/// The phase's id; `Err` says what was expected.
pub(super) fn phase_id(spec: &Map<String, Value>) -> Result<PhaseId, String> {
    for key in ID_KEYS {
        if let Some(id) = label(spec, key)? {
            return Ok(PhaseId::new(id));
        }
    }
    let slug = name(spec)?.map(|name| slug(&name)).filter(|slug| !slug.is_empty());
    slug.map(PhaseId::new).ok_or_else(|| {
        "expected a `phase_id`, an `id` or a `name` to make one of; found none of them".to_owned()
    })
}

pub(super) fn name(spec: &Map<String, Value>) -> Result<Option<String>, String> {
    for key in NAME_KEYS {
        if let Some(name) = label(spec, key)? {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// A short text under `key`. Numbers count as text (YAML makes them of `1.2`); null and "" as absent.
pub(super) fn label(object: &Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim().to_owned())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(other) => Err(format!("`{key}` must be text, found {}", kind(other))),
    }
}

pub(super) fn max_attempts(spec: &Map<String, Value>) -> Option<u32> {
    let number = spec.get("max_attempts")?.as_u64()?;
    u32::try_from(number).ok().filter(|number| *number > 0)
}

/// What a value is called in an error.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Lower case, one `-` between words. Letters of every script stay: they tell ids apart.
fn slug(name: &str) -> String {
    let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn id(spec: Value) -> Result<String, String> {
        phase_id(spec.as_object().unwrap()).map(|id| id.to_string())
    }

    #[test]
    fn ids_come_from_phase_id_then_id_then_the_name() {
        assert_eq!(id(json!({"name": "N", "id": "b", "phase_id": "a"})).unwrap(), "a");
        assert_eq!(id(json!({"phase_id": null, "id": 7})).unwrap(), "7");
        assert_eq!(id(json!({"name": " Add (new) Über-Parser! "})).unwrap(), "add-new-über-parser");
        assert_eq!(id(json!({"task_name": "x_y"})).unwrap(), "x-y");
        assert!(id(json!({"name": "!!"})).unwrap_err().starts_with("expected a `phase_id`"));
        assert_eq!(id(json!({"id": ["a"]})).unwrap_err(), "`id` must be text, found a list");
    }
}
