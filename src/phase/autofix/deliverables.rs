//! `deliverables`: a list of paths, each once.

use serde_json::Value;

use super::draft::Draft;
use super::lists::{self, Item};
use crate::phase::path::entry::{self, Entry, List};

const KEY: &str = "deliverables";

pub(super) fn normalize(draft: &mut Draft) {
    if let Some(paths) = draft.json.get(KEY).and_then(|given| settled(draft, given)) {
        draft.deliverables = paths;
        return;
    }
    let Some(given) = draft.json.get_mut(KEY).map(Value::take) else { return };
    let written = lists::texts(&given);
    let mut kept: Vec<String> = Vec::new();
    let mut hints = Vec::new();
    for item in lists::items(given) {
        let (text, about) = match item {
            Item::Line(text) => (text, Vec::new()),
            Item::About { path, fields, .. } => {
                let remarks = lists::remarks(&path, &fields);
                (path, remarks)
            }
        };
        let entry = entry::read(&text, List::Deliverables, draft.limits.workspace);
        take(draft, &text, entry, &mut kept, &mut hints);
        draft.prose.extend(about);
    }
    if kept.is_empty() && !super::scope::has_paths(draft) {
        take_hints(draft, &hints, &mut kept);
    }
    lists::report(draft, KEY, written.as_deref(), &kept);
    draft.json.insert(KEY.to_owned(), kept.into_iter().map(Value::String).collect());
}

/// The paths, where the list is one of paths that need nothing: what a repair leaves, and what most people write.
fn settled(draft: &Draft, given: &Value) -> Option<Vec<String>> {
    let mut paths: Vec<String> = Vec::new();
    for item in given.as_array().filter(|items| !items.is_empty())? {
        let path = item.as_str()?;
        let settled = entry::is_settled(path, List::Deliverables, draft.limits.workspace);
        if !settled || !push(&mut paths, path.to_owned()) {
            return None;
        }
    }
    Some(paths)
}

fn take(
    draft: &mut Draft,
    text: &str,
    mut entry: Entry,
    kept: &mut Vec<String>,
    hints: &mut Vec<String>,
) {
    draft.refuse(KEY, text, &mut entry);
    if entry.prose && text.contains(char::is_alphanumeric) {
        draft.prose.push(text.trim().to_owned());
    }
    for path in entry.paths {
        if push(kept, path.clone()) && entry.escapes.is_empty() {
            draft.deliverables.push(path);
        }
    }
    draft.mentions.extend(entry.mentions);
    hints.extend(entry.hint);
}

/// Nothing better was there: the files that the sentences name.
fn take_hints(draft: &mut Draft, hints: &[String], kept: &mut Vec<String>) {
    for hint in hints {
        let entry = entry::read(hint, List::Deliverables, draft.limits.workspace);
        take(draft, hint, entry, kept, &mut Vec::new());
    }
}

/// Adds a path that is not there yet, with or without a trailing slash.
fn push(kept: &mut Vec<String>, path: String) -> bool {
    let same = |other: &String| other.trim_end_matches('/') == path.trim_end_matches('/');
    let new = !kept.iter().any(same);
    if new {
        kept.push(path);
    }
    new
}
