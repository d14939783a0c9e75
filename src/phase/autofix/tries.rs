//! `max_attempts`: a number of tries, or none, where the configured number holds.

use serde_json::Value;

use super::draft::{Draft, is_blank, words};
use super::field;
use crate::phase::json::{count, kind};

const KEY: &str = "max_attempts";

/// Takes out what is no number of tries. What it says in words is kept.
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
    draft.fixed(format!("{KEY}: {shown} is no number of tries; executor.{KEY} holds"));
}
