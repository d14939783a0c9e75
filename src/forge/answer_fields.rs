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

/// Returns the message of a refusal. GitHub has details in `errors`, GitLab may have a list or an object of texts.
pub(super) fn answer_message(body: &str) -> String {
    let value: Value = serde_json::from_str(body).unwrap_or_default();
    let fields = ["message", "error_description", "error"];
    let found = fields.into_iter().find_map(|field| all_texts(&value[field]));
    let details = all_texts(&value["errors"]);
    match (found, details) {
        (Some(message), Some(details)) => format!("{message}: {details}"),
        (Some(message), None) | (None, Some(message)) => message,
        (None, None) => "no message".to_owned(),
    }
}

/// Returns the texts of a value, or of its messages, in one line.
fn all_texts(value: &Value) -> Option<String> {
    let texts: Vec<String> = match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().filter_map(all_texts).collect(),
        Value::Object(fields) if fields.contains_key("message") => {
            all_texts(&fields["message"]).into_iter().collect()
        }
        Value::Object(fields) => fields.values().filter_map(all_texts).collect(),
        _ => Vec::new(),
    };
    let texts: Vec<&str> = texts.iter().map(|text| text.trim()).filter(|t| !t.is_empty()).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
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
