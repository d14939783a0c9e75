//! `acceptance_criteria`, including sentences found in lists of paths.

use serde_json::Value;

use super::draft::{SpecDraft, is_blank, words};
use super::field;
use crate::phase::words::counted;

const KEY: &str = "acceptance_criteria";

/// Converts the criteria to a list and adds the collected prose.
pub(super) fn append(draft: &mut SpecDraft) {
    let prose = std::mem::take(&mut draft.prose);
    let given = field::get(&draft.json, KEY);
    let listed = given.is_some_and(Value::is_array);
    if prose.is_empty() && (listed || given.is_none_or(is_blank)) {
        return;
    }
    let mut list = match field::get_mut(&mut draft.json, KEY).map(Value::take) {
        Some(Value::Array(list)) => list,
        Some(Value::Object(fields)) => fields.into_iter().map(in_words).collect(),
        Some(given) if !is_blank(&given) => vec![Value::String(words(&given))],
        _ => Vec::new(),
    };
    if !listed && !list.is_empty() {
        draft.fixed(format!("{KEY}: converted to a list"));
    }
    let before = list.len();
    for text in prose {
        let text = Value::String(text);
        if !list.contains(&text) {
            list.push(text);
        }
    }
    if list.len() > before {
        draft.fixed(format!(
            "{KEY}: added {} found among paths",
            counted((list.len() - before) as u64, "text")
        ));
    }
    field::put(&mut draft.json, KEY, Value::Array(list));
}

fn in_words((key, value): (String, Value)) -> Value {
    Value::String(describe(&key, &value))
}

/// Returns the texts of a field as they will appear in the criteria.
pub(super) fn texts(given: &Value) -> Vec<String> {
    match given {
        Value::Array(list) => list.iter().map(words).collect(),
        Value::Object(fields) => fields.iter().map(|(key, value)| describe(key, value)).collect(),
        other => vec![words(other)],
    }
}

/// Renders an unknown field as text.
pub(super) fn describe(key: &str, value: &Value) -> String {
    match words(value) {
        text if text.is_empty() => key.to_owned(),
        text => format!("{key}: {text}"),
    }
}
