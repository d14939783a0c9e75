//! The parts of a spec used by import: id, name and limit of attempts. Everything else is kept as is.
//!
//! Uses the keys and rules of the auto-fixer, which reads the same fields again before the claim.

use serde_json::{Map, Value};

use crate::phase::PhaseId;
use crate::phase::autofix::aliases::written;
use crate::phase::ids::slug;
use crate::phase::json;

/// Returns the phase id; `Err` describes the expected keys.
pub(super) fn phase_id(spec: &Map<String, Value>) -> Result<PhaseId, String> {
    if let Some(id) = by_any_name(spec, "phase_id")? {
        return Ok(PhaseId::new(id));
    }
    let name = name(spec)?.filter(|name| name.contains(char::is_alphanumeric));
    name.map(|name| PhaseId::new(slug(&name))).ok_or_else(|| {
        "expected a `phase_id`, an `id` or a `name` to derive an id from; found none".to_owned()
    })
}

pub(super) fn name(spec: &Map<String, Value>) -> Result<Option<String>, String> {
    by_any_name(spec, "name")
}

/// Returns the field under its own name, else under the first alias with a value.
fn by_any_name(spec: &Map<String, Value>, field: &str) -> Result<Option<String>, String> {
    for (name, value) in written(spec, field) {
        if let Some(text) = text(Some(value), name)? {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// Returns a short text under `key`.
pub(super) fn label(object: &Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    text(object.get(key), key)
}

/// Numbers count as text (YAML parses `1.2` as a number); null and "" count as absent.
fn text(value: Option<&Value>, key: &str) -> Result<Option<String>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim().to_owned())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(other) => Err(format!("`{key}` must be text, found {}", json::kind(other))),
    }
}

pub(super) fn max_attempts(spec: &Map<String, Value>) -> Option<u32> {
    json::count(spec.get("max_attempts")?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::phase::RawSpec;
    use crate::phase::autofix::{Limits, Unscoped, autofix};

    fn id(spec: Value) -> Result<String, String> {
        phase_id(spec.as_object().unwrap()).map(|id| id.to_string())
    }

    #[test]
    fn ids_come_from_phase_id_then_id_then_the_name() {
        assert_eq!(id(json!({"name": "N", "id": "b", "phase_id": "a"})).unwrap(), "a");
        assert_eq!(id(json!({"phase_id": null, "id": 7})).unwrap(), "7");
        assert_eq!(id(json!({"scope": {"phase_id": "within"}})).unwrap(), "within");
        assert_eq!(id(json!({"name": " Add (new) Über-Parser! "})).unwrap(), "add-new-über-parser");
        assert_eq!(id(json!({"task_name": "x_y"})).unwrap(), "x-y");
        assert!(id(json!({"name": "!!"})).unwrap_err().starts_with("expected a `phase_id`"));
        assert_eq!(id(json!({"id": ["a"]})).unwrap_err(), "`id` must be text, found a list");
    }

    #[test]
    fn the_auto_fixer_reads_the_same() {
        let limits =
            Limits { workspace: None, max_timeout_seconds: 3600, unscoped: Unscoped::Allow };
        for spec in [
            json!({"id": "a", "title": "T", "display_name": "D"}),
            json!({"task_id": "b", "phase_name": "P", "task_name": "N", "max_attempts": "5"}),
            json!({"scope": {"phase_id": "c"}, "title": "T", "max_attempts": 0}),
            json!({"name": "Do it", "max_attempts": " 2 "}),
            json!({"phase_id": "", "id": "d", "name": null, "title": "T", "max_attempts": 2.5}),
        ] {
            let object = spec.as_object().unwrap();
            let fixed = autofix(&RawSpec(spec.clone()), None, &limits).result.unwrap();
            assert_eq!(phase_id(object).unwrap(), *fixed.phase_id(), "{spec}");
            assert_eq!(name(object).unwrap().unwrap_or_default(), fixed.name(), "{spec}");
            assert_eq!(max_attempts(object), fixed.max_attempts(), "{spec}");
        }
    }
}
