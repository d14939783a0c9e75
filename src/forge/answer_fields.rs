//! Fields of JSON answers.

use serde_json::Value;

/// Returns a text; empty if there is none.
pub(super) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

/// Returns the named text of each object in a list.
pub(super) fn texts(value: &Value, field: &str) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items.filter_map(|item| Some(item[field].as_str()?.to_owned())).collect()
}

/// Returns the items of a list; `None` for anything else.
pub(super) fn list_of(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) => Some(items),
        _ => None,
    }
}

/// Returns the title of the milestone.
pub(super) fn milestone(issue: &Value) -> Option<String> {
    Some(issue["milestone"]["title"].as_str()?.to_owned())
}
