//! Linear lookup of an object's fields.
//!
//! `serde_json` maps hash every looked-up name with a hash that resists attacks. A spec has a dozen fields
//! and about thirty lookups, so comparing names is faster. Large objects still use the hash.

use serde_json::{Map, Value};

/// Maximum number of fields for linear lookup: a hash costs about as much as comparing a few dozen short
/// names (estimated).
const FEW: usize = 24;

pub(super) fn get<'m>(object: &'m Map<String, Value>, name: &str) -> Option<&'m Value> {
    if object.len() > FEW {
        return object.get(name);
    }
    object.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
}

pub(super) fn get_mut<'m>(object: &'m mut Map<String, Value>, name: &str) -> Option<&'m mut Value> {
    if object.len() > FEW {
        return object.get_mut(name);
    }
    object.iter_mut().find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// Looks up a field if the value is an object.
pub(super) fn of<'m>(value: &'m Value, name: &str) -> Option<&'m Value> {
    get(value.as_object()?, name)
}

/// Replaces the value in place if the field exists, else appends the field.
pub(super) fn put(object: &mut Map<String, Value>, name: &str, value: Value) {
    match get_mut(object, name) {
        Some(there) => *there = value,
        None => drop(object.insert(name.to_owned(), value)),
    }
}

/// Returns the field, creating it with `value` if missing.
pub(super) fn get_or_put<'m>(
    object: &'m mut Map<String, Value>,
    name: &str,
    value: impl FnOnce() -> Value,
) -> Option<&'m mut Value> {
    if get(object, name).is_none() {
        object.insert(name.to_owned(), value());
    }
    get_mut(object, name)
}
