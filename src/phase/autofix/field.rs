//! A field of an object, found by looking along it.
//!
//! The maps hash every name that they are asked for, with a hash made to withstand attacks. A spec has a dozen fields
//! and is asked for thirty: comparing is faster. Large objects are still hashed.

use serde_json::{Map, Value};

/// Up to so many fields they are looked along: a hash costs about as much as comparing a few dozen short names (estimated).
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

/// Where the value is an object.
pub(super) fn of<'m>(value: &'m Value, name: &str) -> Option<&'m Value> {
    get(value.as_object()?, name)
}

/// In its place if it is there, else at the end.
pub(super) fn put(object: &mut Map<String, Value>, name: &str, value: Value) {
    match get_mut(object, name) {
        Some(there) => *there = value,
        None => drop(object.insert(name.to_owned(), value)),
    }
}

/// The field, made with `value` where it is not there.
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
