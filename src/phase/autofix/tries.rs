//! `max_attempts`: a number of attempts; if missing, the configured number applies.

use serde_json::Value;

use super::draft::{Draft, is_blank, words};
use super::field;
use crate::phase::json::{count, kind};

const KEY: &str = "max_attempts";

/// Removes a value that is not a number of attempts; its text is kept.
pub(super) fn normalize(draft: &mut Draft) {
    let given = field::get(&draft.json, KEY);
    if given.is_none_or(|value| is_blank(value) || count(value).is_some()) {
        return;
    }
    let Some(given) = draft.json.shift_remove(KEY) else { return };
    let shown = match &given {
        Value::Number(number) => number.to_string(),
        other => {
            draft.prose.push(format!("{KEY}: {}", words(other)));
            kind(other).to_owned()
        }
    };
    draft.fixed(format!("{KEY}: {shown} is not a number of attempts; using executor.{KEY}"));
}
