//! Lists of paths in any accepted shape, split into single entries.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::draft::{SpecDraft, is_blank, words};
use super::field;
use crate::phase::path::bullet::has_bullet;
use crate::phase::path::entry::{self, List};

/// An entry of a list: a line of text, or an object about a path.
pub(super) enum Item<'a> {
    Line(Cow<'a, str>),
    /// A path and the other fields of its object.
    About {
        key: &'a str,
        path: &'a str,
        fields: Map<String, Value>,
    },
}

/// Keys under which an object may hold its path.
const PATH_KEYS: [&str; 6] = ["path", "file", "file_path", "filepath", "filename", "name"];

/// Returns the path of a normalized entry: a text, or an object about a path.
pub(super) fn path_of(entry: &Value) -> Option<&str> {
    entry.as_str().or_else(|| PATH_KEYS.iter().find_map(|key| field::of(entry, key).and_then(line)))
}

/// Concatenates two values into a value with the same [`items`].
pub(super) fn concat(first: Value, second: Value) -> Value {
    let mut all = Vec::new();
    for value in [first, second] {
        match value {
            Value::Array(items) => all.extend(items),
            value => all.push(value),
        }
    }
    Value::Array(all)
}

/// Returns all entries in order. Nested lists, objects of lists and multi-line texts are expanded.
pub(super) fn items(value: &Value) -> Vec<Item<'_>> {
    let mut items = Vec::new();
    collect(value, &mut items);
    items
}

fn collect<'a>(value: &'a Value, items: &mut Vec<Item<'a>>) {
    match value {
        Value::Null => {}
        Value::String(text) => lines(text.into(), items),
        Value::Array(values) => values.iter().for_each(|value| collect(value, items)),
        Value::Object(fields) => object(fields, items),
        Value::Bool(_) | Value::Number(_) => items.push(Item::Line(value.to_string().into())),
    }
}

/// Splits a multi-line text into a list if any line has a bullet or all lines are paths; else keeps a single
/// sentence.
fn lines<'a>(text: Cow<'a, str>, items: &mut Vec<Item<'a>>) {
    if !text.contains('\n') {
        items.push(Item::Line(text));
        return;
    }
    let filled = || text.lines().filter(|line| !line.trim().is_empty());
    let is_path = |line: &str| !entry::read(line, entry::List::Deliverables, None).paths.is_empty();
    if filled().any(has_bullet) || filled().all(is_path) {
        items.extend(filled().map(|line| Item::Line(line.to_owned().into())));
    } else {
        items.push(Item::Line(text));
    }
}

fn object<'a>(fields: &'a Map<String, Value>, items: &mut Vec<Item<'a>>) {
    let path_at = |key: &&'static str| Some((*key, fields.get(*key).and_then(line)?));
    if let Some((key, path)) = PATH_KEYS.iter().find_map(path_at) {
        let mut fields = fields.clone();
        fields.shift_remove(key);
        items.push(Item::About { key, path, fields });
        return;
    }
    for (key, value) in fields {
        if is_place(key) {
            let fields = Map::from_iter([(String::new(), value.clone())]);
            items.push(Item::About { key: "", path: key, fields });
            continue;
        }
        // A single word is a label (`code`, `tests`); several words are content.
        match value {
            Value::String(text) if key.contains(char::is_whitespace) => {
                lines(format!("{key}: {text}").into(), items);
            }
            value => {
                if key.contains(char::is_whitespace) {
                    lines(key.into(), items);
                }
                collect(value, items);
            }
        }
    }
}

/// Returns the text if it has a single line.
fn line(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.trim().is_empty() && !text.contains('\n'))
}

/// Checks whether the key itself is the path: `{"src/a.py": "why"}`.
fn is_place(key: &str) -> bool {
    let entry = entry::read(key, entry::List::Deliverables, None);
    !entry.paths.is_empty() && !entry.prose && !key.contains('\n')
}

/// Returns an object's remarks about its path, a text for each field.
pub(super) fn remarks(path: &str, fields: &Map<String, Value>) -> Vec<String> {
    const SPEAKING: [&str; 8] =
        ["", "description", "desc", "reason", "why", "note", "notes", "purpose"];
    let filled = fields.iter().filter(|(_, value)| !is_blank(value));
    filled
        .map(|(key, value)| match SPEAKING.contains(&key.as_str()) {
            true => format!("{path}: {}", words(value)),
            false => format!("{path}: {key}: {}", words(value)),
        })
        .collect()
}

/// Adds a refused entry unless the same text is already listed. Refused entries are kept so that the phase is
/// refused again.
pub(super) fn push_refused<T: PartialEq>(kept: &mut Vec<T>, written: T) {
    if !kept.contains(&written) {
        kept.push(written);
    }
}

/// Adds a path unless already listed, with or without a trailing slash.
pub(super) fn push_path(kept: &mut Vec<String>, path: String) {
    let same = |other: &String| other.trim_end_matches('/') == path.trim_end_matches('/');
    if !kept.iter().any(same) {
        kept.push(path);
    }
}

/// Returns the list if all entries are texts.
pub(super) fn texts(value: &Value) -> Option<Vec<&str>> {
    value.as_array()?.iter().map(Value::as_str).collect()
}

/// Checks whether a value is a list of unique paths that needs no change: the result of a repair, and the
/// usual input.
pub(super) fn is_settled(given: &Value, list: List, workspace: Option<&str>) -> bool {
    let Some(paths) = given.as_array() else { return false };
    fn bare(path: &Value) -> Option<&str> {
        path.as_str().map(|path| path.strip_suffix('/').unwrap_or(path))
    }
    paths.iter().enumerate().all(|(at, path)| {
        path.as_str().is_some_and(|path| entry::is_settled(path, list, workspace))
            && !paths[..at].iter().any(|other| bare(other) == bare(path))
    })
}

/// Records a note about the changes to a list.
pub(super) fn report(draft: &mut SpecDraft, field: &str, written: Option<&[&str]>, kept: &[&str]) {
    let Some(written) = written else {
        draft.fixed(format!("{field}: converted to a list of {}", kept.len()));
        return;
    };
    if written == kept {
        return;
    }
    let mut is_rewritten = false;
    for text in written.iter().filter(|text| !kept.contains(text)) {
        is_rewritten = true;
        let mut line = String::with_capacity(field.len() + text.len() + 20);
        line += field;
        line += ": rewrote ";
        push_quoted(&mut line, text);
        draft.fixes.push(line);
    }
    if !is_rewritten {
        draft.fixed(format!("{field}: dropped {} listed twice", written.len() - kept.len()));
    }
}

/// Adds a text in quotes as `{:?}` does, but faster for printable ASCII.
fn push_quoted(to: &mut String, text: &str) {
    let begin = to.len();
    to.push('"');
    let mut rest = text;
    while let Some(at) =
        rest.bytes().position(|b| !matches!(b, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~'))
    {
        if !matches!(rest.as_bytes()[at], b'"' | b'\\') {
            to.truncate(begin);
            *to += &format!("{text:?}");
            return;
        }
        to.push_str(&rest[..at]);
        to.push('\\');
        to.push_str(&rest[at..=at]);
        rest = &rest[at + 1..];
    }
    to.push_str(rest);
    to.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::push_quoted;

    proptest! {
        #[test]
        fn quotes_as_debug_does(plain in "[ -~]{0,12}", any in any::<String>()) {
            for text in [&plain, &any] {
                let mut quoted = String::new();
                push_quoted(&mut quoted, text);
                prop_assert_eq!(quoted, format!("{text:?}"));
            }
        }
    }
}
